"""TensorFlow's form of each operator against LiteRT's own."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgedeploy.quantize.finetune.graph import Graph
from edgedeploy.quantize.layers import (
    bias_of,
    read_float_model,
    weight_layers,
    weights_of,
)
from edgedeploy.quantize.wave import scores_of

SIDE = 9
# Such operators have no options in the file.
BARE = {"RELU", "RELU6", "LOGISTIC", "TANH", "HARD_SWISH"}


def _pool(made, name, source, output, padding):
    options = schema.Pool2DOptionsT()
    options.padding = padding
    options.strideH = options.strideW = 2
    options.filterHeight, options.filterWidth = 3, 2
    options.fusedActivationFunction = 0
    result = made.tensor(output)
    made.operator(name, options, [source], result)
    return result


def _simple(made, name, source, shape, options=None, more=()):
    output = made.tensor(shape)
    made.operator(name, options or schema.AddOptionsT(), [source, *more], output)
    if name in BARE:
        made.graph.operators[-1].builtinOptionsType = schema.BuiltinOptions.NONE
        made.graph.operators[-1].builtinOptions = None
    return output


def _plain(kind):
    options = kind()
    options.fusedActivationFunction = 0
    return options


def _finish(made, source, last, size):
    """Flatten, a dense layer and a softmax with a temperature."""
    random = np.random.default_rng(5)
    reshape = schema.ReshapeOptionsT()
    reshape.newShape = np.array([1, size], np.int32)
    flat = _simple(
        made,
        *("RESHAPE", last, (1, size), reshape),
        more=[made.constant([1, size], np.int32)],
    )
    logits = made.tensor((1, 4))
    weights = made.constant(random.normal(0, 1, (4, size)) / np.sqrt(size))
    bias = made.constant(random.normal(0, 0.1, 4))
    options = schema.FullyConnectedOptionsT()
    made.operator("FULLY_CONNECTED", options, [flat, weights, bias], logits)
    scores = made.tensor((1, 4), name=b"scores")
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.5
    made.operator("SOFTMAX", softmax, [logits], scores)
    data = made.pack(source, scores)
    return read_float_model(data), data


def _pooled(made, source):
    same, valid = schema.Padding.SAME, schema.Padding.VALID
    largest = _pool(made, "MAX_POOL_2D", source, (1, 5, 5, 3), same)
    mean = _pool(made, "AVERAGE_POOL_2D", source, (1, 5, 5, 3), same)
    joined = _simple(
        made,
        *("CONCATENATION", largest, (1, 5, 5, 6)),
        _concatenation(3),
        more=[mean],
    )
    padding = made.constant([[0, 0], [2, 1], [1, 2], [0, 0]], np.int32)
    padded = _simple(
        made,
        *("PAD", joined, (1, 8, 8, 6), schema.PadOptionsT()),
        more=[padding],
    )
    return _pool(made, "MAX_POOL_2D", padded, (1, 3, 4, 6), valid), 3 * 4 * 6


def _concatenation(axis):
    options = schema.ConcatenationOptionsT()
    options.axis, options.fusedActivationFunction = axis, 0
    return options


def _activated(made, source):
    shape = (1, SIDE, SIDE, 3)
    scale = made.constant([0.5, -1.5, 8.0])
    shift = made.constant([0.1, 0.3, -1.0])
    last = _simple(made, "MUL", source, shape, _plain(schema.MulOptionsT), [scale])
    last = _simple(made, "SUB", last, shape, _plain(schema.SubOptionsT), [shift])
    for name in ("HARD_SWISH", "RELU6", "TANH", "LOGISTIC", "RELU"):
        last = _simple(made, name, last, shape)
    clipped = schema.AddOptionsT()
    clipped.fusedActivationFunction = schema.ActivationFunctionType.RELU_N1_TO_1
    last = _simple(made, "ADD", last, shape, clipped, [source])
    return last, SIDE * SIDE * 3


def _convolved(made, source):
    """A dilated convolution, and a depthwise one without SAME padding."""
    random = np.random.default_rng(6)
    first = made.tensor((1, SIDE, SIDE, 8))
    made.convolve("CONV_2D", source, random.normal(0, 0.3, (8, 3, 3, 3)), first)
    options = made.graph.operators[-1].builtinOptions
    options.dilationHFactor = options.dilationWFactor = 2
    second = made.tensor((1, 4, 4, 8))
    kernel = random.normal(0, 0.5, (1, 3, 3, 8))
    made.convolve("DEPTHWISE_CONV_2D", first, kernel, second, stride=2)
    made.graph.operators[-1].builtinOptions.padding = schema.Padding.VALID
    return second, 4 * 4 * 8


@pytest.mark.parametrize("body", [_pooled, _activated, _convolved])
def test_operators_answer_as_litert_does(network_builder, body):
    made = network_builder()
    source = made.tensor((1, SIDE, SIDE, 3), name=b"image")
    model, data = _finish(made, source, *body(made, source))
    random = np.random.default_rng(7)
    pictures = random.normal(0, 1, (5, SIDE, SIDE, 3)).astype(np.float32)
    layers = weight_layers(model)
    kernels = {x.operator: (weights_of(model, x), bias_of(model, x)) for x in layers}
    graph = Graph(model, {x.operator: x for x in layers})
    found = np.asarray(graph(pictures, kernels)[0])
    wanted = scores_of(data, list(pictures), 1)
    assert np.abs(found - wanted).max() < 1e-5
    # Weights that are no layer's are read from the file.
    constants = np.asarray(Graph(model, {})(pictures, {})[0])
    assert np.abs(constants - wanted).max() < 1e-5
    assert np.ptp(wanted, axis=0).max() > 0.01
