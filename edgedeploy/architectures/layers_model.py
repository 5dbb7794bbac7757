"""Rebuild a Keras 2 functional model from its JSON topology, layer by layer.

Only the layers that convolutional classifiers consist of are known, each in the
configuration that inference depends on; anything else is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import WeightsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Config = dict[str, Any]


def build_layers_model(
    topology: Config, arrays: dict[str, NDArray[np.float32]], *, name: str
) -> Any:
    """Build a model with one input and one output.

    Args:
        topology: With `model_config`, as Keras 2 writes it.
        arrays: Weights by "<layer>/<weight>".
        name: Of the model.

    Returns:
        A keras.Model; see `edgedeploy.architectures.build`.

    Raises:
        WeightsError: If a layer is unknown, a weight is missing, left over or of
            another shape, or the output is no softmax.
    """
    try:
        config = topology["model_config"]["config"]
        ((first, _, _),) = config["input_layers"]
        ((last, _, _),) = config["output_layers"]
        return _Builder(arrays, first, last).build(config["layers"], name)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise WeightsError(f"the topology cannot be rebuilt: {error!r:.200}") from error


class _Builder:
    def __init__(
        self, arrays: dict[str, NDArray[np.float32]], first: str, last: str
    ) -> None:
        self._arrays = arrays
        self._first = first
        self._last = last
        self._outputs: dict[str, Any] = {}
        self._assigned: list[tuple[Any, list[NDArray[np.float32]]]] = []
        self._unused = set(arrays)

    def build(self, layers: list[Config], name: str) -> Any:
        """Build all layers, which the topology lists in order of use."""
        import keras

        image = None
        for entry in layers:
            config = entry["config"]
            key = config["name"]
            if entry["class_name"] == "InputLayer":
                if key != self._first or image is not None:
                    raise WeightsError("the topology has more than one input")
                shape = tuple(config["batch_input_shape"][1:])
                image = keras.Input(shape, name="image", dtype="float32")
                self._outputs[key] = image
            else:
                self._outputs[key] = self._add(entry, config, key)
        self._check_output(layers)
        if self._unused:
            left = ", ".join(sorted(self._unused)[:3])
            raise WeightsError(f"the topology has no place for the weights {left}")
        model = keras.Model(image, self._outputs[self._last], name=name)
        for layer, weights in self._assigned:
            layer.set_weights(weights)
        return model

    def _add(self, entry: Config, config: Config, key: str) -> Any:
        kind = entry["class_name"]
        if kind not in _LAYERS:
            raise WeightsError(f"the topology has a {kind} layer, {key}; not known")
        (inbound,) = entry["inbound_nodes"]
        inputs = [self._outputs[node[0]] for node in inbound]
        name = "probabilities" if key == self._last else key
        self._check_width(config, key)
        layer, weights = _LAYERS[kind](config, name)
        output = layer(inputs if kind == "Concatenate" else inputs[0])
        if weights:
            self._take(layer, key, weights)
        return output

    def _check_width(self, config: Config, key: str) -> None:
        """Compare before Keras reserves memory for what the topology claims."""
        width = config.get("units", config.get("filters"))
        kernel = self._arrays.get(f"{key}/kernel")
        if width is not None and (kernel is None or kernel.shape[-1:] != (width,)):
            found = "none" if kernel is None else kernel.shape
            raise WeightsError(
                f"the weight {key}/kernel should end in {width}, found {found}"
            )

    def _take(self, layer: Any, key: str, weights: tuple[str, ...]) -> None:
        taken = []
        for weight, variable in zip(weights, layer.weights, strict=True):
            name = f"{key}/{weight}"
            if name not in self._arrays:
                raise WeightsError(f"the weight {name} is missing")
            array, wanted = self._arrays[name], tuple(variable.shape)
            if array.shape != wanted:
                raise WeightsError(
                    f"the weight {name} should be {wanted}, found {array.shape}"
                )
            self._unused.discard(name)
            taken.append(array)
        self._assigned.append((layer, taken))

    def _check_output(self, layers: list[Config]) -> None:
        for entry in layers:
            config = entry["config"]
            if config["name"] == self._last and config.get("activation") == "softmax":
                return
        raise WeightsError(f"the output {self._last} should be a softmax")


def _convolution(config: Config, name: str) -> tuple[Any, tuple[str, ...]]:
    import keras

    _require_channels_last(config)
    layer = keras.layers.Conv2D(
        config["filters"],
        tuple(config["kernel_size"]),
        strides=tuple(config["strides"]),
        padding=config["padding"],
        dilation_rate=tuple(config["dilation_rate"]),
        activation=config["activation"],
        use_bias=config["use_bias"],
        name=name,
    )
    return layer, ("kernel", "bias") if config["use_bias"] else ("kernel",)


def _batch_normalization(config: Config, name: str) -> tuple[Any, tuple[str, ...]]:
    import keras

    axis = config["axis"]
    if axis not in (3, -1, [3], [-1]):
        raise WeightsError(f"{name} should normalise channels, found axis {axis}")
    layer = keras.layers.BatchNormalization(
        epsilon=config["epsilon"],
        scale=config["scale"],
        center=config["center"],
        name=name,
    )
    weights = ["gamma"] if config["scale"] else []
    weights += ["beta"] if config["center"] else []
    return layer, (*weights, "moving_mean", "moving_variance")


def _pooling(kind: str) -> Callable[[Config, str], tuple[Any, tuple[str, ...]]]:
    def make(config: Config, name: str) -> tuple[Any, tuple[str, ...]]:
        import keras

        _require_channels_last(config)
        layer = getattr(keras.layers, kind)(
            tuple(config["pool_size"]),
            strides=tuple(config["strides"]),
            padding=config["padding"],
            name=name,
        )
        return layer, ()

    return make


def _dense(config: Config, name: str) -> tuple[Any, tuple[str, ...]]:
    import keras

    layer = keras.layers.Dense(
        config["units"],
        activation=config["activation"],
        use_bias=config["use_bias"],
        name=name,
    )
    return layer, ("kernel", "bias") if config["use_bias"] else ("kernel",)


def _activation(config: Config, name: str) -> tuple[Any, tuple[str, ...]]:
    import keras

    return keras.layers.Activation(config["activation"], name=name), ()


def _concatenate(config: Config, name: str) -> tuple[Any, tuple[str, ...]]:
    import keras

    return keras.layers.Concatenate(axis=config["axis"], name=name), ()


def _flatten(config: Config, name: str) -> tuple[Any, tuple[str, ...]]:
    import keras

    _require_channels_last(config)
    return keras.layers.Flatten(name=name), ()


def _dropout(config: Config, name: str) -> tuple[Any, tuple[str, ...]]:
    import keras

    return keras.layers.Dropout(config["rate"], name=name), ()


def _require_channels_last(config: Config) -> None:
    if config.get("data_format", "channels_last") != "channels_last":
        raise WeightsError(f"{config['name']} should be channels_last")


_LAYERS: dict[str, Callable[[Config, str], tuple[Any, tuple[str, ...]]]] = {
    "Activation": _activation,
    "AveragePooling2D": _pooling("AveragePooling2D"),
    "BatchNormalization": _batch_normalization,
    "Concatenate": _concatenate,
    "Conv2D": _convolution,
    "Dense": _dense,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "MaxPooling2D": _pooling("MaxPooling2D"),
}
