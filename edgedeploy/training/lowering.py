"""Write a network's forward and backward pass into a graph.

The layers before the first dense one work on a few pictures at a time, so that what
they pass on stays in the processor's cache; their gradients are added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgedeploy.training import ops
from edgedeploy.training.graph import Value
from edgedeploy.training.layers import RULES
from edgedeploy.training.layers.rule import Backward, Call, Pass
from edgedeploy.training.network import Layer, Network

# Layers whose pictures do not depend on each other, and whose weights are small
# enough to be read again for every few pictures.
_CHUNKED = frozenset(RULES) - {"dense", "softmax"}
# Largest activation of a chunk; measured on a core with 2 MB of second-level cache.
_CHUNK_BYTES = 1_500_000


@dataclass(slots=True, kw_only=True)
class Forward:
    """A forward pass that has been written.

    Attributes:
        values: What each layer puts out, by name.
        tape: Layers and the way back through each, in the order of the pass.
    """

    values: dict[str, Value]
    tape: list[tuple[Layer, Backward]] = field(default_factory=list)


def run_forward(
    layers: Sequence[Layer],
    feed: Mapping[str, Value],
    weights: Mapping[str, Value],
    run: Pass,
    flowing: frozenset[str] = frozenset(),
) -> Forward:
    """Write the forward pass of some layers.

    Args:
        layers: In order.
        feed: Values of what they read from outside, by name.
        weights: By key.
        run: The pass.
        flowing: Layers that gradients flow through; the others are run as in
            inference, which is faster.

    Returns:
        All values, and the tape.
    """
    done = Forward(values=dict(feed))
    still = Pass(training=False)
    for layer in layers:
        call = Call(
            layer=layer,
            inputs=tuple(done.values[name] for name in layer.inputs),
            weights={name: weights[key] for name, key in layer.weights},
            # Dropout is on wherever it stands, as in Keras.
            run=run if layer.name in flowing or layer.kind == "dropout" else still,
        )
        value, backward = RULES[layer.kind](call)
        done.values[layer.name] = value
        done.tape.append((layer, backward))
    return done


def run_backward(
    tape: Sequence[tuple[Layer, Backward]],
    flows: dict[str, Value],
    flowing: frozenset[str],
) -> dict[str, Value]:
    """Write the backward pass of what has been run.

    Args:
        tape: Of the forward pass.
        flows: Gradients that are known, by layer; those of the layers' own inputs
            are added to it.
        flowing: Layers whose gradients are wanted.

    Returns:
        Gradients by weight key.
    """
    gradients: dict[str, Value] = {}
    for layer, backward in reversed(tape):
        if layer.name not in flows or layer.name not in flowing:
            continue
        wanted = tuple(name in flowing for name in layer.inputs)
        found = backward(flows[layer.name], wanted)
        for name, flow in zip(layer.inputs, found.inputs, strict=True):
            if flow is not None and name in flowing:
                _accumulate(flows, name, flow)
        if layer.trainable:
            keys = dict(layer.weights)
            for name, gradient in found.weights.items():
                _accumulate(gradients, keys[name], gradient)
    return gradients


def flowing_layers(network: Network) -> frozenset[str]:
    """Name the layers that learn, and those that stand on them."""
    found: set[str] = set()
    for layer in network.layers:
        if layer.trainable or found.intersection(layer.inputs):
            found.add(layer.name)
    return frozenset(found)


def split_network(network: Network) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """Split into layers that are run on a few pictures at a time, and the rest."""
    for position, layer in enumerate(network.layers):
        coupled = layer.kind == "batch_normalization" and layer.trainable
        if layer.kind not in _CHUNKED or coupled:
            return network.layers[:position], network.layers[position:]
    return network.layers, ()


def choose_chunk(batch: int, widest: int) -> int:
    """Choose how many pictures to work on at once.

    Args:
        batch: Pictures of a step.
        widest: Numbers in the largest activation of one picture.

    Returns:
        A divisor of the batch.
    """
    fitting = [
        size
        for size in range(1, batch + 1)
        if batch % size == 0 and size * widest * 4 <= _CHUNK_BYTES
    ]
    return max(fitting, default=1)


def _accumulate(sums: dict[str, Value], name: str, value: Value) -> None:
    sums[name] = ops.add(sums[name], value) if name in sums else value
