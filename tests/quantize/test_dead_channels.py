import numpy as np
import pytest

from edgedeploy.quantize.dead_channels import lift_dead_channels
from edgedeploy.quantize.layers import (
    bias_of,
    read_float_model,
    weight_layers,
    weights_of,
)

# Steps of 0.01 and 0.02.
RANGES = {"source": (0.0, 2.55), "target": (-1.1, 4.0)}


@pytest.fixture
def model(float_network):
    """The network whose third layer has a channel of zeros, its ends named."""
    made = read_float_model(float_network(dead_channel=True))
    graph, layer = made.subgraphs[0], weight_layers(made)[2]
    graph.tensors[layer.source].name = b"source"
    graph.tensors[int(graph.operators[layer.operator].outputs[0])].name = b"target"
    return made


def test_a_dead_channel_gets_a_weight_with_which_its_bias_fits(model):
    layer = weight_layers(model)[2]
    before = weights_of(model, layer)
    assert lift_dead_channels(model, RANGES) == 1
    after = weights_of(model, layer)
    assert np.flatnonzero((before != after).any(axis=1)).tolist() == [3]
    step = after[3].max() / 127
    # A bias of 0.1, in steps of both: 2**30, half of what 32 bits hold.
    assert bias_of(model, layer)[3] / (0.01 * step) == pytest.approx(2**30, rel=1e-5)
    # The weight itself adds at most 2.55 times as much: nothing.
    assert 2.55 * after[3].max() < 1e-5


def test_living_channels_and_layers_without_ranges_stay(float_network, model):
    living = read_float_model(float_network())
    for tensor in living.subgraphs[0].tensors:
        tensor.name = b"any"
    assert lift_dead_channels(living, {"any": (0.0, 2.55)}) == 0
    assert lift_dead_channels(model, {}) == 0
