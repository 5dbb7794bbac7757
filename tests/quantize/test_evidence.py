import numpy as np
import pytest

from edgedeploy.errors import QuantizationError
from edgedeploy.ondevice.contract import ImagePipeline, normalise
from edgedeploy.quantize.evidence import Evidence, border_of
from edgedeploy.quantize.search import closeness
from edgedeploy.quantize.wave import scores_of

PIPELINE = ImagePipeline(width=16, height=16)


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(4)
    return list(random.integers(0, 256, (8, 16, 16, 3)).astype(np.uint8))


@pytest.fixture(scope="module")
def evidence(float_network, pictures):
    return Evidence(float_network(), pictures, PIPELINE, large=True, threads=1)


@pytest.mark.parametrize(("count", "solving"), [(1, 1), (4, 3), (5, 3), (125, 93)])
def test_three_quarters_of_the_pictures_solve(count, solving):
    assert border_of(count) == solving


def test_whole_pictures_come_first_and_no_picture_both_solves_and_chooses(
    evidence, pictures
):
    whole = [normalise(picture, PIPELINE) for picture in pictures]
    np.testing.assert_array_equal(evidence.solving[:6], whole[:6])
    np.testing.assert_array_equal(evidence.choosing[:2], whole[6:])
    assert (len(evidence.solving), len(evidence.choosing)) == (192, 64)
    assert len(evidence.judging) == 24


def test_float32_itself_costs_nothing(evidence, float_network):
    assert evidence.closeness(float_network()).mean_kl == pytest.approx(0, abs=1e-9)
    assert evidence.cost(float_network()) == pytest.approx(0, abs=1e-9)


def test_a_candidate_is_judged_by_the_pictures_that_show_it_worse(
    evidence, float_network
):
    other = float_network(seed=1)
    found = evidence.closeness(other)
    both = []
    for seen in (evidence.choosing, evidence.solving[:6]):
        scores = [scores_of(data, seen, 1) for data in (float_network(), other)]
        both.append(closeness(*scores).predicted_drop)
    assert found.predicted_drop == max(both)


def test_scores_that_are_no_probabilities_are_refused(float_network, pictures):
    from edgedeploy.formats.tflite_layout import pack_model
    from edgedeploy.quantize.layers import read_float_model

    model = read_float_model(float_network())
    graph = model.subgraphs[0]
    graph.outputs = graph.operators[-1].inputs
    graph.operators = graph.operators[:-1]
    model.signatureDefs = []
    with pytest.raises(QuantizationError, match="end in a softmax"):
        Evidence(pack_model(model), pictures, PIPELINE, large=True, threads=1)
