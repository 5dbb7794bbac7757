"""Networks that come with the project, untrained, as Keras models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgedeploy.architectures import keras_file
from edgedeploy.errors import InputError


def lenet() -> Any:
    """LeNet for 28x28 grey digits: two convolutions with pooling, two dense layers."""
    from keras import Input, Sequential, layers

    return Sequential(
        [
            Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 2, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(500, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="lenet",
    )


NETWORKS: dict[str, Callable[[], Any]] = {"lenet": lenet}


def build_network(network: str, seed: int) -> Any:
    """Build a network with the same weights each time, or load a .keras file.

    Args:
        network: A name of `NETWORKS`, or the path of a .keras file.
        seed: Of the initial weights of a network that comes with the project.

    Returns:
        A Keras model.

    Raises:
        InputError: If there is none of that name.
        WeightsError: If the file cannot be loaded in safe mode.
    """
    if network.endswith(".keras"):
        return keras_file.build(Path(network), "keras")
    if network not in NETWORKS:
        raise InputError(
            f"no network {network!r}; there are {', '.join(NETWORKS)}, or give a "
            "model.keras of your own"
        )
    import keras

    keras.utils.set_random_seed(seed)
    return NETWORKS[network]()
