"""The detective on the catalogue's networks: what pictures decide, and what not."""

import os
from pathlib import Path

import pytest
from real_weights import converted, samples

from edgedeploy.catalog import model_specs
from edgedeploy.detect.trial import Case, investigate
from edgedeploy.images.datasets import MINIMUM, read_dataset

pytestmark = [
    pytest.mark.real,
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
]
PHOTOS = "EDGEDEPLOY_TEST_PHOTOS"


def convert_once(model, weights):
    """Give the spec of a catalogue's weights, and them as float32 .tflite."""
    spec = next(one for one in model_specs(model) if one.weights == weights)
    return spec, converted(spec, "float32")


def detect(spec, model, pictures):
    labelled = [picture for picture in pictures if picture.label is not None]
    assert len(labelled) >= MINIMUM
    return investigate(
        Case(
            model=model,
            pictures=tuple(picture.path for picture in labelled),
            labels=tuple(picture.label for picture in labelled),
            stated=spec.pipeline,
            threads=2,
            runtime="litert",
        )
    )


def both(spec):
    return [
        one for role in ("evaluation", "calibration") for one in samples(spec, role)
    ]


def test_forty_samples_rule_out_what_they_can_and_say_what_ties():
    spec, model = convert_once("efficientnet_lite0", "imagenet")
    found = detect(spec, model, both(spec))
    assert found["decidable"]
    assert found["agrees"] is True
    ranges = found["axes"]["range"]
    # Numbers of a hundred instead of one ruin any network, in any forty pictures.
    assert {"0..255", "ImageNet mean alone"} <= set(ranges["values"])
    assert not {"0..255", "ImageNet mean alone"} & set(ranges["ties"])
    for axis, judged in found["axes"].items():
        assert found["stated"][axis] in judged["ties"]
        assert (judged["found"] is None) == (len(judged["ties"]) > 1)


@pytest.mark.skipif(
    PHOTOS not in os.environ,
    reason=f"needs 150 labelled ImageNet photos; name their folder in {PHOTOS}",
)
def test_many_photos_find_range_channels_and_crop():
    spec, model = convert_once("efficientnet_lite0", "imagenet")
    photos = read_dataset(
        Path(os.environ[PHOTOS]), spec.labels, spec.label_ids, column=spec.label_set
    )
    found = detect(spec, model, photos.pictures)
    assert found["decidable"]
    assert found["axes"]["range"]["found"] == "-1..1"
    assert found["axes"]["channels"]["found"] == "rgb"
    assert found["axes"]["crop"]["found"] == "center square"
    assert found["contradicted"] == []


def test_harmless_photos_cannot_decide_content_safety():
    spec, model = convert_once("inception_v3", "content-safety")
    neutral = spec.labels.index("neutral")
    photos = [one for one in both(spec) if one.label == neutral]
    found = detect(spec, model, photos[:MINIMUM])
    assert found["decidable"] is False
    assert found["agrees"] is None
    assert found["contradicted"] == []
    assert "most frequent class" in found["reason"]
    for judged in found["axes"].values():
        assert judged["found"] is None
        assert judged["ties"] == list(judged["values"])
        assert len(judged["ties"]) > 1
