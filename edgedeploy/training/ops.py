"""TensorFlow Lite's builtin operators as functions of values.

Semantics and option tables are those of TensorFlow Lite's schema.fbs and its
reference kernels; shapes are worked out here because the file has to state them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from edgedeploy.training.graph import Graph, Value

Operand = Value | float
# XNNPACK concatenates at most five tensors at once.
_JOIN_LIMIT = 5
_PADDING = {"same": 0, "valid": 1}
_ACTIVATION = {"": 0, "relu": 1, "relu_n1_to_1": 2, "relu6": 3}


def add(a: Operand, b: Operand, activation: str = "") -> Value:
    """Sum with broadcasting, then "", "relu" or "relu6"."""
    return _binary("ADD", a, b, "AddOptions", activation)


def subtract(a: Operand, b: Operand, activation: str = "") -> Value:
    """Difference with broadcasting, then "", "relu" or "relu6"."""
    return _binary("SUB", a, b, "SubOptions", activation)


def multiply(a: Operand, b: Operand, activation: str = "") -> Value:
    """Product with broadcasting, then "", "relu" or "relu6"."""
    return _binary("MUL", a, b, "MulOptions", activation)


def divide(a: Operand, b: Operand, activation: str = "") -> Value:
    """Quotient with broadcasting, then "", "relu" or "relu6"."""
    return _binary("DIV", a, b, "DivOptions", activation)


def maximum(a: Operand, b: Operand) -> Value:
    """Larger of two, with broadcasting."""
    return _binary("MAXIMUM", a, b, "MaximumMinimumOptions", None)


def minimum(a: Operand, b: Operand) -> Value:
    """Smaller of two, with broadcasting."""
    return _binary("MINIMUM", a, b, "MaximumMinimumOptions", None)


def floor_mod(a: Operand, b: Operand) -> Value:
    """Remainder with the divisor's sign."""
    return _binary("FLOOR_MOD", a, b, "FloorModOptions", None)


def equal(a: Operand, b: Operand) -> Value:
    """Where a == b; bool."""
    return _binary("EQUAL", a, b, "EqualOptions", None, dtype="bool")


def greater_equal(a: Operand, b: Operand) -> Value:
    """Where a >= b; bool."""
    return _binary("GREATER_EQUAL", a, b, "GreaterEqualOptions", None, dtype="bool")


def greater(a: Operand, b: Operand) -> Value:
    """Where a > b; bool."""
    return _binary("GREATER", a, b, "GreaterOptions", None, dtype="bool")


def select(condition: Value, a: Operand, b: Operand) -> Value:
    """Take a where the condition holds, b elsewhere; all broadcast."""
    graph = condition.graph
    left, right = _value(graph, a), _value(graph, b)
    shape = _broadcast(condition.shape, _broadcast(left.shape, right.shape))
    out = graph.value(shape, left.dtype)
    graph.operator(
        "SELECT_V2", (condition, left, right), (out,), ("SelectV2Options", {})
    )
    return out


def unary(name: str, x: Value) -> Value:
    """Apply an elementwise operator without options, such as "RELU" or "TANH"."""
    out = x.graph.value(x.shape, x.dtype)
    x.graph.operator(name, (x,), (out,))
    return out


def cast(x: Value, dtype: str) -> Value:
    """Convert to another dtype."""
    out = x.graph.value(x.shape, dtype)
    x.graph.operator("CAST", (x,), (out,))
    return out


def softmax(x: Value) -> Value:
    """Softmax over the last dimension."""
    out = x.graph.value(x.shape)
    x.graph.operator("SOFTMAX", (x,), (out,), ("SoftmaxOptions", {"beta": 1.0}))
    return out


def reshape(x: Value, shape: Sequence[int]) -> Value:
    """Give the same numbers another shape.

    With an open batch the first size stays the batch's.
    """
    sizes = tuple(int(size) for size in shape)
    if sizes == x.shape:
        return x
    wanted = [-1, *sizes[1:]] if x.graph.open_batch else list(sizes)
    out = x.graph.value(sizes, x.dtype)
    x.graph.operator(
        "RESHAPE",
        (x, _integers(x.graph, wanted)),
        (out,),
        ("ReshapeOptions", {"newShape": wanted}),
    )
    return out


def transpose(x: Value, order: Sequence[int]) -> Value:
    """Reorder dimensions."""
    out = x.graph.value([x.shape[axis] for axis in order], x.dtype)
    x.graph.operator("TRANSPOSE", (x, _integers(x.graph, order)), (out,))
    return out


def cut(x: Value, begin: Sequence[int], size: Sequence[int]) -> Value:
    """Copy a block: SLICE, which unlike STRIDED_SLICE is fast everywhere.

    Args:
        x: Any rank.
        begin: First index in each dimension.
        size: Count in each dimension; -1 for the rest.
    """
    counts = [
        total - start if count < 0 else count
        for total, start, count in zip(x.shape, begin, size, strict=True)
    ]
    if tuple(counts) == x.shape:
        return x
    wanted = [-1, *counts[1:]] if x.graph.open_batch else counts
    out = x.graph.value(counts, x.dtype)
    x.graph.operator(
        "SLICE",
        (x, _integers(x.graph, begin), _integers(x.graph, wanted)),
        (out,),
        ("SliceOptions", {}),
    )
    return out


def concatenate(parts: Sequence[Value], axis: int) -> Value:
    """Join along a dimension."""
    if len(parts) == 1:
        return parts[0]
    shape = list(parts[0].shape)
    axis %= len(shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    graph = parts[0].graph
    out = graph.value(shape, parts[0].dtype)
    fields = {"axis": axis, "fusedActivationFunction": 0}
    graph.operator("CONCATENATION", parts, (out,), ("ConcatenationOptions", fields))
    return out


def join(parts: Sequence[Value], axis: int) -> Value:
    """Concatenate any number of values, at most five at once, as XNNPACK wants it."""
    while len(parts) > 1:
        parts = [
            concatenate(parts[k : k + _JOIN_LIMIT], axis)
            for k in range(0, len(parts), _JOIN_LIMIT)
        ]
    return parts[0]


def pad(x: Value, amounts: Sequence[tuple[int, int]]) -> Value:
    """Add zeros before and after in each dimension."""
    if not any(before or after for before, after in amounts):
        return x
    shape = [n + a + b for n, (a, b) in zip(x.shape, amounts, strict=True)]
    out = x.graph.value(shape, x.dtype)
    table = x.graph.constant(np.array(amounts, np.int32))
    x.graph.operator("PAD", (x, table), (out,))
    return out


def pad_with(x: Value, amounts: Sequence[tuple[int, int]], filler: float) -> Value:
    """Add a constant before and after in each dimension."""
    if not any(before or after for before, after in amounts):
        return x
    shape = [n + a + b for n, (a, b) in zip(x.shape, amounts, strict=True)]
    out = x.graph.value(shape, x.dtype)
    table = x.graph.constant(np.array(amounts, np.int32))
    x.graph.operator("PADV2", (x, table, x.graph.constant(filler)), (out,))
    return out


def space_to_depth(x: Value, block: int) -> Value:
    """Move blocks of pixels into channels: [n, h·b, w·b, c] to [n, h, w, b·b·c]."""
    n, h, w, c = x.shape
    out = x.graph.value((n, h // block, w // block, block * block * c))
    fields = {"blockSize": block}
    x.graph.operator("SPACE_TO_DEPTH", (x,), (out,), ("SpaceToDepthOptions", fields))
    return out


def depth_to_space(x: Value, block: int) -> Value:
    """Undo `space_to_depth`."""
    n, h, w, c = x.shape
    out = x.graph.value((n, h * block, w * block, c // block**2))
    fields = {"blockSize": block}
    x.graph.operator("DEPTH_TO_SPACE", (x,), (out,), ("DepthToSpaceOptions", fields))
    return out


def reduce_sum(x: Value, axes: Sequence[int], *, keep_dims: bool = False) -> Value:
    """Sum over dimensions."""
    return _reduce("SUM", x, axes, keep_dims)


def reduce_mean(x: Value, axes: Sequence[int], *, keep_dims: bool = False) -> Value:
    """Mean over dimensions."""
    return _reduce("MEAN", x, axes, keep_dims)


def reduce_max(x: Value, axes: Sequence[int], *, keep_dims: bool = False) -> Value:
    """Maximum over dimensions."""
    return _reduce("REDUCE_MAX", x, axes, keep_dims)


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


def window_count(size: int, kernel: int, stride: int, padding: str) -> int:
    """Windows along one dimension, by TensorFlow's "same" and "valid" rules."""
    if padding == "same":
        return -(-size // stride)
    return (size - kernel) // stride + 1


def conv_2d(
    x: Value, filters: Value, bias: Value, *, strides: tuple[int, int], padding: str
) -> Value:
    """Convolution by LiteRT's own operator; filters are (out, h, w, in)."""
    co, kh, kw, _ = filters.shape
    fields = _window_fields(strides, padding)
    fields |= {"dilationHFactor": 1, "dilationWFactor": 1}
    return _window(
        "CONV_2D", (x, filters, bias), (kh, kw), strides, padding, co,
        ("Conv2DOptions", fields),
    )  # fmt: skip


def depthwise_conv_2d(
    x: Value, filters: Value, bias: Value, *, strides: tuple[int, int], padding: str
) -> Value:
    """Depthwise convolution; filters are (1, h, w, in·multiplier)."""
    _, kh, kw, co = filters.shape
    fields = _window_fields(strides, padding)
    fields |= {"dilationHFactor": 1, "dilationWFactor": 1}
    fields["depthMultiplier"] = co // x.shape[-1]
    return _window(
        "DEPTHWISE_CONV_2D", (x, filters, bias), (kh, kw), strides, padding, co,
        ("DepthwiseConv2DOptions", fields),
    )  # fmt: skip


def pool_2d(
    kind: str,
    x: Value,
    *,
    size: tuple[int, int],
    strides: tuple[int, int],
    padding: str,
) -> Value:
    """Pool by LiteRT's own operator, "MAX_POOL_2D" or "AVERAGE_POOL_2D"."""
    fields = _window_fields(strides, padding)
    fields |= {"filterHeight": size[0], "filterWidth": size[1]}
    return _window(
        kind, (x,), size, strides, padding, x.shape[-1], ("Pool2DOptions", fields)
    )


def fill(graph: Graph, shape: Sequence[int], number: float) -> Value:
    """Make a tensor of equal numbers without storing them."""
    out = graph.value(shape)
    table = _integers(graph, shape)
    graph.operator("FILL", (table, graph.constant(number)), (out,), ("FillOptions", {}))
    return out


def _window(
    name: str,
    inputs: Sequence[Value],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    padding: str,
    channels: int,
    options: tuple[str, dict[str, Any]],
) -> Value:
    x = inputs[0]
    rows = window_count(x.shape[1], kernel[0], strides[0], padding)
    columns = window_count(x.shape[2], kernel[1], strides[1], padding)
    out = x.graph.value((x.shape[0], rows, columns, channels))
    x.graph.operator(name, inputs, (out,), options)
    return out


def _window_fields(strides: tuple[int, int], padding: str) -> dict[str, Any]:
    return {
        "padding": _PADDING[padding],
        "strideH": strides[0],
        "strideW": strides[1],
        "fusedActivationFunction": 0,
    }


def _binary(
    name: str,
    a: Operand,
    b: Operand,
    table: str,
    activation: str | None,
    dtype: str = "",
) -> Value:
    graph = a.graph if isinstance(a, Value) else b.graph  # type: ignore[union-attr]
    left, right = _value(graph, a), _value(graph, b)
    fields = {}
    if activation is not None:
        fields["fusedActivationFunction"] = _ACTIVATION[activation]
    out = graph.value(_broadcast(left.shape, right.shape), dtype or left.dtype)
    graph.operator(name, (left, right), (out,), (table, fields))
    return out


def _reduce(name: str, x: Value, axes: Sequence[int], keep_dims: bool) -> Value:
    dropped = {axis % len(x.shape) for axis in axes}
    shape = [
        1 if axis in dropped else size
        for axis, size in enumerate(x.shape)
        if keep_dims or axis not in dropped
    ]
    out = x.graph.value(shape, x.dtype)
    table = _integers(x.graph, sorted(dropped))
    fields = {"keepDims": keep_dims}
    x.graph.operator(name, (x, table), (out,), ("ReducerOptions", fields))
    return out


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(size) for size in np.broadcast_shapes(a, b))


def _value(graph: Graph, operand: Operand) -> Value:
    return operand if isinstance(operand, Value) else graph.constant(operand)


def _integers(graph: Graph, numbers: Sequence[int]) -> Value:
    return graph.constant(np.array(numbers, np.int32))


def flat_rows(x: Value) -> Value:
    """View as a matrix with a leading 1: [..., c] to [1, rows, c].

    XNNPACK takes products of rank 3; one of rank 2 may end in a slower kernel.
    """
    return reshape(x, (1, prod(x.shape[:-1]), x.shape[-1]))


def transpose_weights(kernel: Value, order: Sequence[int]) -> Value:
    """Reorder a weight's dimensions, at once where it is a constant."""
    data = kernel.graph.data_of(kernel)
    if data is None:
        return transpose(kernel, order)
    return kernel.graph.constant(np.ascontiguousarray(data.transpose(order)))


def reshape_weights(kernel: Value, shape: Sequence[int]) -> Value:
    """Give a weight another shape, also where the graph's batch is open."""
    data = kernel.graph.data_of(kernel)
    if data is not None:
        return kernel.graph.constant(data.reshape(shape))
    out = kernel.graph.value(shape, kernel.dtype)
    sizes = [int(size) for size in shape]
    kernel.graph.operator(
        "RESHAPE",
        (kernel, _integers(kernel.graph, sizes)),
        (out,),
        ("ReshapeOptions", {"newShape": sizes}),
    )
    return out


def arg_max(x: Value) -> Value:
    """Index of the largest number of each row, int32."""
    out = x.graph.value(x.shape[:-1], "int32")
    axis = x.graph.constant(np.array(len(x.shape) - 1, np.int32))
    # 2 is INT32 in the schema's TensorType.
    x.graph.operator("ARG_MAX", (x, axis), (out,), ("ArgMaxOptions", {"outputType": 2}))
    return out
