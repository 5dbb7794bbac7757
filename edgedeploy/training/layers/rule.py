"""What every layer's rule takes and gives: its output, and how gradients flow back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edgedeploy.training.graph import Value
from edgedeploy.training.network import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient:
    """The loss's derivatives with respect to what a layer reads.

    Attributes:
        inputs: One for each input; None where nobody asked.
        weights: By the name in the rule.
    """

    inputs: tuple[Value | None, ...]
    weights: Mapping[str, Value] = field(default_factory=dict)


# From the output's gradient, and for each input whether its gradient is wanted.
Backward = Callable[[Value, tuple[bool, ...]], Gradient]


@dataclass(slots=True, kw_only=True)
class Pass:
    """One run through the network that is being written.

    Attributes:
        training: Whether batch statistics and dropout are on, and gradients follow.
        valid: 1.0 for a row with a label, 0.0 for padding; shape (batch,); None in
            inference.
        rng: State of the dropout masks, int32, shape (3,); None without dropout.
        rng_uses: How often it has been drawn from.
        statistics: New values of moving statistics by weight key.
    """

    training: bool
    valid: Value | None = None
    rng: Value | None = None
    rng_uses: int = 0
    statistics: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A layer, asked to write itself into a graph.

    Attributes:
        layer: The layer.
        inputs: What it reads; never empty.
        weights: Its weights by the name in the rule.
        run: The pass it is part of.
    """

    layer: Layer
    inputs: tuple[Value, ...]
    weights: Mapping[str, Value]
    run: Pass

    @property
    def x(self) -> Value:
        """The first input, which for most layers is the only one."""
        return self.inputs[0]


Rule = Callable[[Call], tuple[Value, Backward]]


def only_input(gradient: Value | None) -> Gradient:
    """Gradient of a layer with one input and no weights."""
    return Gradient(inputs=(gradient,))
