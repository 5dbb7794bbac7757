"""Pooling: the largest or the mean of each window, or of the whole picture."""

from __future__ import annotations

import numpy as np

from edgedeploy.training import ops
from edgedeploy.training.graph import Value
from edgedeploy.training.layers.activations import positive
from edgedeploy.training.layers.rule import Backward, Call, Gradient, only_input
from edgedeploy.training.layers.windows import (
    LOWEST,
    Windows,
    gather,
    scatter,
    windows_of,
)


def max_pooling(call: Call) -> tuple[Value, Backward]:
    """MaxPooling2D; of equal values the first of a window gets the gradient.

    That is what TensorFlow's own kernel does, where the window is read row by row.
    """
    x = call.x
    windows = _windows(call)
    y = _pool("MAX_POOL_2D", call)

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        parts: list[Value] = []
        left = dy
        seen = gather(x, windows, LOWEST)
        for value in seen[:-1]:
            rest = ops.multiply(left, positive(ops.subtract(y, value)))
            parts.append(ops.subtract(left, rest))
            left = rest
        # What no earlier position took belongs to the last.
        return only_input(scatter([*parts, left], windows))

    return y, backward


def average_pooling(call: Call) -> tuple[Value, Backward]:
    """AveragePooling2D; padding is not counted, as in TensorFlow."""
    x = call.x
    windows = _windows(call)
    y = _pool("AVERAGE_POOL_2D", call)

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        share = ops.multiply(dy, x.graph.constant(1.0 / _counts(windows)))
        return only_input(scatter([share] * len(windows.positions), windows))

    return y, backward


def global_average_pooling(call: Call) -> tuple[Value, Backward]:
    """GlobalAveragePooling2D; every pixel gets the same share."""
    x = call.x
    keep = call.layer.setting("keep_dims")
    y = ops.reduce_mean(x, (1, 2), keep_dims=keep)

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        n, h, w, c = x.shape
        share = np.full((1, h, w, 1), 1.0 / (h * w), np.float32)
        wide = ops.reshape(dy, (n, 1, 1, c))
        return only_input(ops.multiply(wide, x.graph.constant(share)))

    return y, backward


def _windows(call: Call) -> Windows:
    setting = call.layer.setting
    return windows_of(call.x, setting("size"), setting("strides"), setting("padding"))


def _pool(kind: str, call: Call) -> Value:
    setting = call.layer.setting
    return ops.pool_2d(
        kind,
        call.x,
        size=setting("size"),
        strides=setting("strides"),
        padding=setting("padding"),
    )


def _counts(windows: Windows) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Pixels in each window that are no padding, (1, down, across, 1)."""
    counts = []
    for axis in (0, 1):
        before, _ = windows.padding[axis]
        first = np.arange(windows.count[axis]) * windows.strides[axis] - before
        last = np.minimum(first + windows.kernel[axis], windows.size[axis])
        counts.append((last - np.maximum(first, 0)).astype(np.float32))
    grid = counts[0][:, None] * counts[1][None, :]
    return np.asarray(grid.reshape(1, *windows.count, 1), np.float32)
