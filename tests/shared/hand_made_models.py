"""A model of a reshape and a fully connected layer, written by hand."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

CLASSES = 4


def tensor(name, shape, dtype, buffer, scale=None):
    item = schema.TensorT()
    item.name, item.shape, item.type, item.buffer = name, shape, dtype, buffer
    if scale is not None:
        item.quantization = schema.QuantizationParametersT()
        item.quantization.scale = [scale]
        item.quantization.zeroPoint = [3]
    return item


def operator(index, inputs, outputs):
    item = schema.OperatorT()
    item.opcodeIndex, item.inputs, item.outputs = index, inputs, outputs
    return item


def code(builtin, version=1, custom=None):
    item = schema.OperatorCodeT()
    item.builtinCode, item.version, item.customCode = builtin, version, custom
    item.deprecatedBuiltinCode = min(builtin, 127)
    return item


def buffer(content=None):
    item = schema.BufferT()
    item.data = content
    return item


def make_model(dtype=schema.TensorType.FLOAT32, weights=None, custom=None, hidden=()):
    """Image (1,2,2,3) -> reshape -> fully connected -> scores (1,4).

    `hidden` are the widths of fully connected layers of zeros before the last; those
    that are as wide as the one before share their weights.
    """
    types, operators = schema.TensorType, schema.BuiltinOperator
    if weights is None:
        weights = np.zeros((CLASSES, 12), np.float32)
    scale = 0.5 if dtype == types.UINT8 else None
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("image", [1, 2, 2, 3], dtype, 0, scale),
        tensor("shape", [2], types.INT32, 1),
        tensor("flat", [1, 12], dtype, 0, scale),
        tensor("weights", [CLASSES, 12], types.FLOAT32, 2),
        tensor("scores", [1, CLASSES], dtype, 0, scale),
    ]
    graph.tensors[0].shapeSignature = [-1, 2, 2, 3]
    graph.inputs, graph.outputs = [0], [4]
    graph.operators = [operator(0, [0, 1], [2]), operator(1, [2, 3, -1], [4])]
    graph.operators[1].builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    graph.operators[1].builtinOptions = schema.FullyConnectedOptionsT()
    model = schema.ModelT()
    model.version, model.description = 3, "tiny"
    model.subgraphs = [graph]
    model.operatorCodes = [code(operators.RESHAPE), code(operators.FULLY_CONNECTED, 2)]
    if custom:
        model.operatorCodes.append(code(operators.CUSTOM, 1, custom))
        graph.operators.append(operator(2, [4], [4]))
    model.buffers = [
        buffer(),
        buffer(np.array([1, 12], np.int32).view(np.uint8)),
        buffer(weights.reshape(-1).view(np.uint8)),
        buffer(list(b"1.14.0".ljust(16, b"\0"))),
    ]
    entry = schema.MetadataT()
    entry.name, entry.buffer = "min_runtime_version", 3
    model.metadata = [entry]
    if hidden:
        _insert_hidden(model, hidden, dtype)
    return model


def _insert_hidden(model, widths, dtype):
    graph = model.subgraphs[0]
    last = graph.operators.pop()
    flat, width, weights = last.inputs[0], 12, {}

    def matrix(rows, columns):
        if (rows, columns) not in weights:
            zeros = np.zeros(rows * columns, np.float32)
            model.buffers.append(buffer(zeros.view(np.uint8)))
            graph.tensors.append(
                tensor(
                    f"weights {rows}x{columns}",
                    [rows, columns],
                    schema.TensorType.FLOAT32,
                    len(model.buffers) - 1,
                )
            )
            weights[rows, columns] = len(graph.tensors) - 1
        return weights[rows, columns]

    def connect(given, inputs, outputs):
        layer = operator(1, inputs, outputs)
        layer.builtinOptionsType = given.builtinOptionsType
        layer.builtinOptions = given.builtinOptions
        graph.operators.append(layer)

    for number, rows in enumerate(widths):
        by = matrix(rows, width)
        graph.tensors.append(tensor(f"hidden {number}", [1, rows], dtype, 0))
        connect(last, [flat, by, -1], [len(graph.tensors) - 1])
        flat, width = len(graph.tensors) - 1, rows
    connect(last, [flat, matrix(CLASSES, width), -1], list(last.outputs))


def serialise(model):
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
