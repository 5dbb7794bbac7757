"""Convolution as matrix products, and LiteRT's own operator where nothing is learnt.

A convolution is a product of patches, shape (windows, kh·kw·c), with the kernel laid
out as a matrix (im2col). Its filter gradient is patchesᵀ·dy, and its input gradient
dy·kernelᵀ scattered back to the pixels.
"""

from __future__ import annotations

from math import prod

import numpy as np

from edgedeploy.training import ops
from edgedeploy.training.graph import Value
from edgedeploy.training.layers.rule import Backward, Call, Gradient
from edgedeploy.training.layers.windows import Windows, gather, scatter, windows_of

# Up to this many numbers a patch, XNNPACK's convolution with a constant one-hot
# filter makes patches faster than copies of a few bytes each do.
_ONE_HOT_LIMIT = 32


def convolution(call: Call) -> tuple[Value, Backward]:
    """Conv2D of any kernel, strides and padding."""
    if not call.run.training:
        return builtin_convolution(call), no_gradient
    x, kernel, bias = call.x, call.weights["kernel"], call.weights.get("bias")
    windows = windows_of(
        x, kernel.shape[:2], call.layer.setting("strides"),
        call.layer.setting("padding"),
    )  # fmt: skip
    patches = patches_of(x, windows)
    matrix = as_matrix(kernel)
    rows = ops.matmul(patches, matrix)
    if bias is not None:
        rows = ops.add(rows, bias)
    y = ops.reshape(rows, (x.shape[0], *windows.count, kernel.shape[-1]))

    def backward(dy: Value, wanted: tuple[bool, ...]) -> Gradient:
        flow = ops.flat_rows(dy)
        weights = {}
        if call.layer.trainable:
            weights["kernel"] = ops.reshape(
                filter_gradient(patches, flow), kernel.shape
            )
            if bias is not None:
                weights["bias"] = ops.reduce_sum(flow, (0, 1))
        dx = None
        if wanted[0]:
            spread = ops.matmul(flow, matrix, transpose_b=True)
            dx = scatter_patches(spread, x, windows)
        return Gradient(inputs=(dx,), weights=weights)

    return y, backward


def as_matrix(kernel: Value) -> Value:
    """Lay out a kernel (kh, kw, in, out) as (1, kh·kw·in, out)."""
    return ops.reshape(kernel, (1, prod(kernel.shape[:-1]), kernel.shape[-1]))


def patches_of(x: Value, windows: Windows) -> Value:
    """Write out what each window sees, (1, windows, kh·kw·c)."""
    if _is_pointwise(windows):
        return ops.flat_rows(x)
    if _is_tiling(windows):
        return ops.flat_rows(ops.space_to_depth(x, windows.kernel[0]))
    channels = x.shape[-1]
    numbers = prod(windows.kernel) * channels
    if channels < 4 and numbers <= _ONE_HOT_LIMIT:
        return ops.flat_rows(_one_hot_patches(x, windows))
    return ops.flat_rows(ops.join(gather(x, windows), 3))


def scatter_patches(spread: Value, x: Value, windows: Windows) -> Value:
    """Bring gradients of patches, (1, windows, kh·kw·c), back to the pixels."""
    if _is_pointwise(windows):
        return ops.reshape(spread, x.shape)
    if _is_tiling(windows):
        down, across = windows.count
        blocks = ops.reshape(spread, (x.shape[0], down, across, spread.shape[-1]))
        return ops.depth_to_space(blocks, windows.kernel[0])
    channels = x.shape[-1]
    shape = (x.shape[0], *windows.count, channels)
    spread = ops.reshape(spread, (*shape[:3], spread.shape[-1]))
    parts = [
        ops.cut(spread, (0, 0, 0, k * channels), shape)
        for k in range(len(windows.positions))
    ]
    return scatter(parts, windows)


def filter_gradient(patches: Value, flow: Value) -> Value:
    """Multiply patchesᵀ by dy, (1, kh·kw·c, out)."""
    return ops.matmul(ops.transpose(patches, (0, 2, 1)), flow)


def _is_pointwise(windows: Windows) -> bool:
    return windows.kernel == (1, 1) and windows.strides == (1, 1)


def _is_tiling(windows: Windows) -> bool:
    """Tell whether the windows are blocks that cover the picture once."""
    kh, kw = windows.kernel
    down, across = windows.count
    return (
        kh == kw
        and windows.strides == (kh, kw)
        and windows.padding == ((0, 0), (0, 0))
        and windows.size == (down * kh, across * kw)
    )


def _one_hot_patches(x: Value, windows: Windows) -> Value:
    numbers = prod(windows.kernel) * x.shape[-1]
    one_hot = np.eye(numbers, dtype=np.float32)
    filters = one_hot.reshape(numbers, *windows.kernel, x.shape[-1])
    (top, bottom), (left, right) = windows.padding
    return ops.conv_2d(
        ops.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0))),
        x.graph.constant(filters),
        x.graph.constant(np.zeros(numbers, np.float32)),
        strides=windows.strides,
        padding="valid",
    )


def builtin_convolution(call: Call) -> Value:
    """Convolve by LiteRT's own operator, without a way back."""
    kernel = call.weights["kernel"]
    bias = call.weights.get("bias")
    if bias is None:
        bias = call.x.graph.constant(np.zeros(kernel.shape[-1], np.float32))
    return ops.conv_2d(
        call.x,
        ops.transpose_weights(kernel, (3, 0, 1, 2)),
        bias,
        strides=call.layer.setting("strides"),
        padding=call.layer.setting("padding"),
    )


def no_gradient(_dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
    """Stand for the way back where there is none."""
    raise AssertionError("an inference pass has no gradients")
