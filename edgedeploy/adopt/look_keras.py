"""What a Keras network or a SavedModel says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.adopt.found import Found
from edgedeploy.adopt.normalisation import Normalisation, of_arithmetic, of_picture
from edgedeploy.adopt.outputs import is_picture, judge_outputs
from edgedeploy.adopt.saved_graph import saved_ending, saved_rescaling
from edgedeploy.adopt.tflite_ends import apply_number
from edgedeploy.architectures import build
from edgedeploy.architectures.saved_model import read_graph, read_signature
from edgedeploy.errors import InputError
from edgedeploy.specs import PICTURE

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What may stand before the normalisation and changes no value that matters here.
_PASSED = frozenset({"InputLayer", "Dropout", "Identity"})
_AUGMENTING = ("Random", "Mixup", "Cutmix")
# Operators with one number, by their names in a .tflite file.
_ARITHMETIC = {
    "TrueDivide": "DIV",
    "Divide": "DIV",
    "Multiply": "MUL",
    "Subtract": "SUB",
    "Add": "ADD",
}
# Layers without an activation of their own that change no answer.
_REWRITING = frozenset({"Dropout", "Flatten", "Identity", "Reshape", "Squeeze"})
# Of noise, where the network leaves its size open.
_ANY_SIZE = 64


def look_keras(path: Path, architecture: str, layout: str) -> Found:
    """Load a network and look at its ends.

    Args:
        path: The file or folder.
        architecture: "keras_file" or "saved_model".
        layout: One of its layouts.

    Raises:
        WeightsError: If it cannot be loaded.
        InputError: If it is no classifier of RGB pictures.
    """
    model = build(architecture, path, layout)
    height, width = _picture_size(path, model)
    saved = architecture == "saved_model"
    takes = _of_nodes(path) if saved else _normalisation(model)
    given = is_picture(tuple(model.outputs[0].shape))
    shape = (height or _ANY_SIZE, width or _ANY_SIZE, 3)

    def answer(noise: NDArray[np.float32]) -> NDArray[Any]:
        return np.asarray(model(noise, training=False))

    outputs, classes = PICTURE, 0
    if given and takes.mean is None and not saved:
        takes = of_picture(_last_activation(model))
    elif not given:
        last = _of_signature(path) if saved else _last_activation(model)
        outputs = judge_outputs(str(path), shape, answer, last=last)
        classes = int(answer(np.zeros((1, *shape), np.float32)).shape[1])
    return Found(
        layout=layout.partition("+")[0],
        width=width,
        height=height,
        classes=classes,
        outputs=outputs,
        mean=takes.mean,
        std=takes.std,
        reason=takes.reason,
        assumed=takes.assumed,
    )


def _picture_size(path: Path, model: Any) -> tuple[int, int]:
    shape = tuple(model.inputs[0].shape)
    if len(shape) != 4 or shape[3] != 3:
        raise InputError(
            f"{path}: expected an input of shape (batch, height, width, 3); found "
            f"{shape}. Grey or channels-first networks need a layer before them that "
            "takes RGB in this order"
        )
    return shape[1] or 0, shape[2] or 0


def _normalisation(model: Any) -> Normalisation:
    scale, offset, kinds = 1.0, 0.0, []
    for layer in _first_layers(model):
        step = _affine(layer)
        if step is None:
            break
        scale, offset = scale * step[0], offset * step[0] + step[1]
        kinds.append(type(layer).__name__)
    if not kinds:
        return Normalisation()
    reason = f"the network begins with {', '.join(kinds)}"
    return of_arithmetic(scale, offset, reason)


def _affine(layer: Any) -> tuple[float, float] | None:
    """What a layer multiplies with and adds; None where it does other things."""
    kind = type(layer).__name__
    if kind == "Rescaling":
        return float(np.mean(layer.scale)), float(np.mean(layer.offset))
    if kind == "Normalization":
        deviation = np.sqrt(np.asarray(layer.variance))
        scale = float(np.mean(1 / np.maximum(deviation, 1e-7)))
        return scale, -float(np.mean(layer.mean)) * scale
    if kind not in _ARITHMETIC:
        return None
    # An operator in a functional network, such as preprocess_input leaves.
    operands = [value for node in layer._inbound_nodes for value in node.arguments.args]
    plain = [isinstance(value, int | float) for value in operands]
    if len(operands) != 2 or sum(plain) != 1:
        return None
    number = float(operands[plain.index(True)])
    return apply_number(_ARITHMETIC[kind], number, reverse=plain[0])


def _of_nodes(folder: Path) -> Normalisation:
    known = saved_rescaling(read_graph(folder))
    if known is None:
        return Normalisation()
    return of_arithmetic(*known, "the graph holds a Rescaling layer")


def _of_signature(folder: Path) -> str:
    # Whether it may run was settled when it was built.
    signature = read_signature(folder, trusted=True)
    graph = read_graph(folder)
    outputs = graph.signature_def[signature.name].outputs
    return saved_ending(graph, outputs[signature.output].name)


def _first_layers(model: Any) -> Iterator[Any]:
    """The layers that a picture meets first, those of a network inside included."""
    # Its operations hold plain arithmetic too, which `layers` leaves out.
    for layer in getattr(model, "operations", model.layers):
        kind = type(layer).__name__
        if kind in _PASSED or kind.startswith(_AUGMENTING):
            continue
        if hasattr(layer, "layers"):
            yield from _first_layers(layer)
        yield layer


def _last_activation(model: Any) -> str:
    """What the network ends in, in Keras' word for it, or the operator's name."""
    tensor = model.outputs[0]
    while True:
        last, node, _ = tensor._keras_history
        if getattr(last, "outputs", None):  # a network inside
            tensor = last.outputs[0]
        elif type(last).__name__ in _REWRITING:
            tensor = last._inbound_nodes[node].input_tensors[0]
        else:
            break
    activation = getattr(last, "activation", None)
    # keras.ops.sigmoid is an operator, Sigmoid.
    return str(getattr(activation, "__name__", type(last).__name__.lower()))
