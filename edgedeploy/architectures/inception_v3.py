"""Inception v3, from Keras' published weights or from a TensorFlow.js layers model.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (2015).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgedeploy.errors import WeightsError
from edgedeploy.fetch.tfjs import decode_layers_model

LAYOUTS = ("keras_h5", "tfjs")
"""Keras' .h5 of weights in layer order; a folder with a TensorFlow.js layers model."""

INPUT_SIZE = 299
CLASSES = 1000


def build(weights: Path, layout: str) -> Any:
    """Build Inception v3 with its weights.

    Args:
        weights: An .h5 file, or a folder with `model.min.js` and its shards.
        layout: "keras_h5" (1000 classes) or "tfjs" (the topology is in the files).

    Returns:
        A keras.Model; see `edgedeploy.architectures.build`.

    Raises:
        WeightsError: If the weights do not fit the network.
    """
    if layout == "tfjs":
        from edgedeploy.architectures.layers_model import build_layers_model

        topology, arrays = decode_layers_model(weights)
        return build_layers_model(topology, arrays, name="inception_v3")
    return _build_from_h5(weights)


def _build_from_h5(weights: Path) -> Any:
    import keras

    from edgedeploy.architectures.legacy_h5 import load_in_layer_order

    image = keras.Input((INPUT_SIZE, INPUT_SIZE, 3), name="image")
    body = keras.applications.InceptionV3(
        weights=None, classes=CLASSES, classifier_activation=None, input_tensor=image
    )
    load_in_layer_order(body, weights)
    # A layer of its own, so that the output is called what it is.
    softmax = keras.layers.Softmax(name="probabilities")
    model = keras.Model(image, softmax(body.output), name="inception_v3")
    if model.output_shape != (None, CLASSES):
        raise WeightsError(f"{weights.name} gave outputs {model.output_shape}")
    return model
