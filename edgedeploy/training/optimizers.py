"""Optimizers as in Keras: SGD, SGD with momentum 0.9, and Adam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt

from edgedeploy.errors import TrainingError
from edgedeploy.training import ops
from edgedeploy.training.graph import Value

_MOMENTUM = 0.9
_BETA_1 = 0.9
_BETA_2 = 0.999
_EPSILON = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """How a gradient changes a weight.

    Attributes:
        slots: Values kept beside each weight, all 0 at first.
        rate: From the learning rate (1,) and the step (1,), counted from 1, to what
            `update` takes as its rate.
        update: From weight, gradient, slots and rate to the new weight and slots.
    """

    slots: int
    rate: Callable[[Value, Value], Value]
    update: Callable[
        [Value, Value, tuple[Value, ...], Value], tuple[Value, tuple[Value, ...]]
    ]


def _sgd(
    weight: Value, gradient: Value, _slots: tuple[Value, ...], rate: Value
) -> tuple[Value, tuple[Value, ...]]:
    return ops.subtract(weight, ops.multiply(gradient, rate)), ()


def _momentum(
    weight: Value, gradient: Value, slots: tuple[Value, ...], rate: Value
) -> tuple[Value, tuple[Value, ...]]:
    """Apply v = 0.9·v - lr·g; w = w + v, as Keras writes it."""
    kept = ops.multiply(slots[0], _MOMENTUM)
    velocity = ops.subtract(kept, ops.multiply(gradient, rate))
    return ops.add(weight, velocity), (velocity,)


def _adam(
    weight: Value, gradient: Value, slots: tuple[Value, ...], rate: Value
) -> tuple[Value, tuple[Value, ...]]:
    """Apply Adam, Kingma and Ba (2015), end of section 2, with rescaled moments.

    The slots hold m/(1-β₁) and v/(1-β₂), which saves two passes over the weights; the
    factors that are missing are in the rate and in ε.
    """
    first = ops.add(ops.multiply(slots[0], _BETA_1), gradient)
    second = ops.add(ops.multiply(slots[1], _BETA_2), ops.multiply(gradient, gradient))
    root = ops.add(ops.unary("SQRT", second), _EPSILON / sqrt(1.0 - _BETA_2))
    change = ops.multiply(ops.divide(first, root), rate)
    return ops.subtract(weight, change), (first, second)


def _adam_rate(lr: Value, step: Value) -> Value:
    """lr·√(1-β₂ᵗ)/(1-β₁ᵗ), times (1-β₁)/√(1-β₂) for the rescaled moments."""
    power_1 = ops.unary("EXP", ops.multiply(step, log(_BETA_1)))
    power_2 = ops.unary("EXP", ops.multiply(step, log(_BETA_2)))
    root = ops.unary("SQRT", ops.subtract(1.0, power_2))
    scale = (1.0 - _BETA_1) / sqrt(1.0 - _BETA_2)
    corrected = ops.divide(root, ops.subtract(1.0, power_1))
    return ops.multiply(ops.multiply(lr, corrected), scale)


def _plain_rate(lr: Value, _step: Value) -> Value:
    return lr


OPTIMIZERS = {
    "sgd": Optimizer(slots=0, rate=_plain_rate, update=_sgd),
    "momentum": Optimizer(slots=1, rate=_plain_rate, update=_momentum),
    "adam": Optimizer(slots=2, rate=_adam_rate, update=_adam),
}


def find_optimizer(name: str) -> Optimizer:
    """Look an optimizer up.

    Raises:
        TrainingError: If there is none of that name.
    """
    if name not in OPTIMIZERS:
        raise TrainingError(
            f"optimizer must be one of {', '.join(OPTIMIZERS)}; received {name!r}"
        )
    return OPTIMIZERS[name]
