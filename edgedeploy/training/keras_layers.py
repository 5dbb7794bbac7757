"""Keras layers to plain ones: one rule for each kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ACTIVATIONS = ("relu", "relu6", "sigmoid", "tanh", "softmax")


class UnsupportedLayerError(TrainingError):
    """A Keras layer has no rule here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A plain layer, of which a Keras layer may become several.

    Attributes:
        kind: As in `network.Layer`.
        settings: By name.
        weights: By name, float32.
    """

    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, NDArray[Any]] = field(default_factory=dict)


def read_layer(layer: Any, tensors: list[Any]) -> list[Step]:
    """Read a Keras layer by its kind's rule, the activation split off.

    Args:
        layer: A built layer.
        tensors: Its inputs, as Keras describes them.

    Returns:
        Plain layers, each the next one's input; none where it changes nothing.

    Raises:
        UnsupportedLayerError: If the layer, or a setting of it, has no rule.
    """
    rule = _RULES.get(type(layer).__name__, _refuse)
    return rule(layer, tensors)


def _conv_2d(layer: Any, _tensors: list[Any]) -> list[Step]:
    if layer.groups != 1:
        raise UnsupportedLayerError(f"Conv2D with {layer.groups} groups has no rule")
    return [
        Step(kind="conv_2d", settings=_window(layer), weights=_kernel(layer)),
        *_activation(layer.activation),
    ]


def _depthwise(layer: Any, _tensors: list[Any]) -> list[Step]:
    settings, weights = _window(layer), _kernel(layer)
    return [
        Step(kind="depthwise_conv_2d", settings=settings, weights=weights),
        *_activation(layer.activation),
    ]


def _dense(layer: Any, _tensors: list[Any]) -> list[Step]:
    return [
        Step(kind="dense", weights=_kernel(layer)),
        *_activation(layer.activation),
    ]


def _pooling(kind: str) -> Callable[[Any, list[Any]], list[Step]]:
    def read(layer: Any, _tensors: list[Any]) -> list[Step]:
        _channels_last(layer)
        settings = {
            "size": tuple(layer.pool_size),
            "strides": tuple(layer.strides),
            "padding": layer.padding,
        }
        return [Step(kind=kind, settings=settings)]

    return read


def _global_average(layer: Any, _tensors: list[Any]) -> list[Step]:
    _channels_last(layer)
    settings = {"keep_dims": bool(layer.keepdims)}
    return [Step(kind="global_average_pooling", settings=settings)]


def _relu(layer: Any, _tensors: list[Any]) -> list[Step]:
    limit = None if layer.max_value is None else float(layer.max_value)
    if layer.negative_slope or layer.threshold or limit not in (None, 6.0):
        raise UnsupportedLayerError("ReLU with a slope, threshold or limit but 6")
    return [Step(kind="relu" if limit is None else "relu6")]


def _softmax(layer: Any, _tensors: list[Any]) -> list[Step]:
    if layer.axis not in (-1, [-1]):
        raise UnsupportedLayerError("Softmax over another axis than the last")
    return [Step(kind="softmax")]


def _batch_normalization(layer: Any, tensors: list[Any]) -> list[Step]:
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    if [axis % len(tensors[0].shape) for axis in axes] != [len(tensors[0].shape) - 1]:
        raise UnsupportedLayerError(
            "BatchNormalization over another axis than the last"
        )
    weights = {
        key: _array(getattr(layer, key))
        for key in ("gamma", "beta", "moving_mean", "moving_variance")
        if getattr(layer, key, None) is not None
    }
    settings = {"epsilon": float(layer.epsilon), "momentum": float(layer.momentum)}
    return [Step(kind="batch_normalization", settings=settings, weights=weights)]


def _dropout(layer: Any, _tensors: list[Any]) -> list[Step]:
    if layer.noise_shape is not None:
        raise UnsupportedLayerError("Dropout with a noise_shape")
    return [Step(kind="dropout", settings={"rate": float(layer.rate)})]


def _concatenate(layer: Any, tensors: list[Any]) -> list[Step]:
    axis = layer.axis % len(tensors[0].shape)
    if axis == 0:
        raise UnsupportedLayerError("Concatenate along the batch")
    return [Step(kind="concatenate", settings={"axis": axis})]


def _add(_layer: Any, tensors: list[Any]) -> list[Step]:
    if len({tuple(tensor.shape) for tensor in tensors}) != 1:
        raise UnsupportedLayerError("Add of different shapes")
    return [Step(kind="add")]


def _flatten(_layer: Any, _tensors: list[Any]) -> list[Step]:
    return [Step(kind="reshape", settings={"shape": (-1,)})]


def _reshape(layer: Any, tensors: list[Any]) -> list[Step]:
    shape = layer.compute_output_shape(tensors[0].shape)[1:]
    return [Step(kind="reshape", settings={"shape": tuple(int(n) for n in shape)})]


def _zero_padding(layer: Any, _tensors: list[Any]) -> list[Step]:
    _channels_last(layer)
    padding = tuple(tuple(int(n) for n in pair) for pair in layer.padding)
    return [Step(kind="zero_padding", settings={"padding": padding})]


def _rescaling(layer: Any, _tensors: list[Any]) -> list[Step]:
    if np.ndim(layer.scale) or np.ndim(layer.offset):
        raise UnsupportedLayerError("Rescaling by other than two numbers")
    settings = {"scale": float(layer.scale), "offset": float(layer.offset)}
    return [Step(kind="rescaling", settings=settings)]


def _lone_activation(layer: Any, _tensors: list[Any]) -> list[Step]:
    # A linear activation is a reshape to the shape it has.
    return _activation(layer.activation) or []


def _refuse(layer: Any, _tensors: list[Any]) -> list[Step]:
    raise UnsupportedLayerError(f"{type(layer).__name__} has no rule")


_RULES: dict[str, Callable[[Any, list[Any]], list[Step]]] = {
    "Conv2D": _conv_2d,
    "DepthwiseConv2D": _depthwise,
    "Dense": _dense,
    "MaxPooling2D": _pooling("max_pooling"),
    "AveragePooling2D": _pooling("average_pooling"),
    "GlobalAveragePooling2D": _global_average,
    "ReLU": _relu,
    "Softmax": _softmax,
    "Activation": _lone_activation,
    "BatchNormalization": _batch_normalization,
    "Dropout": _dropout,
    "Add": _add,
    "Concatenate": _concatenate,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "ZeroPadding2D": _zero_padding,
    "Rescaling": _rescaling,
}


def _activation(function: Any) -> list[Step]:
    name = getattr(function, "__name__", str(function))
    if name == "linear":
        return []
    if name not in _ACTIVATIONS:
        raise UnsupportedLayerError(f"the activation {name} has no rule")
    return [Step(kind=name)]


def _window(layer: Any) -> dict[str, Any]:
    _channels_last(layer)
    if set(layer.dilation_rate) != {1}:
        raise UnsupportedLayerError("a dilated convolution has no rule")
    return {"strides": tuple(layer.strides), "padding": layer.padding}


def _kernel(layer: Any) -> dict[str, NDArray[Any]]:
    weights = {"kernel": _array(layer.kernel)}
    if layer.use_bias:
        weights["bias"] = _array(layer.bias)
    return weights


def _channels_last(layer: Any) -> None:
    if layer.data_format != "channels_last":
        raise UnsupportedLayerError("pictures with channels first")


def _array(variable: Any) -> NDArray[Any]:
    return np.asarray(variable.numpy(), np.float32)
