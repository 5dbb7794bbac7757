"""A float32 .tflite classifier of a few layers, written without a converter."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgedeploy.formats.tflite_layout import pack_model
from edgedeploy.quantize.layers import read_float_model

SIDE = 16
CLASSES = 4


@pytest.fixture(scope="session")
def float_network():
    """The function that writes the network."""
    return _float_network


@pytest.fixture(scope="session")
def network_builder():
    """The class that puts other networks together."""
    return _Builder


@pytest.fixture
def branches(network_builder):
    """Convolutions, a depthwise one, both pools, a join and a sum before a softmax."""
    random = np.random.default_rng(1)

    def kernel(rows, columns, size):
        return random.normal(0, 0.4, (rows, size, size, columns))

    made = network_builder()
    picture = made.tensor((1, 8, 8, 3), name=b"image")
    first, least = made.tensor((1, 8, 8, 8)), made.tensor((1, 8, 8, 8))
    made.convolve("CONV_2D", picture, kernel(8, 3, 3), first, activation="RELU6")
    made.pool("MAX_POOL_2D", first, least)
    left, right = made.tensor((1, 8, 8, 4)), made.tensor((1, 8, 8, 8))
    # So small that 6 cannot be reached.
    made.convolve("CONV_2D", first, kernel(4, 8, 1) / 9, left, activation="RELU6")
    each = random.normal(0, 0.4, (1, 3, 3, 8))
    made.convolve("DEPTHWISE_CONV_2D", least, each, right, activation="NONE")
    joined, mean = made.tensor((1, 8, 8, 12)), made.tensor((1, 8, 8, 12))
    made.join([left, right], joined)
    made.pool("AVERAGE_POOL_2D", joined, mean)
    other, added = made.tensor((1, 8, 8, 12)), made.tensor((1, 8, 8, 12))
    made.convolve("CONV_2D", joined, kernel(12, 12, 3), other, activation="NONE")
    made.operator("ADD", schema.AddOptionsT(), [mean, other], added)
    # Some channels large with small weights behind them, and some the other way round.
    uneven = np.geomspace(0.1, 10, 12)
    middle = made.tensor((1, 8, 8, 12))
    louder = kernel(12, 12, 1) * uneven.reshape(12, 1, 1, 1)
    deep = made.tensor((1, 8, 8, 12))
    each = random.normal(0, 0.4, (1, 3, 3, 12))
    made.convolve("DEPTHWISE_CONV_2D", added, each, deep, activation="RELU")
    made.convolve("CONV_2D", deep, louder, middle, activation="RELU")
    last, pooled = made.tensor((1, 8, 8, 6)), made.tensor((1, 6))
    made.convolve("CONV_2D", middle, kernel(6, 12, 3) / uneven, last, activation="RELU")
    made.mean(last, pooled)
    logits, scores = made.tensor((1, 6)), made.tensor((1, 6), name=b"scores")
    dense = made.constant(random.normal(0, 0.3, (6, 6)))
    options = schema.FullyConnectedOptionsT()
    made.operator("FULLY_CONNECTED", options, [pooled, dense, -1], logits)
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    made.operator("SOFTMAX", softmax, [logits], scores)
    return read_float_model(made.pack(picture, scores))


def _float_network(seed=0, *, dead_channel=False, sharpness=6.0):
    """Conv 3x3, depthwise 3x3, conv 1x1, mean, dense, softmax; bytes."""
    random = np.random.default_rng(seed)
    made = _Builder()
    source = made.tensor((1, SIDE, SIDE, 3), name=b"image")
    stem = random.normal(0, 0.3, (16, 3, 3, 3))
    depthwise = random.normal(0, 0.4, (1, 3, 3, 16))
    wide = random.normal(0, 0.4, (32, 1, 1, 16))
    if dead_channel:
        wide[3] = 0
    dense = random.normal(0, sharpness / 6, (CLASSES, 32))
    first = made.tensor((1, 8, 8, 16))
    made.convolve("CONV_2D", source, stem, first, stride=2)
    second = made.tensor((1, 8, 8, 16))
    made.convolve("DEPTHWISE_CONV_2D", first, depthwise, second)
    third = made.tensor((1, 8, 8, 32))
    made.convolve("CONV_2D", second, wide, third)
    pooled = made.tensor((1, 32))
    made.mean(third, pooled)
    logits = made.tensor((1, CLASSES))
    options = schema.FullyConnectedOptionsT()
    weights, bias = made.constant(dense), made.constant(np.zeros(CLASSES))
    made.operator("FULLY_CONNECTED", options, [pooled, weights, bias], logits)
    scores = made.tensor((1, CLASSES), name=b"scores")
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    made.operator("SOFTMAX", softmax, [logits], scores)
    return made.pack(source, scores)


class _Builder:
    def __init__(self):
        self.model = schema.ModelT()
        self.model.version = 3
        empty = schema.BufferT()
        self.model.buffers, self.model.operatorCodes = [empty], []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, shape, *, name=b"inner", values=None):
        tensor = schema.TensorT()
        tensor.shape, tensor.name = np.array(shape, np.int32), name
        tensor.type, tensor.buffer = schema.TensorType.FLOAT32, 0
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            if values.dtype == np.int32:
                tensor.type = schema.TensorType.INT32
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, values, dtype=np.float32):
        values = np.asarray(values, dtype)
        return self.tensor(values.shape, name=b"constant", values=values)

    def operator(self, name, options, inputs, output):
        number = getattr(schema.BuiltinOperator, name)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.version = 1
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes)
        made.inputs = np.array(inputs, np.int32)
        made.outputs = np.array([output], np.int32)
        kind = type(options).__name__.removesuffix("T")
        made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        made.builtinOptions = options
        self.model.operatorCodes.append(code)
        self.graph.operators.append(made)

    def convolve(self, name, source, kernel, output, stride=1, activation="RELU6"):
        depthwise = name.startswith("DEPTHWISE")
        kind = schema.DepthwiseConv2DOptionsT if depthwise else schema.Conv2DOptionsT
        options = kind()
        options.padding = schema.Padding.SAME
        options.strideH = options.strideW = stride
        options.dilationHFactor = options.dilationWFactor = 1
        if depthwise:
            options.depthMultiplier = 1
        activations = schema.ActivationFunctionType
        options.fusedActivationFunction = getattr(activations, activation)
        channels = kernel.shape[3] if depthwise else kernel.shape[0]
        inputs = [source, self.constant(kernel)]
        inputs.append(self.constant(np.full(channels, 0.1)))
        self.operator(name, options, inputs, output)

    def pool(self, name, source, output):
        """2x2, one pixel on."""
        options = schema.Pool2DOptionsT()
        options.padding = schema.Padding.SAME
        options.strideH = options.strideW = 1
        options.filterHeight = options.filterWidth = 2
        self.operator(name, options, [source], output)

    def join(self, sources, output, axis=3):
        options = schema.ConcatenationOptionsT()
        options.axis = axis
        self.operator("CONCATENATION", options, sources, output)

    def mean(self, source, output):
        axes = self.constant([1, 2], np.int32)
        self.operator("MEAN", schema.ReducerOptionsT(), [source, axes], output)

    def pack(self, source, output):
        self.graph.inputs = np.array([source], np.int32)
        self.graph.outputs = np.array([output], np.int32)
        self.model.signatureDefs, self.model.metadata = [], []
        return pack_model(self.model)
