"""Keras models to plain layers: a walk through the graph, nested models unfolded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import TrainingError
from edgedeploy.training.keras_layers import Step, UnsupportedLayerError, read_layer
from edgedeploy.training.network import Layer, Network, Trained

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Keras layers that have something to learn from the loss, for `trainable_last`.
_COUNTED = ("conv_2d", "depthwise_conv_2d", "dense")


@dataclass(kw_only=True)
class _Reading:
    layers: list[Layer] = field(default_factory=list)
    weights: dict[str, NDArray[Any]] = field(default_factory=dict)
    # The Keras layers that were not understood, with the reason.
    refused: dict[str, str] = field(default_factory=dict)
    shapes: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    # How often a layer has been called: a shared layer appears more than once.
    calls: dict[str, int] = field(default_factory=dict)


def read_keras(model: Any, *, trainable_last: int | str) -> Trained:
    """Read a Keras model into plain layers.

    Args:
        model: A built Sequential or functional model with one input and one output.
        trainable_last: How many of the last layers with a kernel (convolution or
            dense) shall learn, with the normalisation that follows them; or "all". A
            layer whose `trainable` is False never learns.

    Returns:
        The layers and their weights.

    Raises:
        UnsupportedLayerError: If a layer has no rule; the message names the nearest
            cut that works.
        TrainingError: If the model is no such model, or nothing would learn.
    """
    if len(getattr(model, "inputs", None) or ()) != 1 or len(model.outputs) != 1:
        raise TrainingError(
            "an exported model has one input and one output; build the model and "
            "train one head at a time"
        )
    reading = _Reading()
    names = {id(model.inputs[0]): "x"}
    output = _read_tensor(model.outputs[0], names, reading, prefix="")
    if reading.refused:
        raise _explain(reading)
    network = Network(
        input="x",
        input_shape=_sizes(model.inputs[0], "the input"),
        output=output,
        output_shape=_sizes(model.outputs[0], "the output"),
        layers=tuple(reading.layers),
        shapes=(("x", _sizes(model.inputs[0], "the input")), *reading.shapes),
    )
    return Trained(
        network=mark_trainable(network, trainable_last), weights=reading.weights
    )


def mark_trainable(network: Network, trainable_last: int | str) -> Network:
    """Freeze all layers before the last so many that have a kernel.

    Raises:
        TrainingError: If the count fits no network, or leaves nothing to learn.
    """
    counted = list(
        dict.fromkeys(x.origin for x in network.layers if x.kind in _COUNTED)
    )
    count = len(counted) if trainable_last == "all" else trainable_last
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise TrainingError(
            f"trainable_last is a count of layers from 1, or 'all'; "
            f"received {trainable_last!r}"
        )
    if count > len(counted):
        raise TrainingError(
            f"trainable_last is {count}, but the model has only {len(counted)} layers "
            f"with a kernel; give at most that, or 'all'"
        )
    frozen_until = 0
    if count < len(counted):
        first = counted[-count]
        origins = [layer.origin for layer in network.layers]
        frozen_until = origins.index(first)
    layers = tuple(
        replace(layer, trainable=layer.trainable and position >= frozen_until)
        for position, layer in enumerate(network.layers)
    )
    marked = network.with_layers(layers)
    if not marked.learnt():
        raise TrainingError(
            "nothing would learn: the last layers' `trainable` is False; set it to "
            "True, or give a larger trainable_last"
        )
    return marked


def _read_tensor(
    tensor: Any, names: dict[int, str], reading: _Reading, prefix: str
) -> str:
    """Read what makes a tensor, and return the name of the layer that gives it."""
    # Depth first without recursion: deep networks would exhaust Python's stack.
    waiting = [tensor]
    while waiting:
        current = waiting[-1]
        if id(current) in names:
            waiting.pop()
            continue
        operation, node_index, _ = current._keras_history
        node = operation._inbound_nodes[node_index]
        missing = [t for t in node.input_tensors if id(t) not in names]
        if missing:
            waiting += reversed(missing)
            continue
        sources = tuple(names[id(t)] for t in node.input_tensors)
        before = len(reading.layers)
        names[id(current)] = _read_operation(
            operation, sources, node.input_tensors, reading, prefix
        )
        # An activation has its layer's shape.
        sizes = _sizes(current, f"layer {operation.name}")
        known = {name for name, _ in reading.shapes}
        reading.shapes += [
            (layer.name, sizes)
            for layer in reading.layers[before:]
            if layer.name not in known
        ]
        waiting.pop()
    return names[id(tensor)]


def _read_operation(
    operation: Any,
    sources: tuple[str, ...],
    tensors: list[Any],
    reading: _Reading,
    prefix: str,
) -> str:
    if hasattr(operation, "layers") and hasattr(operation, "inputs"):
        return _read_nested(operation, sources, reading, prefix)
    if type(operation).__name__ == "InputLayer":
        return sources[0]
    name = f"{prefix}{operation.name}"
    turn = reading.calls.get(name, 0)
    reading.calls[name] = turn + 1
    called = name if turn == 0 else f"{name}:{turn}"
    try:
        steps = read_layer(operation, tensors)
    except UnsupportedLayerError as error:
        reading.refused[name] = str(error)
        # Read on, so that the nearest cut that works can be named.
        steps = [Step(kind="unsupported")]
    for position, step in enumerate(steps):
        whole = called if position == 0 else f"{called}/{step.kind}"
        weights = {f"{name}/{key}": key for key in step.weights}
        reading.weights |= {f"{name}/{k}": v for k, v in step.weights.items()}
        reading.layers.append(
            Layer(
                name=whole,
                kind=step.kind,
                inputs=sources,
                settings=tuple(step.settings.items()),
                weights=tuple((short, key) for key, short in weights.items()),
                trainable=bool(step.weights) and bool(operation.trainable),
                origin=name,
            )
        )
        sources = (whole,)
    return sources[0]


def _read_nested(
    model: Any, sources: tuple[str, ...], reading: _Reading, prefix: str
) -> str:
    inner = getattr(model, "_functional", None) or model
    if len(inner.inputs) != len(sources) or len(inner.outputs) != 1:
        raise TrainingError(f"{model.name}: a model inside a model has one output")
    names = dict(zip(map(id, inner.inputs), sources, strict=True))
    place = f"{prefix}{model.name}/"
    return _read_tensor(inner.outputs[0], names, reading, place)


def _sizes(tensor: Any, what: str) -> tuple[int, ...]:
    sizes = tuple(tensor.shape[1:])
    if None in sizes:
        raise TrainingError(f"{what} needs fixed sizes; found {tensor.shape}")
    return tuple(int(size) for size in sizes)


def _explain(reading: _Reading) -> UnsupportedLayerError:
    name, reason = next(iter(reading.refused.items()))
    behind = [layer.origin for layer in reading.layers]
    last = max(behind.index(refused) for refused in reading.refused)
    rest = dict.fromkeys(
        layer.origin
        for layer in reading.layers[last + 1 :]
        if layer.kind in _COUNTED and layer.origin not in reading.refused
    )
    cut = (
        f"the nearest cut that works is behind it: split_backbone(model, "
        f"trainable_last={len(rest)}) and export the head"
        if rest
        else "no layer behind it can learn; replace it"
    )
    return UnsupportedLayerError(f"layer {name}: {reason}; {cut}")
