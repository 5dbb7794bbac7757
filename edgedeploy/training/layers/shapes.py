"""Layers that rearrange or scale and learn nothing."""

from __future__ import annotations

from math import prod

from edgedeploy.training import ops
from edgedeploy.training.graph import Value
from edgedeploy.training.layers.rule import Backward, Call, Gradient, only_input


def reshape(call: Call) -> tuple[Value, Backward]:
    """Flatten and Reshape: the same numbers in another shape."""
    x = call.x
    shape = call.layer.setting("shape")

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        return only_input(ops.reshape(dy, x.shape))

    if shape == (-1,):
        shape = (prod(x.shape[1:]),)
    return ops.reshape(x, (x.shape[0], *shape)), backward


def zero_padding(call: Call) -> tuple[Value, Backward]:
    """Zeros around a picture; their gradient goes nowhere."""
    x = call.x
    (top, bottom), (left, right) = call.layer.setting("padding")
    y = ops.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        return only_input(ops.cut(dy, (0, top, left, 0), x.shape))

    return y, backward


def rescaling(call: Call) -> tuple[Value, Backward]:
    """x·scale + offset with fixed numbers."""
    scale = call.layer.setting("scale")
    y = ops.add(ops.multiply(call.x, scale), call.layer.setting("offset"))

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        return only_input(ops.multiply(dy, scale))

    return y, backward
