"""A convolution, its 2x2 max-pooling and its ReLU as one.

The four convolution outputs of a pooling window come from four products, one for each
corner, so that nothing is ever taken apart or put together again, and bias and ReLU
work on a quarter of the numbers. max(a + b) = max(a) + b, and ReLU grows, so both may
come last.
"""

from __future__ import annotations

from edgedeploy.training import ops
from edgedeploy.training.graph import Value
from edgedeploy.training.layers.activations import positive
from edgedeploy.training.layers.convolution import (
    as_matrix,
    builtin_convolution,
    filter_gradient,
    no_gradient,
    patches_of,
    scatter_patches,
)
from edgedeploy.training.layers.rule import Backward, Call, Gradient
from edgedeploy.training.layers.windows import Windows, windows_of

# A power of two, so nothing is rounded. Convolution outputs are worked out this much
# larger: the difference of two that differ is then beyond 1, and one comparison with 1
# makes a mask of it. They may be 2⁻⁵⁶ to 2⁴⁷, beyond which training is lost anyhow.
_SCALE = 2.0**80
_CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


def pooled_convolution(call: Call) -> tuple[Value, Backward]:
    """Conv2D of stride 1, MaxPooling2D of 2x2, and ReLU if the settings say so."""
    if not call.run.training:
        return _builtin(call), no_gradient
    x, kernel = call.x, call.weights["kernel"]
    bias = call.weights.get("bias")
    relu = call.layer.setting("relu")
    windows = windows_of(x, kernel.shape[:2], (1, 1), call.layer.setting("padding"))
    padded = ops.pad(x, ((0, 0), *windows.padding, (0, 0)))
    down, across = (count // 2 for count in windows.count)
    extent = (2 * down - 2 + kernel.shape[0], 2 * across - 2 + kernel.shape[1])
    corner = Windows(
        size=extent, kernel=windows.kernel, strides=(2, 2), padding=((0, 0), (0, 0))
    )
    n, _, _, channels = x.shape
    seen = [ops.cut(padded, (0, a, b, 0), (n, *extent, channels)) for a, b in _CORNERS]
    patches = [patches_of(part, corner) for part in seen]
    matrix = as_matrix(kernel)
    scaled = ops.multiply(matrix, _SCALE)
    outputs = [ops.matmul(part, scaled) for part in patches]
    upper = ops.maximum(outputs[0], outputs[1])
    lower = ops.maximum(outputs[2], outputs[3])
    largest = ops.maximum(upper, lower)
    best = ops.multiply(largest, 1.0 / _SCALE)
    if bias is not None:
        best = ops.add(best, bias, "relu" if relu else "")
    elif relu:
        best = ops.unary("RELU", best)

    def backward(dy: Value, wanted: tuple[bool, ...]) -> Gradient:
        flow = ops.flat_rows(dy)
        if relu:
            flow = ops.multiply(flow, positive(best))
        # Of equal values the first gets the gradient, as in TensorFlow.
        up, low = _split(flow, upper, largest)
        flows = [*_split(up, outputs[0], upper), *_split(low, outputs[2], lower)]
        weights = {}
        if call.layer.trainable:
            sums = [filter_gradient(*pair) for pair in zip(patches, flows, strict=True)]
            weights["kernel"] = ops.reshape(_total(sums), kernel.shape)
            if bias is not None:
                weights["bias"] = ops.reduce_sum(flow, (0, 1))
        dx = None
        if wanted[0]:
            dx = _spread(flows, matrix, seen, corner, padded)
            (top, _), (left, _) = windows.padding
            dx = ops.cut(dx, (0, top, left, 0), x.shape)
        return Gradient(inputs=(dx,), weights=weights)

    return ops.reshape(best, (n, down, across, kernel.shape[-1])), backward


def _split(flow: Value, first: Value, larger: Value) -> tuple[Value, Value]:
    """Send a gradient to the larger of two, or to the first of equals.

    Both are scaled, so their difference is either 0 or beyond 1.
    """
    to_second = ops.multiply(flow, ops.minimum(ops.subtract(larger, first), 1.0))
    return ops.subtract(flow, to_second), to_second


def _spread(
    flows: list[Value],
    matrix: Value,
    seen: list[Value],
    corner: Windows,
    padded: Value,
) -> Value:
    """Bring the four corners' gradients back to the padded picture."""
    parts = []
    for (a, b), flow, part in zip(_CORNERS, flows, seen, strict=True):
        spread = ops.matmul(flow, matrix, transpose_b=True)
        whole = scatter_patches(spread, part, corner)
        down, across = (
            total - size - offset
            for total, size, offset in zip(
                padded.shape[1:3], corner.size, (a, b), strict=True
            )
        )
        parts.append(ops.pad(whole, ((0, 0), (a, down), (b, across), (0, 0))))
    return _total(parts)


def _total(values: list[Value]) -> Value:
    total = values[0]
    for value in values[1:]:
        total = ops.add(total, value)
    return total


def _builtin(call: Call) -> Value:
    y = ops.pool_2d(
        "MAX_POOL_2D",
        builtin_convolution(call),
        size=(2, 2),
        strides=(2, 2),
        padding="valid",
    )
    return ops.unary("RELU", y) if call.layer.setting("relu") else y
