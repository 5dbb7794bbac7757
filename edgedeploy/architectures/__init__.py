"""Networks: how weights become a Keras model. One file a network, one row here."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from edgedeploy.errors import InputError

MODULES = {
    "efficientnet_lite0": "edgedeploy.architectures.efficientnet_lite0",
    "inception_v3": "edgedeploy.architectures.inception_v3",
    "keras_file": "edgedeploy.architectures.keras_file",
    "saved_model": "edgedeploy.architectures.saved_model",
}
"""Modules by the name of the network, each with LAYOUTS and `build`."""

TFLITE, ONNX, TORCH = "tflite_file", "onnx_file", "torch_file"
GRAPHS = {
    TFLITE: ("float32", "quantised"),
    ONNX: ("onnx",),
    TORCH: ("exported_program",),
}
"""Layouts by the name of what is a whole graph, and so never becomes a Keras model."""

TRUSTED = "+trusted"
"""Ends a layout whose file may run code of its own, because the user said so."""


def names() -> tuple[str, ...]:
    """Everything that a model's `architecture` may be, sorted."""
    return tuple(sorted({*MODULES, *GRAPHS}))


def layouts(architecture: str) -> tuple[str, ...]:
    """How the weights of a network may be organised.

    Args:
        architecture: One of `names`.
    """
    if architecture in GRAPHS:
        return GRAPHS[architecture]
    found: tuple[str, ...] = importlib.import_module(MODULES[architecture]).LAYOUTS
    return found


def build(architecture: str, weights: Path, layout: str) -> Any:
    """Build a network with its weights.

    Args:
        architecture: A key of `MODULES`.
        weights: The fetched file or folder.
        layout: How it is organised, one of the module's LAYOUTS.

    Returns:
        A keras.Model from the input "image", float32 (batch, height, width, 3),
        normalised as the model's contract says, to the output "probabilities",
        float32 (batch, classes), each row a softmax, or logits where the model's
        file says so.

    Raises:
        InputError: If there is no such network or layout.
        WeightsError: If the weights do not fit the network.
    """
    if architecture not in MODULES:
        known = ", ".join(sorted(MODULES))
        raise InputError(f"no network {architecture!r}; expected one of {known}")
    module = importlib.import_module(MODULES[architecture])
    if layout not in module.LAYOUTS:
        known = ", ".join(module.LAYOUTS)
        raise InputError(
            f"{architecture} has no weights layout {layout!r}; expected one of {known}"
        )
    return module.build(weights, layout)
