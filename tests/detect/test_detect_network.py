"""The detective on a network whose contract is known, because it was built for it."""

import json
import random

import pytest
from PIL import Image

from edgedeploy.detect.trial import Case, investigate
from edgedeploy.ondevice.contract import ImagePipeline

SIDE = 8
TRUTH = ImagePipeline(width=SIDE, height=SIDE, mean=(127.5,) * 3, std=(127.5,) * 3)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Answers red, blue or dim from the mean colour on the range -1 to 1."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32)])
    def answer(image):
        mean = tf.reduce_mean(image, (1, 2))
        weights = tf.constant([[9.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 9.0, 0.0]])
        # Dim wins where neither red nor blue reaches 0.45, so the scale matters too.
        return tf.nn.softmax(mean @ weights + tf.constant([0.0, 0.0, 4.05]))

    module = tf.Module()
    module.answer = answer
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [answer.get_concrete_function()], module
    )
    path = tmp_path_factory.mktemp("network") / "colour.tflite"
    path.write_bytes(converter.convert())
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A square of one colour between two bars of another, 90 times."""
    folder = tmp_path_factory.mktemp("pictures")
    draw = random.Random(5)
    paths, labels = [], []
    for number in range(90):
        label = number % 3
        bright, dim = draw.randint(200, 255), draw.randint(140, 170)
        colour = [(bright, 0, dim), (dim, 0, bright), (dim, 255, dim)][label]
        other = [(0, 0, 255), (255, 0, 0), (255, 0, 255)][label]
        picture = Image.new("RGB", (64, 24), other)
        picture.paste(colour, (20, 0, 44, 24))
        path = folder / f"{number}.png"
        picture.save(path)
        paths.append(path)
        labels.append(label)
    return tuple(paths), tuple(labels)


def case(network, pictures, stated):
    paths, labels = pictures
    return Case(
        model=network,
        pictures=paths,
        labels=labels,
        stated=stated,
        threads=2,
        runtime="litert",
    )


@pytest.mark.slow
def test_contract_that_a_network_was_built_for_is_found(network, pictures):
    found = investigate(case(network, pictures, TRUTH))
    assert found["decidable"]
    axes = found["axes"]
    assert axes["range"]["found"] == "-1..1"
    assert axes["channels"]["found"] == "rgb"
    assert axes["crop"]["found"] == "center square"
    # A square of one colour looks the same through any kernel.
    assert axes["kernel"]["found"] is None
    assert found["agrees"] is True
    assert axes["channels"]["values"]["bgr"]["drop"] > 0.5


@pytest.mark.slow
def test_wrong_contract_is_contradicted_axis_by_axis(network, pictures):
    wrong = ImagePipeline(
        width=SIDE, height=SIDE, channels="bgr", mean=(0,) * 3, std=(255,) * 3
    )
    found = investigate(case(network, pictures, wrong))
    assert found["contradicted"] == ["range", "channels"]
    assert found["agrees"] is False


@pytest.mark.slow
def test_pictures_of_one_class_are_not_decidable(network, pictures):
    paths, labels = pictures
    dim = tuple(path for path, label in zip(paths, labels, strict=True) if label == 2)
    found = investigate(case(network, (dim, (2,) * len(dim)), TRUTH))
    assert not found["decidable"]
    assert found["agrees"] is None
    assert all(judged["found"] is None for judged in found["axes"].values())
    # What ties is listed, every candidate of it with its figures.
    assert len(found["candidates"]) == 20
    assert json.dumps(found)
