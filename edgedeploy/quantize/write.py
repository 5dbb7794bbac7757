"""Solved layers into a .tflite file, in the form that XNNPACK runs fastest.

- A 1x1 convolution is a matrix product for every pixel, so it is written as
  FULLY_CONNECTED with `keep_num_dims`: XNNPACK has 4-bit kernels for that one alone.
- Other convolutions keep their operator; their activations are quantised as they come.
- Depthwise weights are stored with 8 bits and unpacked at load (DEQUANTIZE), which is
  faster than the reference kernel that mixed depthwise convolutions fall back to.
- So are 8-bit weights of few inputs: rounding the activations would take longer than
  the integer product saves.

Schema: TensorFlow Lite's schema.fbs; operators' versions: its `op_version.cc`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.formats.operator_versions import newest, runtime_since
from edgedeploy.formats.tflite import names_by_value
from edgedeploy.formats.tflite_layout import pack_model
from edgedeploy.quantize.layers import (
    DENSE,
    DEPTHWISE,
    Layer,
    set_floats,
    stored_order,
)
from edgedeploy.quantize.pack import pack_int4
from edgedeploy.quantize.solver.blocks import BLOCK, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DENSE_VERSION = 12
# Runtimes before it read the file and answer nonsense, so they must refuse it.
_BLOCKED_VERSION = 14
# Measured on EfficientNet-Lite0: 1.15 times int8's time without, 1.00 with it.
_FEW_INPUTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SolvedLayer:
    """One layer's codes.

    Attributes:
        layer: Which.
        bits: Width that the file gives a code, 4 or 8.
        codes: Shape (rows, columns), int8.
        steps: Shape (rows,), or (rows, columns / 32) where every 32 weights have one,
            which are half-precision numbers then; float32, positive.
        bias: One a row, float32; ignored where the layer has none.
    """

    layer: Layer
    bits: int
    codes: NDArray[np.int8]
    steps: NDArray[np.float32]
    bias: NDArray[np.float32]

    def weights(self) -> NDArray[np.float32]:
        """The real weights that the codes stand for, shape (rows, columns)."""
        each = spread(self.steps, self.layer.columns)
        return np.asarray(self.codes * each, np.float32)


def is_unpacked(one: SolvedLayer) -> bool:
    """Whether a layer's codes are turned into float32 when the model is loaded."""
    few = one.bits == 8 and one.layer.columns <= _FEW_INPUTS
    return one.layer.kind == DEPTHWISE or few


def write_solved(model: Any, solved: Sequence[SolvedLayer]) -> bytes:
    """Write a model with solved layers; the others stay float32.

    Args:
        model: The float32 `ModelT`; it is left as it was.
        solved: The layers to change.

    Returns:
        The .tflite file's bytes.

    Raises:
        FormatError: If the model is not consistent.
    """
    edited = _copy(model)
    graph = edited.subgraphs[0]
    unpacked: dict[int, Any] = {}
    zeros: dict[int, int] = {}
    for one in solved:
        layer, operator = one.layer, graph.operators[one.layer.operator]
        if layer.bias >= 0:
            set_floats(edited, layer.bias, one.bias)
        _store(edited, one, zeros)
        if is_unpacked(one):
            unpacked[layer.operator] = _unpack(edited, one)
        elif layer.pointwise:
            _as_dense(edited, one, operator)
        else:
            operator.opcodeIndex = _opcode(edited, "CONV_2D", 5 if one.bits > 4 else 7)
    operators = []
    for number, operator in enumerate(graph.operators):
        if number in unpacked:
            operators.append(unpacked[number])
        operators.append(operator)
    graph.operators = operators
    _forget_names(edited)
    _raise_version(edited)
    return pack_model(edited)


def _copy(model: Any) -> Any:
    edited = copy.copy(model)
    edited.buffers = [copy.copy(buffer) for buffer in model.buffers]
    edited.operatorCodes = list(model.operatorCodes)
    graph = copy.copy(model.subgraphs[0])
    graph.tensors = [copy.copy(tensor) for tensor in graph.tensors]
    graph.operators = [copy.copy(operator) for operator in graph.operators]
    edited.subgraphs = [graph]
    return edited


class _Symmetric:
    """Packs like the schema's QuantizationParametersT, all zero points being 0.

    The runtime wants one of eight bytes a channel, so tensors with equally many
    channels refer to the same zeros.
    """

    def __init__(
        self, steps: NDArray[np.float32], axis: int, zeros: dict[int, int]
    ) -> None:
        self._steps = steps
        self._axis = axis
        self._zeros = zeros

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the object API's name
        from ai_edge_litert import schema_py_generated as schema

        count = len(self._steps)
        steps = builder.CreateNumpyVector(np.ascontiguousarray(self._steps, "<f4"))
        if count not in self._zeros:
            self._zeros[count] = builder.CreateNumpyVector(np.zeros(count, "<i8"))
        schema.QuantizationParametersStart(builder)
        schema.QuantizationParametersAddScale(builder, steps)
        schema.QuantizationParametersAddZeroPoint(builder, self._zeros[count])
        schema.QuantizationParametersAddQuantizedDimension(builder, self._axis)
        end: int = schema.QuantizationParametersEnd(builder)
        return end


def stored_codes(one: SolvedLayer) -> NDArray[np.uint8]:
    """A layer's codes as the file holds them, flat, uint8."""
    flat = stored_order(one.layer, one.codes)
    return pack_int4(flat) if one.bits == 4 else flat.astype(np.int8).view(np.uint8)


def stored_steps(one: SolvedLayer) -> NDArray[Any]:
    """A layer's steps as the file holds them: float32, or float16 for blocks."""
    return one.steps.astype("<f4" if one.steps.ndim == 1 else "<f2")


def _store(model: Any, one: SolvedLayer, zeros: dict[int, int]) -> None:
    """Put codes, steps and type into the weights' tensor."""
    from ai_edge_litert import schema_py_generated as schema

    tensor = model.subgraphs[0].tensors[one.layer.weights]
    model.buffers[tensor.buffer].data = stored_codes(one)
    tensor.type = schema.TensorType.INT4 if one.bits == 4 else schema.TensorType.INT8
    axis = 3 if one.layer.kind == DEPTHWISE else 0
    if one.steps.ndim == 1:
        tensor.quantization = _Symmetric(one.steps, axis, zeros)
    else:
        tensor.quantization = _blockwise(model, one)


def _blockwise(model: Any, one: SolvedLayer) -> Any:
    """Describe steps that belong to blocks; they are a tensor of their own."""
    from ai_edge_litert import schema_py_generated as schema

    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = stored_steps(one).view(np.uint8).reshape(-1)
    tensor.type, tensor.name = schema.TensorType.FLOAT16, b""
    tensor.shape = np.array(one.steps.shape, np.int32)
    tensor.buffer = len(model.buffers)
    model.buffers.append(buffer)
    graph = model.subgraphs[0]
    graph.tensors.append(tensor)
    blocks = schema.BlockwiseQuantizationT()
    blocks.scales, blocks.zeroPoints = len(graph.tensors) - 1, -1
    blocks.blockSize = BLOCK
    made = schema.QuantizationParametersT()
    made.detailsType = schema.QuantizationDetails.BlockwiseQuantization
    made.details = blocks
    return made


def _as_dense(model: Any, one: SolvedLayer, operator: Any) -> None:
    from ai_edge_litert import schema_py_generated as schema

    layer = one.layer
    version = _DENSE_VERSION if one.steps.ndim == 1 else _BLOCKED_VERSION

    before = operator.builtinOptions
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = before.fusedActivationFunction
    options.weightsFormat = 0
    options.keepNumDims = before.keepNumDims if layer.kind == DENSE else True
    options.asymmetricQuantizeInputs = True
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = options
    operator.opcodeIndex = _opcode(model, "FULLY_CONNECTED", version)
    tensor = model.subgraphs[0].tensors[layer.weights]
    tensor.shape = np.array([layer.rows, layer.columns], np.int32)
    tensor.shapeSignature = None


def _unpack(model: Any, one: SolvedLayer) -> Any:
    """Make the operator that turns a layer's codes into float32 when it is loaded."""
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    operator = graph.operators[one.layer.operator]
    stored = one.layer.weights
    real = copy.copy(graph.tensors[stored])
    real.type, real.quantization, real.buffer = schema.TensorType.FLOAT32, None, 0
    graph.tensors.append(real)
    inputs = np.array(operator.inputs, np.int32)
    inputs[1] = len(graph.tensors) - 1
    operator.inputs = inputs
    made = schema.OperatorT()
    made.opcodeIndex = _opcode(model, "DEQUANTIZE", 6 if one.bits == 4 else 5)
    made.inputs = np.array([stored], np.int32)
    made.outputs = inputs[1:2].copy()
    return made


def _opcode(model: Any, name: str, version: int) -> int:
    from ai_edge_litert import schema_py_generated as schema

    number = getattr(schema.BuiltinOperator, name)
    for index, code in enumerate(model.operatorCodes):
        if code.builtinCode == number and code.version == version:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode, code.version = number, version
    # The old field ends at 127, which there means "look at the new one".
    code.deprecatedBuiltinCode = min(number, 127)
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _raise_version(model: Any) -> None:
    """Say which runtime the operators' versions need, as the converter does."""
    for entry in model.metadata or ():
        if entry.name == b"min_runtime_version":
            buffer = model.buffers[entry.buffer]
            stored = b"" if buffer.data is None else bytes(bytearray(buffer.data))
            declared = stored.rstrip(b"\0")
            needed = _needed_runtime(model, declared.decode("ascii", "replace"))
            data = needed.encode().ljust(16, b"\0")
            buffer.data = np.frombuffer(data, np.uint8)


def _needed_runtime(model: Any, declared: str) -> str:
    from ai_edge_litert import schema_py_generated as schema

    names = names_by_value(schema.BuiltinOperator)
    codes = [
        model.operatorCodes[operator.opcodeIndex]
        for operator in model.subgraphs[0].operators
    ]
    # Files from before 2020 have the number in the old field alone.
    numbers = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in codes]
    since = [
        runtime_since(names.get(number, ""), code.version)
        for number, code in zip(numbers, codes, strict=True)
    ]
    known = [version for version in since if version]
    if re.fullmatch(r"\d+(\.\d+)*", declared):
        known.append(declared)
    return newest(known) or declared


def _forget_names(model: Any) -> None:
    """Empty the names of inner tensors: a converter's take 100 bytes each."""
    graph = model.subgraphs[0]
    kept = {int(t) for t in (*graph.inputs, *graph.outputs)}
    for number, tensor in enumerate(graph.tensors):
        if number not in kept:
            tensor.name = b""
