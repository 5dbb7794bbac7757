"""Layers with several inputs."""

from __future__ import annotations

from edgedeploy.training import ops
from edgedeploy.training.graph import Value
from edgedeploy.training.layers.rule import Backward, Call, Gradient


def add(call: Call) -> tuple[Value, Backward]:
    """Sum of inputs of one shape; each gets the output's gradient."""
    y = call.inputs[0]
    for other in call.inputs[1:]:
        y = ops.add(y, other)

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        return Gradient(inputs=(dy,) * len(call.inputs))

    return y, backward


def concatenate(call: Call) -> tuple[Value, Backward]:
    """Inputs side by side; each gets its own piece of the gradient."""
    axis = call.layer.setting("axis")
    y = ops.join(call.inputs, axis)

    def backward(dy: Value, wanted: tuple[bool, ...]) -> Gradient:
        pieces: list[Value | None] = []
        start = 0
        for x, asked in zip(call.inputs, wanted, strict=True):
            begin = [0] * len(x.shape)
            begin[axis] = start
            pieces.append(ops.cut(dy, begin, x.shape) if asked else None)
            start += x.shape[axis]
        return Gradient(inputs=tuple(pieces))

    return y, backward
