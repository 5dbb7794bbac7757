"""A network of one operator, to see which delegate takes it."""

from __future__ import annotations

import flatbuffers
import numpy as np

from edgedeploy.isolate import Progress
from edgedeploy.ondevice.runtime import Model


def delegates(*, progress: Progress) -> dict[str, str]:
    """Run one dense layer and report the delegate; for a child process.

    Returns:
        {"delegate": "XNNPACK" or "none"}.
    """
    del progress
    model = Model(one_dense_layer())
    model.invoke(np.zeros((1, 4), np.float32))
    return {"delegate": model.delegate}


def one_dense_layer() -> bytes:
    """Write a .tflite file with one FULLY_CONNECTED operator of 4 by 4 weights."""
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: str, shape: list[int], buffer: int) -> object:
        made = schema.TensorT()
        made.name, made.shape, made.buffer = name, shape, buffer
        made.type = schema.TensorType.FLOAT32
        return made

    def buffer(data: bytes) -> object:
        made = schema.BufferT()
        made.data = np.frombuffer(data, np.uint8) if data else None
        return made

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = (
        schema.BuiltinOperator.FULLY_CONNECTED
    )
    code.version = 1
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1, 2], [3]
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("x", [1, 4], 0),
        tensor("weights", [4, 4], 1),
        tensor("bias", [4], 2),
        tensor("y", [1, 4], 0),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [3], [operator]
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    weights = np.eye(4, dtype=np.float32)
    model.buffers = [
        buffer(b""),
        buffer(weights.tobytes()),
        buffer(np.zeros(4, np.float32).tobytes()),
    ]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
