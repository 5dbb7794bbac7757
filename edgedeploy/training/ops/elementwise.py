"""Operators that take number after number; two operands are broadcast."""

from __future__ import annotations

import numpy as np

from edgedeploy.training.graph import Graph, Value

Operand = Value | float
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


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(size) for size in np.broadcast_shapes(a, b))


def _value(graph: Graph, operand: Operand) -> Value:
    return operand if isinstance(operand, Value) else graph.constant(operand)
