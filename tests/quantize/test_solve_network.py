import numpy as np
import pytest

from edgedeploy.formats.tflite_layout import pack_model
from edgedeploy.quantize.layers import weight_layers, weights_of
from edgedeploy.quantize.solve_network import solve_network
from edgedeploy.quantize.wave import scores_of


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(8)
    return [random.normal(0, 1, (8, 8, 3)).astype(np.float32) for _ in range(20)]


def solved(model, pictures, memory, *, scale=True, told=None):
    layers = weight_layers(model)
    wanted = [(layer, width) for layer in layers for width in (8, 4)]
    return solve_network(
        model,
        layers,
        wanted,
        pictures,
        scale=scale,
        threads=1,
        memory=memory,
        tick=lambda: told is not None and told.append(1),
    )


@pytest.mark.parametrize("scale", [True, False])
def test_the_network_answers_as_before_scaled_or_not(
    branches, pictures, tmp_path, scale
):
    found = solved(branches, pictures, tmp_path / "solved.npz", scale=scale)
    before, after = (
        scores_of(pack_model(model), pictures, 1) for model in (branches, found.model)
    )
    np.testing.assert_allclose(before, after, atol=2e-6)
    moved = [
        not np.array_equal(weights_of(branches, one), weights_of(found.model, one))
        for one in weight_layers(branches)
    ]
    assert any(moved) == scale


def test_a_second_time_it_is_remembered_with_its_scaling(branches, pictures, tmp_path):
    memory, told, later = tmp_path / "solved.npz", [], []
    first = solved(branches, pictures, memory, told=told)
    # Pictures of another kind would change every solution.
    second = solved(branches, [-one for one in pictures], memory, told=later)
    assert len(later) == len(told) == len(pictures) + len(weight_layers(branches))
    assert pack_model(second.model) == pack_model(first.model)
    for key, one in first.solutions.items():
        np.testing.assert_array_equal(
            one.solved.codes, second.solutions[key].solved.codes
        )


def test_every_solution_stands_for_its_layer_of_the_scaled_network(
    branches, pictures, tmp_path
):
    found = solved(branches, pictures, tmp_path / "solved.npz")
    for (_, width), one in found.solutions.items():
        wanted = weights_of(found.model, one.solved.layer)
        apart = np.abs(one.solved.weights() - wanted).max() / np.abs(wanted).max()
        assert apart < {8: 0.02, 4: 0.3}[width]
