"""The layers of a float32 .tflite file whose weights can be written with fewer bits.

Schema: TensorFlow Lite's schema.fbs, through the object API that LiteRT ships. It
checks no bounds, so a file is walked by `summarize` before.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import FormatError, QuantizationError
from edgedeploy.formats.tflite import MALFORMED, summarize

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONV, DEPTHWISE, DENSE = "conv", "depthwise", "dense"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One operator with constant float32 weights.

    Attributes:
        operator: Its number in the file.
        kind: "conv", "depthwise" or "dense".
        source: Number of the tensor that it reads.
        weights: Number of the weights' tensor.
        bias: Number of the bias's tensor, or -1.
        rows: Output channels.
        columns: Weights of one output channel.
        kernel: Height and width; (1, 1) for dense.
        stride: Vertical and horizontal.
        dilation: Vertical and horizontal.
        same: Whether the padding is SAME rather than VALID.
    """

    operator: int
    kind: str
    source: int
    weights: int
    bias: int
    rows: int
    columns: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    same: bool = False

    @property
    def count(self) -> int:
        """How many weights it has."""
        return self.rows * self.columns

    @property
    def pointwise(self) -> bool:
        """Whether it is one matrix product for every pixel."""
        return self.kind == DENSE or (
            self.kind == CONV and self.kernel == (1, 1) and self.stride == (1, 1)
        )


def read_float_model(data: bytes) -> Any:
    """Read a float32 .tflite file for editing.

    Args:
        data: The file's bytes.

    Returns:
        A `schema_py_generated.ModelT`.

    Raises:
        FormatError: If the bytes are no readable .tflite model.
        QuantizationError: If the model has several subgraphs.
    """
    from ai_edge_litert import schema_py_generated as schema

    summarize(data)
    try:
        model = schema.ModelT.InitFromPackedBuf(data, 0)
    except MALFORMED as error:
        raise FormatError(f"the model cannot be read for editing: {error}") from error
    if len(model.subgraphs) != 1:
        raise QuantizationError(
            f"weights are solved in models of one graph; found {len(model.subgraphs)}. "
            "Leave int4_mixed out"
        )
    return model


def weight_layers(model: Any) -> tuple[Layer, ...]:
    """Find the layers, in the order in which they run.

    Layers that share a tensor are left alone: one set of codes cannot be the best for
    two kinds of input.

    Raises:
        QuantizationError: If there is none.
        FormatError: If a layer contradicts itself.
    """
    graph = model.subgraphs[0]
    uses = Counter(
        int(tensor)
        for operator in graph.operators
        for tensor in (() if operator.inputs is None else operator.inputs)
    )
    shared = Counter(int(tensor.buffer) for tensor in graph.tensors)
    try:
        found = [
            layer
            for number, operator in enumerate(graph.operators)
            if (layer := _layer(model, number, operator)) is not None
            and uses[layer.weights] == 1
            and shared[graph.tensors[layer.weights].buffer] == 1
        ]
    except MALFORMED as error:
        raise FormatError(
            f"a layer of the model contradicts itself: {error}"
        ) from error
    if not found:
        raise QuantizationError(
            "the model has no layer with constant float32 weights, so there is nothing "
            "to write with fewer bits; give the float32 network"
        )
    return tuple(found)


def operator_code(model: Any, operator: Any) -> int:
    """The builtin operator's number, from whichever field has it."""
    code = model.operatorCodes[operator.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def _layer(model: Any, number: int, operator: Any) -> Layer | None:
    from ai_edge_litert.schema_py_generated import BuiltinOperator as Builtin
    from ai_edge_litert.schema_py_generated import Padding, TensorType

    kinds = {
        Builtin.CONV_2D: CONV,
        Builtin.DEPTHWISE_CONV_2D: DEPTHWISE,
        Builtin.FULLY_CONNECTED: DENSE,
    }
    kind = kinds.get(operator_code(model, operator))
    tensors = model.subgraphs[0].tensors
    if kind is None or len(operator.inputs) < 2:
        return None
    source, weights = int(operator.inputs[0]), int(operator.inputs[1])
    tensor = tensors[weights]
    if tensor.type != TensorType.FLOAT32 or model.buffers[tensor.buffer].data is None:
        return None
    shape = tuple(int(size) for size in tensor.shape)
    bias = int(operator.inputs[2]) if len(operator.inputs) > 2 else -1
    options = operator.builtinOptions
    if kind == DENSE:
        return Layer(
            operator=number,
            kind=kind,
            source=source,
            weights=weights,
            bias=bias,
            rows=shape[0],
            columns=shape[1],
        )
    channels = int(tensors[source].shape[3])
    multiplied = kind == DEPTHWISE and shape[3] != channels
    grouped = kind == CONV and shape[3] != channels
    if multiplied or grouped:
        return None
    return Layer(
        operator=number,
        kind=kind,
        source=source,
        weights=weights,
        bias=bias,
        rows=shape[3] if kind == DEPTHWISE else shape[0],
        columns=shape[1] * shape[2] * (1 if kind == DEPTHWISE else shape[3]),
        kernel=(shape[1], shape[2]),
        stride=(options.strideH, options.strideW),
        dilation=(options.dilationHFactor, options.dilationWFactor),
        same=options.padding == Padding.SAME,
    )


def weights_of(model: Any, layer: Layer) -> NDArray[np.float32]:
    """A layer's weights as a matrix, shape (rows, columns), float32; a copy.

    Columns run over the kernel's height, width and input channels, in this order.

    Raises:
        FormatError: If the buffer has another size than the tensor.
    """
    matrix = _floats(model, layer.weights)
    if matrix.size != layer.count:
        raise FormatError(
            f"operator {layer.operator} has {matrix.size} weights for {layer.count}"
        )
    if layer.kind == DEPTHWISE:
        return np.ascontiguousarray(matrix.reshape(layer.columns, layer.rows).T)
    return matrix.reshape(layer.rows, layer.columns).copy()


def stored_order(layer: Layer, matrix: NDArray[Any]) -> NDArray[Any]:
    """Turn a (rows, columns) matrix into the file's flat order."""
    return np.ascontiguousarray(
        matrix.T if layer.kind == DEPTHWISE else matrix
    ).reshape(-1)


def bias_of(model: Any, layer: Layer) -> NDArray[np.float32]:
    """A layer's bias, shape (rows,), float32; zeros where it has none."""
    if layer.bias < 0:
        return np.zeros(layer.rows, np.float32)
    return _floats(model, layer.bias).copy()


def _floats(model: Any, tensor: int) -> NDArray[np.float32]:
    data = model.buffers[model.subgraphs[0].tensors[tensor].buffer].data
    raw = np.ascontiguousarray(data if data is not None else [], np.uint8).tobytes()
    if len(raw) % 4:
        raise FormatError(f"tensor {tensor} ends within a number")
    return np.frombuffer(raw, "<f4")


def set_floats(model: Any, tensor: int, values: NDArray[Any]) -> None:
    """Replace a constant float32 tensor's numbers."""
    buffer = model.buffers[model.subgraphs[0].tensors[tensor].buffer]
    raw = np.ascontiguousarray(values, "<f4").tobytes()
    buffer.data = np.frombuffer(raw, np.uint8)


def set_layer(
    model: Any, layer: Layer, weights: NDArray[Any], bias: NDArray[Any]
) -> None:
    """Give a layer other weights, shape (rows, columns), and another bias."""
    set_floats(model, layer.weights, stored_order(layer, weights))
    if layer.bias >= 0:
        set_floats(model, layer.bias, bias)


def copy_model(model: Any) -> Any:
    """Copy a `ModelT` far enough that layers can be given other weights."""
    twin = copy.copy(model)
    twin.buffers = [copy.copy(buffer) for buffer in model.buffers]
    return twin
