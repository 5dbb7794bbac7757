"""A network as plain layers, each with one job, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of a network.

    Attributes:
        name: Unique; also the name of what it puts out.
        kind: A key of `layers.RULES`.
        inputs: Names of the layers that feed it.
        settings: (name, value), such as ("strides", (2, 2)).
        weights: (name in the rule, key in `Network.weights`).
        trainable: Whether its weights are learnt.
        origin: The Keras layer that it came from.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    settings: tuple[tuple[str, Any], ...] = ()
    weights: tuple[tuple[str, str], ...] = ()
    trainable: bool = False
    origin: str = ""

    def setting(self, name: str) -> Any:
        """Return a setting by its name."""
        return dict(self.settings)[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Layers with one input and one output.

    Attributes:
        input: Name of the input, which the first layers list among theirs.
        input_shape: Without the batch.
        output: Name of the last layer.
        output_shape: Without the batch.
        layers: In the order in which they run.
        shapes: (name, size of its output without the batch), the input's too.
    """

    input: str
    input_shape: tuple[int, ...]
    output: str
    output_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    def consumers(self, name: str) -> tuple[Layer, ...]:
        """Return the layers that read an output."""
        return tuple(layer for layer in self.layers if name in layer.inputs)

    def widest(self, layers: tuple[Layer, ...]) -> int:
        """Numbers of the largest output of one picture among some layers."""
        names = {self.input, *(layer.name for layer in layers)}
        return max(prod(shape) for name, shape in self.shapes if name in names)

    def learnt(self) -> tuple[str, ...]:
        """Keys of the weights that an optimizer changes, in the layers' order."""
        keys = (
            key
            for layer in self.layers
            if layer.trainable
            for name, key in layer.weights
            if not name.startswith("moving_")
        )
        return tuple(dict.fromkeys(keys))

    def tracked(self) -> tuple[str, ...]:
        """Keys of the moving statistics that training changes beside them."""
        keys = (
            key
            for layer in self.layers
            if layer.trainable
            for name, key in layer.weights
            if name.startswith("moving_")
        )
        return tuple(dict.fromkeys(keys))

    def with_layers(self, layers: tuple[Layer, ...]) -> Network:
        """Return the same network of other layers."""
        return replace(self, layers=layers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A network and its numbers.

    Attributes:
        network: The layers.
        weights: Arrays by key, float32; kernels in Keras's layouts.
    """

    network: Network
    weights: Mapping[str, NDArray[Any]]
