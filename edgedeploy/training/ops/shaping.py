"""Operators that move numbers, or give them another shape."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from edgedeploy.training.graph import Graph, Value

# XNNPACK concatenates at most five tensors at once.
_JOIN_LIMIT = 5


def reshape(x: Value, shape: Sequence[int]) -> Value:
    """Give the same numbers another shape.

    With an open batch the first size stays the batch's.
    """
    sizes = tuple(int(size) for size in shape)
    if sizes == x.shape:
        return x
    wanted = [-1, *sizes[1:]] if x.graph.open_batch else list(sizes)
    return _reshape(x, sizes, wanted)


def reshape_weights(kernel: Value, shape: Sequence[int]) -> Value:
    """Give a weight another shape, also where the graph's batch is open."""
    data = kernel.graph.data_of(kernel)
    if data is not None:
        return kernel.graph.constant(data.reshape(shape))
    sizes = [int(size) for size in shape]
    return _reshape(kernel, sizes, sizes)


def flat_rows(x: Value) -> Value:
    """View as a matrix with a leading 1: [..., c] to [1, rows, c].

    XNNPACK takes products of rank 3; one of rank 2 may end in a slower kernel.
    """
    return reshape(x, (1, prod(x.shape[:-1]), x.shape[-1]))


def transpose(x: Value, order: Sequence[int]) -> Value:
    """Reorder dimensions."""
    out = x.graph.value([x.shape[axis] for axis in order], x.dtype)
    x.graph.operator("TRANSPOSE", (x, x.graph.integers(order)), (out,))
    return out


def transpose_weights(kernel: Value, order: Sequence[int]) -> Value:
    """Reorder a weight's dimensions, at once where it is a constant."""
    data = kernel.graph.data_of(kernel)
    if data is None:
        return transpose(kernel, order)
    return kernel.graph.constant(np.ascontiguousarray(data.transpose(order)))


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
        (x, x.graph.integers(begin), x.graph.integers(wanted)),
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
    return _pad("PAD", x, amounts)


def pad_with(x: Value, amounts: Sequence[tuple[int, int]], filler: float) -> Value:
    """Add a constant before and after in each dimension."""
    return _pad("PADV2", x, amounts, filler)


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


def fill(graph: Graph, shape: Sequence[int], number: float) -> Value:
    """Make a tensor of equal numbers without storing them."""
    out = graph.value(shape)
    table = graph.integers(shape)
    graph.operator("FILL", (table, graph.constant(number)), (out,), ("FillOptions", {}))
    return out


def _reshape(x: Value, sizes: Sequence[int], wanted: list[int]) -> Value:
    out = x.graph.value(sizes, x.dtype)
    x.graph.operator(
        "RESHAPE",
        (x, x.graph.integers(wanted)),
        (out,),
        ("ReshapeOptions", {"newShape": wanted}),
    )
    return out


def _pad(
    name: str, x: Value, amounts: Sequence[tuple[int, int]], *fillers: float
) -> Value:
    if not any(before or after for before, after in amounts):
        return x
    shape = [n + a + b for n, (a, b) in zip(x.shape, amounts, strict=True)]
    out = x.graph.value(shape, x.dtype)
    table = x.graph.constant(np.array(amounts, np.int32))
    x.graph.operator(name, (x, table, *map(x.graph.constant, fillers)), (out,))
    return out
