"""Depthwise convolution: one small filter, or several, for each channel."""

from __future__ import annotations

from math import prod

import numpy as np

from edgedeploy.training import ops
from edgedeploy.training.graph import Value
from edgedeploy.training.layers.convolution import no_gradient
from edgedeploy.training.layers.rule import Backward, Call, Gradient
from edgedeploy.training.layers.windows import gather, scatter, windows_of


def depthwise(call: Call) -> tuple[Value, Backward]:
    """DepthwiseConv2D; the kernel is (kh, kw, in, multiplier).

    For each position of the kernel, y += x·w; dw = Σ x·dy and dx = Σ dy·w.
    """
    if not call.run.training:
        return _builtin(call), no_gradient
    x, kernel, bias = call.x, call.weights["kernel"], call.weights.get("bias")
    kh, kw, channels, multiplier = kernel.shape
    windows = windows_of(
        x, (kh, kw), call.layer.setting("strides"), call.layer.setting("padding")
    )
    rows = x.shape[0] * prod(windows.count)
    seen = [ops.reshape(tap, (rows, channels, 1)) for tap in gather(x, windows)]
    filters = [
        ops.reshape(
            ops.cut(kernel, (i, j, 0, 0), (1, 1, channels, multiplier)),
            (1, channels, multiplier),
        )
        for i, j in windows.positions
    ]
    total = ops.multiply(seen[0], filters[0])
    for tap, weight in zip(seen[1:], filters[1:], strict=True):
        total = ops.add(total, ops.multiply(tap, weight))
    y = ops.reshape(total, (x.shape[0], *windows.count, channels * multiplier))
    if bias is not None:
        y = ops.add(y, bias)

    def backward(dy: Value, wanted: tuple[bool, ...]) -> Gradient:
        flow = ops.reshape(dy, (rows, channels, multiplier))
        weights = {}
        if call.layer.trainable:
            sums = [
                ops.reduce_sum(ops.multiply(tap, flow), (0,), keep_dims=True)
                for tap in seen
            ]
            weights["kernel"] = ops.reshape(ops.join(sums, 0), kernel.shape)
            if bias is not None:
                weights["bias"] = ops.reduce_sum(ops.flat_rows(dy), (0, 1))
        dx = None
        if wanted[0]:
            shape = (x.shape[0], *windows.count, channels)
            parts = [
                ops.reshape(_narrow(ops.multiply(flow, weight)), shape)
                for weight in filters
            ]
            dx = scatter(parts, windows)
        return Gradient(inputs=(dx,), weights=weights)

    return y, backward


def _narrow(value: Value) -> Value:
    """Add up the multiplier's channels: (rows, c, m) to (rows, c, 1)."""
    if value.shape[-1] == 1:
        return value
    return ops.reduce_sum(value, (2,), keep_dims=True)


def _builtin(call: Call) -> Value:
    kernel = call.weights["kernel"]
    kh, kw, channels, multiplier = kernel.shape
    bias = call.weights.get("bias")
    if bias is None:
        bias = call.x.graph.constant(np.zeros(channels * multiplier, np.float32))
    return ops.depthwise_conv_2d(
        call.x,
        ops.reshape_weights(kernel, (1, kh, kw, channels * multiplier)),
        bias,
        strides=call.layer.setting("strides"),
        padding=call.layer.setting("padding"),
    )
