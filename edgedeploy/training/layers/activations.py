"""Activations: elementwise functions, and softmax over the last dimension."""

from __future__ import annotations

from edgedeploy.training import ops
from edgedeploy.training.graph import Value
from edgedeploy.training.layers.rule import Backward, Call, Gradient, only_input


def relu(call: Call) -> tuple[Value, Backward]:
    """max(x, 0); the gradient at 0 is 0, as in TensorFlow."""
    y = ops.unary("RELU", call.x)

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        return only_input(ops.multiply(dy, positive(y)))

    return y, backward


def relu6(call: Call) -> tuple[Value, Backward]:
    """min(max(x, 0), 6); the gradient at 0 and at 6 is 0, as in TensorFlow."""
    y = ops.unary("RELU6", call.x)

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        inside = ops.multiply(positive(y), positive(ops.subtract(6.0, y)))
        return only_input(ops.multiply(dy, inside))

    return y, backward


def sigmoid(call: Call) -> tuple[Value, Backward]:
    """Logistic function, 1 / (1 + exp(-x)); the derivative is y·(1 - y)."""
    y = ops.unary("LOGISTIC", call.x)

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        slope = ops.multiply(y, ops.subtract(1.0, y))
        return only_input(ops.multiply(dy, slope))

    return y, backward


def tanh(call: Call) -> tuple[Value, Backward]:
    """Hyperbolic tangent; the derivative is 1 - y²."""
    y = ops.unary("TANH", call.x)

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        slope = ops.subtract(1.0, ops.multiply(y, y))
        return only_input(ops.multiply(dy, slope))

    return y, backward


def softmax(call: Call) -> tuple[Value, Backward]:
    """Softmax; the Jacobian applied to dy is y·(dy - Σ dy·y)."""
    y = ops.softmax(call.x)

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        mean = ops.reduce_sum(ops.multiply(dy, y), (-1,), keep_dims=True)
        return only_input(ops.multiply(y, ops.subtract(dy, mean)))

    return y, backward


def positive(y: Value) -> Value:
    """1.0 where y > 0, 0.0 where y is 0; y is never negative.

    Arithmetic, because comparisons would leave XNNPACK's partition.
    """
    return ops.multiply(y, 1e38, "relu_n1_to_1")
