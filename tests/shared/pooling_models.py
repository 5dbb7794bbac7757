"""Networks that pool the k largest values, built without TensorFlow, and the answer.

The operators and their names are those that TensorFlow's converter writes for a Keras
layer called top_k_pooling.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgedeploy.formats.tflite_layout import pack_model

FLOAT32, INT32, UINT8, INT8 = 0, 2, 3, 9
NAME = "EdgedeployTopKPooling"
LAYER = "top_k_pooling"
INPUT = (0.05, 3)
OUTPUT = (0.03, -7)
_SCOPE = f"net/{LAYER}_1"


def pooling_model(
    shape=(2, 5, 6, 7), k=4, dtype=FLOAT32, last=f"{_SCOPE}/Mean", axis="axis"
):
    """A .tflite file of the layer alone, in LiteRT's own operators.

    `last` names what it gives, and `axis` a constant of its last operator.
    """
    builder = _Builder()
    batch, height, width, channels = shape
    positions = height * width
    first = INPUT if dtype != FLOAT32 else None
    scales = OUTPUT if dtype != FLOAT32 else None
    picture = builder.tensor("picture:0", shape, dtype, first)
    flat = builder.tensor(
        f"{_SCOPE}/Reshape", (batch, positions, channels), dtype, first
    )
    turned = builder.tensor(
        f"{_SCOPE}/transpose", (batch, channels, positions), dtype, first
    )
    best = builder.tensor(f"{_SCOPE}/TopKV2", (batch, channels, k), dtype, first)
    places = builder.tensor(f"{_SCOPE}/TopKV21", (batch, channels, k), INT32)
    mean = builder.tensor(last, (batch, channels), dtype, scales)
    ops = schema.BuiltinOperator
    builder.operator(
        ops.RESHAPE,
        [picture, builder.constant([batch, positions, channels])],
        [flat],
    )
    builder.operator(
        ops.TRANSPOSE, [flat, builder.constant([0, 2, 1])], [turned], version=2
    )
    builder.operator(
        ops.TOPK_V2, [turned, builder.constant(k)], [best, places], version=2
    )
    reduce = schema.ReducerOptionsT()
    reduce.keepDims = False
    builder.operator(
        ops.MEAN,
        [best, builder.constant(2, axis)],
        [mean],
        version=2,
        options=(schema.BuiltinOptions.ReducerOptions, reduce),
    )
    return builder.finish(picture, mean)


def pool(values, k):
    """The answer for float32, worked out with NumPy: from the largest down."""
    return _sums(values, k, np.float32) / np.float32(min(k, _positions(values)))


def pool_quantised(values, k):
    """The answer for int8 and uint8, in the scales of these models."""
    k = min(k, _positions(values))
    sums = _sums(values.astype(np.int64), k, np.int64)
    (scale, zero), (out_scale, out_zero) = INPUT, OUTPUT
    real = np.float64(np.float32(scale)) * (sums - k * zero) / k
    steps = real / np.float64(np.float32(out_scale))
    rounded = np.trunc(steps + np.copysign(0.5, steps)) + out_zero
    limits = np.iinfo(values.dtype)
    return np.clip(rounded, limits.min, limits.max).astype(values.dtype)


def random_values(shape, dtype, seed=0):
    """Values with many ties, or of the whole range."""
    random = np.random.default_rng(seed)
    if dtype == FLOAT32:
        values = random.normal(size=shape).astype(np.float32)
        return values if seed % 2 else np.round(values, 1)
    limits = np.iinfo(np.int8 if dtype == INT8 else np.uint8)
    return random.integers(limits.min, limits.max, shape, limits.dtype, endpoint=True)


def _positions(values):
    return values.shape[1] * values.shape[2]


def _sums(values, k, dtype):
    rows = values.reshape(len(values), -1, values.shape[-1])
    ordered = np.sort(rows, axis=1)[:, ::-1]
    total = np.zeros((len(values), values.shape[-1]), dtype)
    for rank in range(min(k, rows.shape[1])):
        total = total + ordered[:, rank]
    return total


class _Builder:
    """Collects the tables of a model with one subgraph."""

    def __init__(self):
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, name, shape, dtype, quantised=None, buffer=0):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), list(shape), dtype
        tensor.buffer = buffer
        if quantised:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [quantised[0]]
            tensor.quantization.zeroPoint = [quantised[1]]
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, value, name=None):
        array = np.asarray(value, np.int32)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        number = len(self.model.buffers) - 1
        name = name or f"constant{number}"
        return self.tensor(name, array.shape, INT32, buffer=number)

    def operator(self, builtin, inputs, outputs, version=1, options=None):
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = version
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, outputs
        if options:
            operator.builtinOptionsType, operator.builtinOptions = options
        self.graph.operators.append(operator)

    def finish(self, picture, answer):
        self.graph.inputs, self.graph.outputs = [picture], [answer]
        signature = schema.SignatureDefT()
        signature.signatureKey = b"serving_default"
        signature.subgraphIndex = 0
        for side, name, tensor in (
            ("inputs", b"picture", picture),
            ("outputs", b"answer", answer),
        ):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name, tensor
            setattr(signature, side, [entry])
        self.model.subgraphs = [self.graph]
        self.model.signatureDefs = [signature]
        return pack_model(self.model)
