"""Half-precision weights in a float32 .tflite file: the recipe float16, by hand.

The form is the TFLite converter's: the constant is float16, and a DEQUANTIZE makes
float32 of it when the model is loaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgedeploy.errors import FormatError
from edgedeploy.formats.tflite import MALFORMED
from edgedeploy.formats.tflite_layout import pack_model
from edgedeploy.quantize.layers import read_float_model

# Below this the operator that unpacks costs more than it saves.
_LEAST_BYTES = 1024
_LARGEST = float(np.finfo(np.float16).max)


def halve_weights(data: bytes) -> bytes:
    """Store a model's weights as float16.

    Tensors with a value beyond float16's range, 65504, stay float32.

    Args:
        data: A float32 .tflite file of one graph, without metadata.

    Returns:
        The .tflite file's bytes.

    Raises:
        FormatError: If the bytes are no readable .tflite model.
        QuantizationError: If the model has several graphs.
    """
    model = read_float_model(data)
    try:
        _halve(model)
    except MALFORMED as error:
        raise FormatError(f"the model's weights cannot be read: {error}") from error
    return pack_model(model)


def _halve(model: Any) -> None:
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    # Version 3 is the first that takes float16.
    code.version = 3
    model.operatorCodes.append(code)
    unpacking = []
    halved: dict[int, int] = {}
    for number in range(len(graph.tensors)):
        tensor = graph.tensors[number]
        values = _halved(model, tensor)
        if values is None:
            continue
        narrow = schema.TensorT()
        narrow.shape, narrow.hasRank = tensor.shape, tensor.hasRank
        narrow.type = schema.TensorType.FLOAT16
        narrow.name = (tensor.name or b"weights") + b"_float16"
        # Tensors of one buffer go on sharing it.
        narrow.buffer = halved.setdefault(tensor.buffer, len(model.buffers))
        if narrow.buffer == len(model.buffers):
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            model.buffers.append(buffer)
        tensor.buffer = 0
        graph.tensors.append(narrow)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(model.operatorCodes) - 1
        operator.inputs, operator.outputs = [len(graph.tensors) - 1], [number]
        unpacking.append(operator)
    for old in halved:
        model.buffers[old].data = None
    graph.operators = unpacking + list(graph.operators)


def _halved(model: Any, tensor: Any) -> Any:
    """A constant's values as float16; None where it is to stay."""
    from ai_edge_litert import schema_py_generated as schema

    data = model.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.FLOAT32 or data is None:
        return None
    if len(data) < _LEAST_BYTES:
        return None
    values = np.frombuffer(np.ascontiguousarray(data, np.uint8).tobytes(), "<f4")
    if not np.isfinite(values).all() or np.abs(values).max() > _LARGEST:
        return None
    return values.astype("<f2")
