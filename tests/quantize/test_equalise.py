"""Scaled channels: the same answers, and the best of all scalings."""

import numpy as np
import pytest

from edgedeploy.errors import QuantizationError
from edgedeploy.formats.tflite_layout import pack_model
from edgedeploy.quantize.channels import group_channels
from edgedeploy.quantize.equalise import (
    Scaling,
    find_scaling,
    scale_model,
    scale_moments,
)
from edgedeploy.quantize.layers import bias_of, read_float_model, weight_layers
from edgedeploy.quantize.observe import observe_network
from edgedeploy.quantize.solve import solve_layer
from edgedeploy.quantize.solver.gptq import damp
from edgedeploy.quantize.wave import scores_of
from edgedeploy.quantize.write import write_solved


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(5)
    return [random.normal(0, 1, (8, 8, 3)).astype(np.float32) for _ in range(40)]


def observed(model, pictures):
    layers = weight_layers(model)
    moments = observe_network(
        model, layers, pictures, threads=1, seed=1, tick=lambda: None
    )
    return layers, moments


def test_powers_of_two_change_no_bit_of_the_answers(branches, pictures):
    layers = weight_layers(branches)
    channels = group_channels(branches, layers)
    random = np.random.default_rng(2)
    factors = 2.0 ** random.integers(-3, 4, len(channels.free))
    factors = np.where(channels.free, np.maximum(factors, channels.least), 1.0)
    factors = 2.0 ** np.ceil(np.log2(factors))
    scaled_tensors = {
        t for t, groups in channels.groups.items() if (factors[groups] != 1).any()
    }
    assert {layer.source for layer in layers[3:]} <= scaled_tensors
    assert ((channels.least > 0) & (factors < 1)).any()
    scaled = scale_model(branches, layers, Scaling(channels=channels, factors=factors))
    before, after = (
        scores_of(pack_model(model), pictures, 1) for model in (branches, scaled)
    )
    np.testing.assert_array_equal(before, after)
    # The bias of the convolution before the join is divided too.
    second = layers[1]
    divided = bias_of(branches, second) / bias_of(scaled, second)
    tensor = int(branches.subgraphs[0].operators[second.operator].outputs[0])
    np.testing.assert_array_equal(divided, factors[channels.groups[tensor]])


def test_what_is_found_answers_as_before_and_its_moments_are_the_observed_ones(
    branches, pictures
):
    layers, moments = observed(branches, pictures)
    channels = group_channels(branches, layers)
    scaling = find_scaling(branches, layers, moments, channels)
    assert np.abs(np.log2(scaling.factors)).max() > 1
    assert (scaling.factors[~channels.free] == 1).all()
    assert (scaling.factors >= channels.least).all()
    scaled = scale_model(branches, layers, scaling)
    before, after = (
        scores_of(pack_model(model), pictures, 1) for model in (branches, scaled)
    )
    np.testing.assert_allclose(before, after, atol=2e-6)
    _, again = observed(scaled, pictures)
    for layer in layers:
        worked_out = scale_moments(layer, moments[layer.operator], scaling)
        seen = again[layer.operator]
        np.testing.assert_allclose(worked_out.mean, seen.mean, rtol=1e-3, atol=1e-5)
        largest = np.abs(seen.second).max()
        np.testing.assert_allclose(
            worked_out.second / largest, seen.second / largest, atol=1e-4
        )


def test_no_scaling_of_one_layer_s_inputs_is_better(network_builder):
    """Against a search that knows nothing of the formula."""
    random = np.random.default_rng(4)
    made = network_builder()
    picture = made.tensor((1, 8, 8, 3), name=b"image")
    inner, result = made.tensor((1, 8, 8, 3)), made.tensor((1, 8, 8, 5), name=b"out")
    first = random.normal(0, 1, (3, 1, 1, 3)) * np.array([9, 1, 0.2]).reshape(
        3, 1, 1, 1
    )
    made.convolve("CONV_2D", picture, first, inner, activation="RELU")
    second = random.normal(0, 1, (5, 1, 1, 3))
    made.convolve("CONV_2D", inner, second, result, activation="NONE")
    model = read_float_model(made.pack(picture, result))
    pictures = [random.normal(0, 1, (8, 8, 3)).astype(np.float32) for _ in range(9)]
    layers, moments = observed(model, pictures)
    channels = group_channels(model, layers)
    found = find_scaling(model, layers, moments, channels)
    seen = damp(moments[layers[1].operator].second)
    weights = second.reshape(5, 3)
    weights = weights / np.sqrt(np.diag(weights @ seen @ weights.T))[:, None]
    order = np.argsort(np.diag(seen))
    left = np.empty(3)
    left[order] = np.diag(np.linalg.cholesky(seen[np.ix_(order, order)])) ** 2

    def error(by):
        return (weights**2 * by**2).sum() * (left / by**2).sum()

    best = found.of(layers[1].source)
    tried = [error(np.exp(random.normal(0, 1.5, 3))) for _ in range(20_000)]
    assert error(best) <= min(tried)
    assert error(best) < 0.9 * error(np.ones(3))


def test_an_uneven_network_loses_less_at_four_bits_once_it_is_scaled(
    branches, pictures
):
    layers, moments = observed(branches, pictures)
    channels = group_channels(branches, layers)
    scaling = find_scaling(branches, layers, moments, channels)
    scaled = scale_model(branches, layers, scaling)
    random = np.random.default_rng(6)
    others = [random.normal(0, 1, (8, 8, 3)).astype(np.float32) for _ in range(40)]
    wanted = scores_of(pack_model(branches), others, 1)

    def lost(model, seen):
        solved = [solve_layer(model, one, 4, seen[one.operator]) for one in layers]
        data = write_solved(model, [one.solved for one in solved])
        return float(np.abs(scores_of(data, others, 1) - wanted).mean())

    divided = {
        x.operator: scale_moments(x, moments[x.operator], scaling) for x in layers
    }
    assert lost(scaled, divided) < 0.8 * lost(branches, moments)


def test_weights_that_are_not_finite_are_refused(branches, pictures):
    layers, moments = observed(branches, pictures)
    moments[layers[-1].operator].second[0, 0] = np.nan
    channels = group_channels(branches, layers)
    with pytest.raises(QuantizationError, match="not finite"):
        find_scaling(branches, layers, moments, channels)
