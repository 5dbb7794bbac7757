"""What each operator of a .tflite file is in TensorFlow.

Operators and their options: TensorFlow Lite's schema.fbs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgedeploy.errors import FormatError, QuantizationError
from edgedeploy.quantize.layers import DENSE, DEPTHWISE, Layer


class Constants:
    """The numbers and shapes that a file states."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._graph = model.subgraphs[0]

    def values(self, tensor: int) -> Any:
        """Give a constant tensor's numbers, in its shape.

        Raises:
            FormatError: If the file has none, or they do not fill the shape.
        """
        from ai_edge_litert.schema_py_generated import TensorType

        found = self._graph.tensors[tensor]
        data = self._model.buffers[found.buffer].data
        types = {TensorType.FLOAT32: "<f4", TensorType.INT32: "<i4"}
        shape = self.shape(tensor)
        raw = np.ascontiguousarray([] if data is None else data, np.uint8)
        if found.type not in types or raw.size != 4 * int(np.prod(shape)):
            raise FormatError(f"tensor {tensor} is no constant of 32-bit numbers")
        return np.frombuffer(raw.tobytes(), types[found.type]).reshape(shape)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Give a tensor's shape as stored; () for a single number."""
        shape = self._graph.tensors[tensor].shape
        return () if shape is None else tuple(int(size) for size in shape)


class Call:
    """One operator with what it is given."""

    def __init__(
        self,
        constants: Constants,
        operator: Any,
        known: Mapping[int, Any],
        layer: Layer | None,
        kernel: tuple[Any, Any] | None,
    ) -> None:
        self.constants = constants
        self.inputs = [int(tensor) for tensor in operator.inputs]
        self.output = int(operator.outputs[0])
        self.options = operator.builtinOptions
        self.layer = layer
        self.kernel = kernel
        self._known = known

    def value(self, place: int) -> Any:
        """Give an input: what ran before, or a constant."""
        tensor = self.inputs[place]
        found = self._known.get(tensor)
        return self.constants.values(tensor) if found is None else found

    def weights(self) -> tuple[Any, Any]:
        """Give the weights in the file's order, and the bias or 0."""
        import tensorflow as tf

        if self.kernel is not None and self.layer is not None:
            return arranged(self.layer, self.kernel[0]), self.kernel[1]
        biased = len(self.inputs) > 2 and self.inputs[2] >= 0
        bias = self.value(2) if biased else 0.0
        weights = tf.convert_to_tensor(self.value(1))
        return weights, bias

    def activated(self, values: Any) -> Any:
        """Apply the activation that is fused with the operator."""
        import tensorflow as tf

        fused = self.options.fusedActivationFunction
        known: dict[int, Callable[[Any], Any]] = {
            0: tf.identity,
            1: tf.nn.relu,
            2: lambda x: tf.clip_by_value(x, -1.0, 1.0),
            3: tf.nn.relu6,
            4: tf.tanh,
        }
        if fused not in known:
            raise QuantizationError(
                f"--finetune does not know fused activation {fused}; leave it out"
            )
        return known[fused](values)

    @property
    def padding(self) -> str:
        """TensorFlow's name of it."""
        return "VALID" if self.options.padding else "SAME"

    @property
    def strides(self) -> list[int]:
        """One a dimension, as TensorFlow takes them."""
        return [1, self.options.strideH, self.options.strideW, 1]


def arranged(layer: Layer, matrix: Any) -> Any:
    """Turn a (rows, columns) tensor into the file's order of a layer's weights."""
    import tensorflow as tf

    if layer.kind == DENSE:
        return matrix
    if layer.kind == DEPTHWISE:
        return tf.reshape(tf.transpose(matrix), [1, *layer.kernel, layer.rows])
    return tf.reshape(matrix, [layer.rows, *layer.kernel, -1])


def _convolve(call: Call) -> Any:
    import tensorflow as tf

    weights, bias = call.weights()
    options = call.options
    made = tf.nn.conv2d(
        call.value(0),
        tf.transpose(weights, [1, 2, 3, 0]),
        call.strides,
        call.padding,
        dilations=[options.dilationHFactor, options.dilationWFactor],
    )
    return call.activated(made + bias)


def _convolve_depthwise(call: Call) -> Any:
    import tensorflow as tf

    weights, bias = call.weights()
    options, values = call.options, call.value(0)
    height, width, rows = weights.shape[1:]
    channels = int(values.shape[3])
    made = tf.nn.depthwise_conv2d(
        values,
        tf.reshape(weights, [height, width, channels, rows // channels]),
        call.strides,
        call.padding,
        dilations=[options.dilationHFactor, options.dilationWFactor],
    )
    return call.activated(made + bias)


def _multiply_dense(call: Call) -> Any:
    import tensorflow as tf

    weights, bias = call.weights()
    values = call.value(0)
    if not call.options.keepNumDims:
        values = tf.reshape(values, [-1, weights.shape[1]])
    return call.activated(tf.tensordot(values, weights, [[-1], [1]]) + bias)


def _pool(kind: str) -> Callable[[Call], Any]:
    def rule(call: Call) -> Any:
        import tensorflow as tf

        window = [1, call.options.filterHeight, call.options.filterWidth, 1]
        pool = tf.nn.avg_pool2d if kind == "average" else tf.nn.max_pool2d
        return call.activated(pool(call.value(0), window, call.strides, call.padding))

    return rule


def _average(call: Call) -> Any:
    import tensorflow as tf

    axes = [int(axis) for axis in np.ravel(call.value(1))]
    return tf.reduce_mean(call.value(0), axes, keepdims=call.options.keepDims)


def _concatenate(call: Call) -> Any:
    import tensorflow as tf

    parts = [call.value(place) for place in range(len(call.inputs))]
    return call.activated(tf.concat(parts, call.options.axis))


def _reshape(call: Call) -> Any:
    import tensorflow as tf

    # The file is for one picture; a batch changes the first size alone.
    return tf.reshape(call.value(0), [-1, *call.constants.shape(call.output)[1:]])


def _elementwise(name: str) -> Callable[[Call], Any]:
    def rule(call: Call) -> Any:
        import tensorflow as tf

        return getattr(tf.nn, name)(call.value(0))

    return rule


def _hard_swish(call: Call) -> Any:
    import tensorflow as tf

    values = call.value(0)
    return values * tf.nn.relu6(values + 3.0) / 6.0


def _softmax(call: Call) -> Any:
    import tensorflow as tf

    return tf.nn.softmax(call.value(0) * call.options.beta)


def _pad(call: Call) -> Any:
    import tensorflow as tf

    return tf.pad(call.value(0), call.value(1))


RULES: dict[str, Callable[[Call], Any]] = {
    "ADD": lambda call: call.activated(call.value(0) + call.value(1)),
    "AVERAGE_POOL_2D": _pool("average"),
    "CONCATENATION": _concatenate,
    "CONV_2D": _convolve,
    "DEPTHWISE_CONV_2D": _convolve_depthwise,
    "FULLY_CONNECTED": _multiply_dense,
    "HARD_SWISH": _hard_swish,
    "LOGISTIC": _elementwise("sigmoid"),
    "MAX_POOL_2D": _pool("max"),
    "MEAN": _average,
    "MUL": lambda call: call.activated(call.value(0) * call.value(1)),
    "PAD": _pad,
    "RELU": _elementwise("relu"),
    "RELU6": _elementwise("relu6"),
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
    "SUB": lambda call: call.activated(call.value(0) - call.value(1)),
    "TANH": _elementwise("tanh"),
}
