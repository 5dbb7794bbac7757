"""Which channels may be scaled: small graphs whose answer can be worked out by hand."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgedeploy.quantize.channels import group_channels
from edgedeploy.quantize.layers import read_float_model, weight_layers

RANDOM = np.random.default_rng(3)


def kernel(rows, columns, size=1):
    return RANDOM.normal(0, 0.4, (rows, size, size, columns))


def channels_of(made, source, output):
    model = read_float_model(made.pack(source, output))
    return group_channels(model, weight_layers(model))


def free(found, tensor):
    return found.free[found.groups[tensor]].tolist()


@pytest.fixture
def start(network_builder):
    """A picture of 8x8, and a convolution of it to 4 channels."""

    def make(activation="RELU"):
        made = network_builder()
        picture = made.tensor((1, 8, 8, 3), name=b"image")
        first = made.tensor((1, 8, 8, 4))
        made.convolve("CONV_2D", picture, kernel(4, 3), first, activation=activation)
        return made, picture, first

    return make


def finish(made, source, channels):
    result = made.tensor((1, 8, 8, 2), name=b"scores")
    made.convolve("CONV_2D", source, kernel(2, channels), result, activation="RELU")
    return result


def test_between_two_convolutions_every_channel_is_free_and_alone(start):
    made, picture, first = start()
    result = finish(made, first, 4)
    found = channels_of(made, picture, result)
    assert free(found, first) == [True] * 4
    assert len(set(found.groups[first].tolist())) == 4
    assert not found.least[found.groups[first]].any()


def test_what_goes_in_and_comes_out_stays(start):
    made, picture, first = start()
    result = finish(made, first, 4)
    found = channels_of(made, picture, result)
    assert not any(free(found, picture))
    assert not any(free(found, result))


@pytest.mark.parametrize("name", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
def test_pooling_ties_each_channel_to_itself(start, name):
    made, picture, first = start()
    pooled = made.tensor((1, 8, 8, 4))
    made.pool(name, first, pooled)
    found = channels_of(made, picture, finish(made, pooled, 4))
    assert found.groups[pooled].tolist() == found.groups[first].tolist()
    assert all(free(found, pooled))


def test_a_join_ties_each_part_to_its_place(start):
    made, picture, first = start()
    second = made.tensor((1, 8, 8, 2))
    made.convolve("CONV_2D", first, kernel(2, 4), second, activation="RELU")
    joined = made.tensor((1, 8, 8, 6))
    made.join([second, first], joined)
    found = channels_of(made, picture, finish(made, joined, 6))
    together = [*found.groups[second], *found.groups[first]]
    assert found.groups[joined].tolist() == [int(group) for group in together]
    assert all(free(found, joined))


def test_a_sum_ties_three_tensors_and_a_join_by_rows_holds_all(start):
    made, picture, first = start()
    second = made.tensor((1, 8, 8, 4))
    made.convolve("CONV_2D", first, kernel(4, 4), second, activation="NONE")
    added = made.tensor((1, 8, 8, 4))
    made.operator("ADD", schema.AddOptionsT(), [first, second], added)
    high = made.tensor((1, 16, 8, 4))
    other = made.tensor((1, 8, 8, 4))
    made.convolve("CONV_2D", added, kernel(4, 4), other, activation="RELU")
    made.join([other, other], high, axis=1)
    found = channels_of(made, picture, finish(made, high, 4))
    assert found.groups[added].tolist() == found.groups[first].tolist()
    assert found.groups[second].tolist() == found.groups[first].tolist()
    assert all(free(found, added))
    assert not any(free(found, other))


def test_adding_numbers_that_stand_in_the_file_holds_the_channels(start):
    made, picture, first = start()
    added = made.tensor((1, 8, 8, 4))
    shift = made.constant(np.full((1, 8, 8, 4), 0.5))
    made.operator("ADD", schema.AddOptionsT(), [first, shift], added)
    found = channels_of(made, picture, finish(made, added, 4))
    assert not any(free(found, first))
    assert not any(free(found, added))


def test_an_operator_that_is_not_known_to_let_scaling_through_holds_both_sides(start):
    made, picture, first = start()
    bent = made.tensor((1, 8, 8, 4))
    made.operator("LOGISTIC", schema.LogSoftmaxOptionsT(), [first], bent)
    found = channels_of(made, picture, finish(made, bent, 4))
    assert not any(free(found, first))
    assert not any(free(found, bent))


@pytest.mark.parametrize(("axes", "passes"), [([1, 2], True), ([3], False)])
def test_a_mean_over_pixels_lets_through_and_one_over_channels_does_not(
    start, axes, passes
):
    made, picture, first = start()
    shape = (1, 4) if passes else (1, 8, 8)
    pooled = made.tensor(shape)
    places = made.constant(axes, np.int32)
    made.operator("MEAN", schema.ReducerOptionsT(), [first, places], pooled)
    result = made.tensor((1, 2) if passes else (1, 8, 2), name=b"scores")
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = True
    weights = made.constant(RANDOM.normal(0, 1, (2, 4 if passes else 8)))
    made.operator("FULLY_CONNECTED", options, [pooled, weights, -1], result)
    found = channels_of(made, picture, result)
    assert free(found, first) == [passes] * 4


def test_relu6_frees_the_channels_that_cannot_reach_6_and_says_how_far_they_go(start):
    made, picture, first = start("RELU6")
    second = made.tensor((1, 8, 8, 4))
    # Of inputs from 0 to 6, with a bias of 0.1: at most 3.1, 6.1, 0.1 and 5.5.
    rows = [[0.5, -9, 0, 0], [0.5, 0.5, 0, -1], [-1, -1, -1, -1], [0.2, 0.2, 0.3, 0.2]]
    fixed = np.array(rows).reshape(4, 1, 1, 4)
    made.convolve("CONV_2D", first, fixed, second, activation="RELU6")
    found = channels_of(made, picture, finish(made, second, 4))
    # What the first convolution is given has no bounds.
    assert free(found, first) == [False] * 4
    assert free(found, second) == [True, False, True, True]
    least = found.least[found.groups[second]][[0, 2, 3]]
    assert least == pytest.approx([3.1 / 6, 0.1 / 6, 5.5 / 6], rel=1e-6)


def test_a_sum_of_two_cut_tensors_has_no_bound_of_6(start):
    made, picture, first = start("RELU6")
    twice = made.tensor((1, 8, 8, 4))
    made.operator("ADD", schema.AddOptionsT(), [first, first], twice)
    second = made.tensor((1, 8, 8, 1))
    # 12 at most would be 6.1 here, and 6 would be 3.1.
    small = np.array([[0.5, 0, 0, 0]]).reshape(1, 1, 1, 4)
    made.convolve("CONV_2D", twice, small, second, activation="RELU6")
    found = channels_of(made, picture, finish(made, second, 1))
    assert free(found, second) == [False]


def test_an_operator_that_gives_or_takes_nothing_is_passed_by(start):
    made, picture, first = start()
    result = finish(made, first, 4)
    lone = made.tensor((1, 8, 8, 4))
    made.operator("LOGISTIC", schema.LogSoftmaxOptionsT(), [first], lone)
    model = read_float_model(made.pack(picture, result))
    # As operators on variables are read.
    emptied = model.subgraphs[0].operators[-1]
    emptied.inputs = emptied.outputs = None
    found = group_channels(model, weight_layers(model))
    assert free(found, first) == [True] * 4
