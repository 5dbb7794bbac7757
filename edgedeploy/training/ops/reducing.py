"""Operators over whole rows: sums, maxima, products of matrices, softmax."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgedeploy.training.graph import Value


def reduce_sum(x: Value, axes: Sequence[int], *, keep_dims: bool = False) -> Value:
    """Sum over dimensions."""
    return _reduce("SUM", x, axes, keep_dims)


def reduce_mean(x: Value, axes: Sequence[int], *, keep_dims: bool = False) -> Value:
    """Mean over dimensions."""
    return _reduce("MEAN", x, axes, keep_dims)


def reduce_max(x: Value, axes: Sequence[int], *, keep_dims: bool = False) -> Value:
    """Maximum over dimensions."""
    return _reduce("REDUCE_MAX", x, axes, keep_dims)


def arg_max(x: Value) -> Value:
    """Index of the largest number of each row, int32."""
    out = x.graph.value(x.shape[:-1], "int32")
    axis = x.graph.constant(np.array(len(x.shape) - 1, np.int32))
    # 2 is INT32 in the schema's TensorType.
    x.graph.operator("ARG_MAX", (x, axis), (out,), ("ArgMaxOptions", {"outputType": 2}))
    return out


def softmax(x: Value) -> Value:
    """Softmax over the last dimension."""
    out = x.graph.value(x.shape)
    x.graph.operator("SOFTMAX", (x,), (out,), ("SoftmaxOptions", {"beta": 1.0}))
    return out


def matmul(a: Value, b: Value, *, transpose_b: bool = False) -> Value:
    """Matrix product.

    Args:
        a: Shape (…, m, k).
        b: Shape (…, k, n), or (…, n, k) when transposed.
        transpose_b: As said.

    Returns:
        Shape (…, m, n).
    """
    n = b.shape[-2] if transpose_b else b.shape[-1]
    out = a.graph.value((*a.shape[:-1], n))
    fields = {"adjX": False, "adjY": transpose_b}
    a.graph.operator("BATCH_MATMUL", (a, b), (out,), ("BatchMatMulOptions", fields))
    return out


def _reduce(name: str, x: Value, axes: Sequence[int], keep_dims: bool) -> Value:
    dropped = {axis % len(x.shape) for axis in axes}
    shape = [
        1 if axis in dropped else size
        for axis, size in enumerate(x.shape)
        if keep_dims or axis not in dropped
    ]
    out = x.graph.value(shape, x.dtype)
    table = x.graph.integers(sorted(dropped))
    fields = {"keepDims": keep_dims}
    x.graph.operator(name, (x, table), (out,), ("ReducerOptions", fields))
    return out
