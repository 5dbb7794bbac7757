"""Keep an operator of one's own in the graph: one CUSTOM node for a whole layer.

TensorFlow can only convert what it can run, so the network has the operator as a Keras
layer of TensorFlow's own operators: it trains, and calibration sees real numbers. After
conversion those operators, found by the layer's name in the names of their outputs, are
replaced by one node. Tables: TensorFlow Lite's schema.fbs, Operator and OperatorCode.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

from edgedeploy.errors import ConversionError, FormatError
from edgedeploy.formats.tflite import MALFORMED, summarize
from edgedeploy.formats.tflite_layout import pack_model

# EdgedeployOptions of sources/edgedeploy_op.h has room for as many.
MAX_OPTIONS = 8
_OPTIONS_VERSION = 1
_NO_TENSOR = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """A layer that becomes one node.

    Attributes:
        layer: Name of the Keras layer.
        name: The operator's name in the model, LiteRT's custom code.
        version: The operator's version.
        options: Whole numbers that the operator gets, at most `MAX_OPTIONS`.
    """

    layer: str
    name: str
    version: int = 1
    options: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse options that the model has no room for."""
        if len(self.options) > MAX_OPTIONS or not all(
            type(value) is int and -(2**31) <= value < 2**31 for value in self.options
        ):
            raise ConversionError(
                f"{self.name}: options are at most {MAX_OPTIONS} whole numbers of 32 "
                f"bits; received {self.options!r}"
            )


def fuse_layer(data: bytes, fusion: Fusion) -> bytes:
    """Replace a layer's operators by one custom operator.

    Args:
        data: A .tflite file without associated files, as the converter writes it.
        fusion: What to replace, and by what.

    Returns:
        A .tflite file. Tensors inside the layer and constants that only it read have
        no reader any more; their buffers are emptied.

    Raises:
        ConversionError: If the layer is not there, or is no connected piece with one
            input and one output.
        FormatError: If the bytes are no readable .tflite model.
    """
    from ai_edge_litert import schema_py_generated as schema

    # A walk with bounds first: the object API below has none.
    summarize(data)
    try:
        model = schema.ModelT.InitFromPackedBuf(data, 0)
        found = [graph for graph in model.subgraphs if _members(graph, fusion.layer)]
        if not found:
            raise ConversionError(
                f"{fusion.name}: no operator of a layer {fusion.layer!r} is in the "
                "model; give the Keras layer's name"
            )
        for graph in found:
            _replace(model, graph, fusion)
        _empty_unread_buffers(model)
    except MALFORMED as error:
        raise FormatError(f"the model cannot be edited: {error}") from error
    return pack_model(model)


def _members(graph: Any, layer: str) -> list[int]:
    """Positions of the layer's operators, in the order in which they run."""
    # Keras numbers a layer whose name is taken: pool, pool_1.
    inside = re.compile(rf"(^|/){re.escape(layer)}(_\d+)?/")

    def belongs(tensor: int) -> bool:
        # A fused operator has the names of all that went into it.
        parts = _name(graph, tensor).split(";")
        return all(inside.search(part) for part in parts)

    members = [
        position
        for position, operator in enumerate(graph.operators)
        if len(operator.outputs) and all(belongs(tensor) for tensor in operator.outputs)
    ]
    # What a layer at the network's end gives is called after the network's output; then
    # only the names of its constants tell whose operator it is.
    made = {int(t) for n in members for t in graph.operators[n].outputs}
    for position, operator in enumerate(graph.operators):
        follows = any(int(tensor) in made for tensor in operator.inputs)
        if position in members or not follows:
            continue
        if any(
            belongs(int(tensor))
            for tensor in operator.inputs
            if int(tensor) not in made and int(tensor) != _NO_TENSOR
        ):
            members.append(position)
            made |= {int(tensor) for tensor in operator.outputs}
    return sorted(members)


def _replace(model: Any, graph: Any, fusion: Fusion) -> None:
    from ai_edge_litert import schema_py_generated as schema

    members = _members(graph, fusion.layer)
    inside = [graph.operators[position] for position in members]
    outside = [
        operator
        for position, operator in enumerate(graph.operators)
        if position not in members
    ]
    made = {int(tensor) for operator in inside for tensor in operator.outputs}
    read = {int(tensor) for operator in outside for tensor in operator.inputs}
    read |= {int(tensor) for tensor in graph.outputs}
    inputs = sorted(
        {
            int(tensor)
            for operator in inside
            for tensor in operator.inputs
            if int(tensor) not in made and not _is_constant(model, graph, int(tensor))
        }
    )
    outputs = sorted(made & read)
    if len(inputs) != 1 or len(outputs) != 1:
        raise ConversionError(
            f"{fusion.name}: the layer {fusion.layer!r} must have one input and one "
            f"output to become one operator; found {_names(graph, inputs)} and "
            f"{_names(graph, outputs)}"
        )
    _check_end(model, graph, outside, outputs[0], fusion)
    node = schema.OperatorT()
    node.opcodeIndex = _operator_code(model, fusion)
    node.inputs, node.outputs = inputs, outputs
    options = _options(graph.tensors[inputs[0]], graph.tensors[outputs[0]], fusion)
    node.customOptions = list(options)
    # After everything that it reads, before everything that reads it.
    graph.operators[members[-1]] = node
    graph.operators = [
        operator
        for position, operator in enumerate(graph.operators)
        if position not in members[:-1]
    ]


def _check_end(
    model: Any, graph: Any, outside: list[Any], output: int, fusion: Fusion
) -> None:
    """Refuse to guess whose the operator after the layer is.

    Raises:
        ConversionError: If it may be the layer's own last one.
    """
    from ai_edge_litert import schema_py_generated as schema

    kinds = schema.BuiltinOperator
    for operator in outside:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        if output not in [int(tensor) for tensor in operator.inputs]:
            continue
        names = [_name(graph, int(tensor)) for tensor in operator.outputs]
        names += [_name(graph, int(t)) for t in operator.inputs if int(t) != output]
        if kind in (kinds.QUANTIZE, kinds.DEQUANTIZE) or any("/" in n for n in names):
            continue
        raise ConversionError(
            f"{fusion.name}: the operator after the layer {fusion.layer!r} has no "
            "layer's name, so it may be the layer's own last one, at the network's "
            "end; let a layer with weights follow it"
        )


def _name(graph: Any, tensor: int) -> str:
    if tensor == _NO_TENSOR:
        return ""
    return (graph.tensors[tensor].name or b"").decode()


def _is_constant(model: Any, graph: Any, tensor: int) -> bool:
    if tensor == _NO_TENSOR:
        return True
    data = model.buffers[graph.tensors[tensor].buffer].data
    return data is not None and len(data) > 0


def _names(graph: Any, tensors: list[int]) -> str:
    return ", ".join(_name(graph, tensor) for tensor in tensors) or "none"


def _operator_code(model: Any, fusion: Fusion) -> int:
    from ai_edge_litert import schema_py_generated as schema

    custom = schema.BuiltinOperator.CUSTOM
    wanted = fusion.name.encode()
    for index, code in enumerate(model.operatorCodes):
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        if (kind, code.customCode, code.version) == (custom, wanted, fusion.version):
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = custom
    code.customCode, code.version = wanted, fusion.version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _options(before: Any, after: Any, fusion: Fusion) -> bytes:
    """Lay out EdgedeployOptions of sources/edgedeploy_op.h, little-endian."""
    values = (*fusion.options, *(0,) * (MAX_OPTIONS - len(fusion.options)))
    return struct.pack(
        f"<ififii{MAX_OPTIONS}i",
        _OPTIONS_VERSION,
        *_quantisation(before),
        *_quantisation(after),
        len(fusion.options),
        *values,
    )


def _quantisation(tensor: Any) -> tuple[float, int]:
    found = tensor.quantization
    if found is None or found.scale is None or not len(found.scale):
        return 0.0, 0
    if len(found.scale) != 1:
        raise ConversionError("an operator of one's own takes one scale for a tensor")
    zero_points = found.zeroPoint
    zero = 0 if zero_points is None or not len(zero_points) else int(zero_points[0])
    return float(found.scale[0]), zero


def _empty_unread_buffers(model: Any) -> None:
    """Drop the data of constants that no operator reads any more."""
    read = {0}
    for graph in model.subgraphs:
        used = {int(tensor) for tensor in (*graph.inputs, *graph.outputs)}
        for operator in graph.operators:
            used |= {int(tensor) for tensor in (*operator.inputs, *operator.outputs)}
        read |= {graph.tensors[t].buffer for t in used if t != _NO_TENSOR}
    read |= {entry.buffer for entry in model.metadata or []}
    for index, buffer in enumerate(model.buffers):
        if index not in read:
            buffer.data = None
