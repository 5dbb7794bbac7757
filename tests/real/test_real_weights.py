"""The catalogue's networks with their real weights, on the shipped samples."""

import numpy as np
import pytest
from real_weights import converted, fetch_weights, samples

from edgedeploy.architectures import build
from edgedeploy.catalog import model_specs
from edgedeploy.evaluate.engine import score_pictures
from edgedeploy.evaluate.metrics import answers, floored_kl, label_ranks
from edgedeploy.ondevice.contract import normalise
from edgedeploy.ondevice.pictures import prepare

pytestmark = [pytest.mark.real, pytest.mark.network, pytest.mark.timeout(900)]


def score(spec, model, pictures, out):
    done = score_pictures(
        model,
        [picture.path for picture in pictures],
        pipeline=spec.pipeline,
        out=out,
        decoded=None,
        threads=2,
        runtime="auto",
        what=f"evaluating {model.parent.name}",
    )
    assert done.skipped == {}
    return np.array(done.scores)


@pytest.fixture(scope="module")
def efficientnet(tmp_path_factory):
    """Labels and scores of EfficientNet-Lite0 on the evaluation samples."""
    folder = tmp_path_factory.mktemp("efficientnet")
    (spec,) = model_specs("efficientnet_lite0")
    pictures = samples(spec, "evaluation")
    scores = {}
    for recipe in ("float32", "int8"):
        model = converted(spec, recipe)
        scores[recipe] = score(spec, model, pictures, folder / f"{recipe}.npy")
    labels = [picture.label for picture in pictures]
    return np.array([-1 if label is None else label for label in labels]), scores


def test_efficientnet_knows_the_samples(efficientnet):
    labels, scores = efficientnet
    rows = np.flatnonzero(labels >= 0)
    assert len(rows) >= 16
    ranks = label_ranks(scores["float32"][rows], labels[rows])
    # One of 1000 classes by luck; a shifted label or a swapped channel costs most.
    assert np.mean(ranks < 1) >= 0.75
    assert np.mean(ranks < 5) >= 0.9


def test_int8_efficientnet_answers_as_float32(efficientnet):
    _, scores = efficientnet
    assert np.mean(answers(scores["float32"]) == answers(scores["int8"])) >= 0.9
    # Facts measured on 1000 photos say .0026.
    assert floored_kl(scores["float32"], scores["int8"]) <= 0.02
    # A uint8 softmax rounds small classes away; were it cast and not dequantised, it
    # would sum to hundreds.
    sums = scores["int8"].sum(axis=1)
    assert 0.3 < sums.min() <= sums.max() < 1.1


@pytest.mark.slow
def test_content_safety_tflite_equals_keras(tmp_path):
    spec = next(
        spec for spec in model_specs("inception_v3") if spec.weights == "content-safety"
    )
    weights = fetch_weights(spec)
    pictures = samples(spec, "evaluation")[:12]
    model = converted(spec, "float32")
    found = score(spec, model, pictures, tmp_path / "float32.npy")
    rgb = np.stack([prepare(picture.path, spec.pipeline) for picture in pictures])
    network = build(spec.architecture, weights, spec.layout)
    wanted = network.predict(normalise(rgb, spec.pipeline), verbose=0, batch_size=4)
    # The answers differ between pictures, so equality says something.
    assert np.ptp(wanted, axis=0).max() > 0.1
    np.testing.assert_allclose(found, wanted, atol=1e-4)
