"""One training step: loss, gradients of all that learns, and moving statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgedeploy.training import ops
from edgedeploy.training.graph import Value
from edgedeploy.training.layers.rule import Pass
from edgedeploy.training.loss import loss_gradient, loss_value, read_labels
from edgedeploy.training.lowering import (
    Forward,
    choose_chunk,
    flowing_layers,
    run_backward,
    run_forward,
    split_network,
)
from edgedeploy.training.network import Layer, Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a step works out.

    Attributes:
        loss: Shape (1,).
        gradients: By weight key.
        statistics: New moving statistics by weight key.
    """

    loss: Value
    gradients: Mapping[str, Value]
    statistics: Mapping[str, Value]


def write_step(
    network: Network,
    *,
    x: Value,
    y: Value,
    weights: Mapping[str, Value],
    loss: str,
    rng: Value | None,
) -> Step:
    """Write a forward and a backward pass.

    Args:
        network: The layers.
        x: Pictures or features, shape (batch, …).
        y: Labels, shape (batch, classes).
        weights: By key.
        loss: A name of `loss.LOSSES`.
        rng: State of the dropout masks, or None.

    Returns:
        The step's results.
    """
    labels = read_labels(y)
    valid = ops.reshape(labels.valid, (x.shape[0],))
    run = Pass(training=True, valid=valid, rng=rng)
    flowing = flowing_layers(network)
    first, rest = split_network(network)
    chunks = [
        run_forward(first, {network.input: part}, weights, run, flowing)
        for part in _split_batch(network, first, x)
    ]
    crossing = _crossing(network, first, rest)
    feed = {
        name: ops.join([chunk.values[name] for chunk in chunks], 0) for name in crossing
    }
    whole = run_forward(rest, feed, weights, run, flowing)
    output = whole.values[network.output]
    start = loss_gradient(loss, output, labels)
    last = network.layers[-1]
    passed_over = loss == "categorical_crossentropy"
    flows = {last.inputs[0] if passed_over else last.name: start}
    tape = [item for item in whole.tape if not (passed_over and item[0] is last)]
    gradients = run_backward(tape, flows, flowing)
    _run_chunks_back(chunks, flows, flowing, gradients)
    return Step(
        loss=loss_value(loss, output, labels),
        gradients=gradients,
        statistics=run.statistics,
    )


def _split_batch(network: Network, first: tuple[Layer, ...], x: Value) -> list[Value]:
    size = choose_chunk(x.shape[0], network.widest(first)) if first else x.shape[0]
    rest = (0,) * (len(x.shape) - 1)
    return [
        ops.cut(x, (start, *rest), (size, *x.shape[1:]))
        for start in range(0, x.shape[0], size)
    ]


def _crossing(
    network: Network, first: tuple[Layer, ...], rest: tuple[Layer, ...]
) -> list[str]:
    """Name what the rest reads of the layers that are run in chunks."""
    made = {layer.name for layer in first} | {network.input}
    read = [name for layer in rest for name in layer.inputs]
    if not rest:
        read.append(network.output)
    return [name for name in dict.fromkeys(read) if name in made]


def _run_chunks_back(
    chunks: list[Forward],
    flows: dict[str, Value],
    flowing: frozenset[str],
    gradients: dict[str, Value],
) -> None:
    """Bring gradients through each chunk, and add up what they say of the weights."""
    start = 0
    for chunk in chunks:
        size = next(iter(chunk.values.values())).shape[0]
        part = {
            name: ops.cut(
                flow, (start, *(0,) * (len(flow.shape) - 1)), (size, *flow.shape[1:])
            )
            for name, flow in flows.items()
            if name in chunk.values
        }
        for key, gradient in run_backward(chunk.tape, part, flowing).items():
            known = gradients.get(key)
            gradients[key] = gradient if known is None else ops.add(known, gradient)
        start += size
