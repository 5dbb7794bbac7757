"""The ends of a finished .tflite file: a softmax for logits, uint8 for int8.

Schema: TensorFlow Lite's schema.fbs, through the object API that LiteRT ships.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgedeploy.errors import ConversionError, FormatError
from edgedeploy.formats.metadata import remove
from edgedeploy.formats.tflite import MALFORMED, summarize
from edgedeploy.formats.tflite_layout import pack_model

_NAME = "probabilities"


def append_softmax(data: bytes) -> bytes:
    """Let a model end in probabilities instead of logits.

    Quantised logits become real numbers first, so the output is float32 always.

    Args:
        data: A .tflite file of one graph with one output, shape (batch, classes).

    Returns:
        The model with one or two operators more, without metadata.

    Raises:
        FormatError: If the bytes are no readable .tflite model.
        ConversionError: If it has several graphs or outputs.
    """
    return _edited(data, _append_softmax)


def take_bytes(data: bytes) -> bytes:
    """Let a model take and give uint8 where it takes and gives int8.

    MediaPipe and TFLite Metadata know no int8 pictures. The operators that are added
    move each value by 128, so no answer changes.

    Args:
        data: A .tflite file of one graph with one input and one output.

    Returns:
        The model, without metadata; unchanged where neither end is int8.

    Raises:
        FormatError: If the bytes are no readable .tflite model.
        ConversionError: If it has several graphs or outputs.
    """
    return _edited(data, _shift_ends)


def _edited(data: bytes, edit: Callable[[Any], None]) -> bytes:
    from ai_edge_litert import schema_py_generated as schema

    bare = remove(data)
    summarize(bare)
    try:
        model = schema.ModelT.InitFromPackedBuf(bare, 0)
        if len(model.subgraphs) != 1 or len(model.subgraphs[0].outputs) != 1:
            raise ConversionError(
                "only a model of one graph and one output can be edited; found "
                f"{len(model.subgraphs)} graphs with "
                f"{len(model.subgraphs[0].outputs)} outputs in the first"
            )
        edit(model)
    except MALFORMED as error:
        raise FormatError(f"the model cannot be edited: {error}") from error
    return pack_model(model)


def _append_softmax(model: Any) -> None:
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    last = int(graph.outputs[0])
    if graph.tensors[last].type != schema.TensorType.FLOAT32:
        real = _add_tensor(model, last, "logits")
        _add_operator(model, "DEQUANTIZE", last, real, version=2)
        last = real
    scores = _add_tensor(model, last, _NAME)
    softmax = _add_operator(model, "SOFTMAX", last, scores, version=1)
    softmax.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
    softmax.builtinOptions = schema.SoftmaxOptionsT()
    softmax.builtinOptions.beta = 1.0
    _rename_end(model, int(graph.outputs[0]), scores)
    graph.outputs = [scores]


def _shift_ends(model: Any) -> None:
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    first, last = int(graph.inputs[0]), int(graph.outputs[0])
    if graph.tensors[first].type == schema.TensorType.INT8:
        pixels = _add_shifted(model, first, "image")
        _add_operator(model, "QUANTIZE", pixels, first, version=1)
        graph.operators.insert(0, graph.operators.pop())
        _rename_end(model, first, pixels)
        graph.inputs = [pixels]
    if graph.tensors[last].type == schema.TensorType.INT8:
        scores = _add_shifted(model, last, _NAME)
        _add_operator(model, "QUANTIZE", last, scores, version=1)
        _rename_end(model, last, scores)
        graph.outputs = [scores]


def _add_shifted(model: Any, like: int, name: str) -> int:
    """Add the uint8 tensor whose values are an int8 tensor's plus 128."""
    from ai_edge_litert import schema_py_generated as schema

    number = _add_tensor(model, like, name)
    tensors = model.subgraphs[0].tensors
    before, tensor = tensors[like].quantization, tensors[number]
    tensor.type = schema.TensorType.UINT8
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = [float(before.scale[0])]
    tensor.quantization.zeroPoint = [int(before.zeroPoint[0]) + 128]
    return number


def _rename_end(model: Any, before: int, after: int) -> None:
    """Let the signatures name another tensor."""
    for signature in model.signatureDefs or []:
        for entry in (*(signature.inputs or []), *(signature.outputs or [])):
            if entry.tensorIndex == before:
                entry.tensorIndex = after


def _add_tensor(model: Any, like: int, name: str) -> int:
    """Add a float32 tensor of another's shape; give its number."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = model.subgraphs[0].tensors
    tensor = schema.TensorT()
    tensor.shape = tensors[like].shape
    tensor.shapeSignature = tensors[like].shapeSignature
    tensor.hasRank = tensors[like].hasRank
    tensor.type = schema.TensorType.FLOAT32
    tensor.name = name.encode()
    # Buffer 0 is the empty one, by the schema.
    tensor.buffer = 0
    tensors.append(tensor)
    return len(tensors) - 1


def _add_operator(
    model: Any, name: str, source: int, target: int, *, version: int
) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    # Readers from before 2020 know this field alone.
    code.deprecatedBuiltinCode = code.builtinCode
    code.version = version
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = [source], [target]
    model.subgraphs[0].operators.append(operator)
    return operator
