"""A Keras model to a .tflite file that learns: train, infer, evaluate, save, restore.

Only builtin operators are used, so plain LiteRT runs it, without Flex.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import TrainingError
from edgedeploy.training.fuse import fuse_pooling
from edgedeploy.training.graph import ModelFile
from edgedeploy.training.layers.dropout import MODULI
from edgedeploy.training.loss import check_loss
from edgedeploy.training.network import Network, Trained
from edgedeploy.training.optimizers import find_optimizer
from edgedeploy.training.read_keras import read_keras
from edgedeploy.training.signatures import Plan, write_signatures
from edgedeploy.training.spare import add_classes
from edgedeploy.training.variables import Variables

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LARGEST_BATCH = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainableModel:
    """A file that learns, and what a training loop has to know of it.

    Attributes:
        data: The .tflite file.
        input_shape: Of one picture or one row of features.
        classes: Numbers in a row of labels.
        loss: As exported.
        optimizer: As exported.
        batch_size: Rows of a step.
        epochs: Suggested passes over the data.
        weights: (name in the signatures, Keras's name), such as ("w0", "conv/kernel").
    """

    data: bytes
    input_shape: tuple[int, ...]
    classes: int
    loss: str
    optimizer: str
    batch_size: int
    epochs: int
    weights: tuple[tuple[str, str], ...]


def export_trainable(
    model: Any,
    *,
    trainable_last: int | str = "all",
    loss: str = "categorical_crossentropy",
    optimizer: str = "adam",
    batch_size: int = 128,
    epochs: int = 10,
    spare_classes: int = 0,
) -> TrainableModel:
    """Write a Keras model as a .tflite file that can learn on a device.

    Args:
        model: A built Sequential or functional Keras model, one input, one output.
        trainable_last: How many of the last layers with a kernel learn, or "all".
            Layers before them are constants, run as in inference.
        loss: "categorical_crossentropy" (the model ends with softmax) or "mse".
        optimizer: "sgd", "momentum" (0.9) or "adam", with Keras's constants; the
            learning rate is an argument of each step.
        batch_size: Rows of a step, 1 to 4096. Rows of zeros in the labels are padding.
        epochs: Passes over the data that the training loop makes unless told
            otherwise; at least 1.
        spare_classes: Rows of output to add for classes that are yet to come; they
            are unlikely until they have been trained.

    Returns:
        The file, with the signatures train, infer, evaluate, save, restore and init.

    Raises:
        TrainingError: If a layer has no rule, or a value makes no sense.
    """
    if not 1 <= batch_size <= _LARGEST_BATCH:
        raise TrainingError(
            f"batch_size must be 1 to {_LARGEST_BATCH}; received {batch_size}"
        )
    if epochs < 1:
        raise TrainingError(f"epochs must be at least 1; received {epochs}")
    trained = read_keras(model, trainable_last=trainable_last)
    if spare_classes:
        trained = add_classes(trained, spare_classes)
    network = trained.network
    check_loss(loss, network.layers[-1].kind, network.output_shape)
    initial, names = _first_values(trained, find_optimizer(optimizer).slots)
    file = ModelFile("Trainable model by edgedeploy")
    plan = Plan(
        file=file,
        network=fuse_pooling(network),
        variables=Variables(file, initial),
        names=names,
        constants=_constants(trained, names),
        loss=loss,
        optimizer=find_optimizer(optimizer),
        batch_size=batch_size,
    )
    return TrainableModel(
        data=write_signatures(plan),
        input_shape=network.input_shape,
        classes=network.output_shape[0],
        loss=loss,
        optimizer=optimizer,
        batch_size=batch_size,
        epochs=epochs,
        weights=tuple((short, key) for key, short in names.items()),
    )


def _first_values(
    trained: Trained, slots: int
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Name the variables: w0…, b0… (statistics), s0_0… (slots), t and rng."""
    network = trained.network
    learnt, tracked = network.learnt(), network.tracked()
    names = {key: f"w{i}" for i, key in enumerate(learnt)}
    names |= {key: f"b{i}" for i, key in enumerate(tracked)}
    initial = {short: trained.weights[key] for key, short in names.items()}
    for k in range(slots):
        for i, key in enumerate(learnt):
            initial[f"s{k}_{i}"] = np.zeros_like(trained.weights[key])
    initial["t"] = np.zeros(1, np.float32)
    if _draws_masks(network):
        initial["rng"] = np.array([modulus // 3 for modulus in MODULI], np.int32)
    return initial, names


def _draws_masks(network: Network) -> bool:
    return any(
        layer.kind == "dropout" and layer.setting("rate") > 0.0
        for layer in network.layers
    )


def _constants(trained: Trained, names: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    return {key: a for key, a in trained.weights.items() if key not in names}
