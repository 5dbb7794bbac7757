"""A bundle whose model takes several sizes, loaded once."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from edgedeploy.formats.tflite_shapes import pin_size
from edgedeploy.ondevice.bundle import read_bundle
from edgedeploy.ondevice.classifier import Classifier
from edgedeploy.ondevice.classify import main
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.delivered import BundleError, UnknownSize
from edgedeploy.ondevice.pictures import prepare
from edgedeploy.ondevice.runtime import Model
from edgedeploy.ondevice.shapes import parse_shapes
from edgedeploy.targets.payload import build_payload

LIST = "32x32,40x48,64x32"


@pytest.fixture(scope="module")
def payload(networks, tiny):
    normal = (127.5,) * 3
    spec = tiny.tiny_spec(
        labels=tuple(f"class {n}" for n in range(networks.CLASSES)),
        pipeline=ImagePipeline(width=32, height=32, mean=normal, std=normal),
        shapes=parse_shapes(LIST),
    )
    variants = [
        tiny.Converted(recipe, networks.converted("convolutional", recipe, LIST))
        for recipe in ("float32", "int8")
    ]
    pictures = sorted(networks.folder().glob("*.png"))[:3]
    return build_payload(spec, variants, default="int8", facts={}, pictures=pictures)


@pytest.fixture
def bundle(payload, tiny, tmp_path):
    return tiny.unpack(payload, tmp_path / "bundle")


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    colours = np.random.default_rng(8).integers(0, 256, (3, 4, 3), np.uint8)
    Image.fromarray(colours).resize((90, 70), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_a_resized_classifier_answers_as_a_model_fixed_to_the_size(
    bundle, picture, recipe
):
    classifier = Classifier(bundle, recipe)
    data = classifier.variant.path.read_bytes()
    # Whatever would load again, from here on, would fail.
    shutil.rmtree(bundle)
    for size in ((64, 32), (32, 32), (40, 48), (64, 32)):
        classifier.resize(*size)
        (guesses,) = classifier.predict([picture], top=1)
        assert classifier.pipeline.width == size[0]
        fixed = Model(pin_size(data, *size))
        pixels = prepare(picture, classifier.pipeline)
        assert pixels.shape == (size[1], size[0], 3)
        scores = fixed.scores(pixels[None], classifier.pipeline)[0]
        assert guesses[0].index == int(np.argmax(scores))
        assert guesses[0].score == float(scores.max())


def test_sizes_give_different_answers(bundle, picture):
    classifier = Classifier(bundle, "float32")
    scores = set()
    for size in classifier.bundle.shapes.sizes:
        classifier.resize(*size)
        scores.add(classifier.classify(picture)[0].score)
    assert len(scores) == 3


def test_batches_are_resized_too(bundle, picture):
    classifier = Classifier(bundle, batch=3)
    classifier.resize(40, 48)
    answers = classifier.predict([picture] * 5)
    assert answers == [classifier.classify(picture)] * 5


def test_a_size_that_the_contract_lacks_is_refused(bundle):
    classifier = Classifier(bundle)
    with pytest.raises(UnknownSize, match="32x32, 40x48, 64x32; received 48x40"):
        classifier.resize(48, 40)
    assert classifier.pipeline.width == 32


def test_the_bundle_holds_one_file_a_variant(bundle):
    assert sorted(path.name for path in (bundle / "models").iterdir()) == [
        "float32.tflite",
        "int8.tflite",
    ]
    assert read_bundle(bundle).shapes == parse_shapes(LIST)


def test_a_contract_without_shapes_has_one_size(bundle):
    document = json.loads((bundle / "contract.json").read_text())
    del document["shapes"]
    (bundle / "contract.json").write_text(json.dumps(document))
    classifier = Classifier(bundle)
    classifier.resize(32, 32)
    with pytest.raises(UnknownSize, match="takes pictures of 32x32"):
        classifier.resize(40, 48)


@pytest.mark.parametrize(
    "shapes",
    [[], "any", {"shape": "enumerated", "sizes": [[64, 32]]}, {"shape": "range"}, 5],
)
def test_damaged_shapes_are_refused(bundle, shapes):
    document = json.loads((bundle / "contract.json").read_text())
    document["shapes"] = shapes
    (bundle / "contract.json").write_text(json.dumps(document))
    with pytest.raises(BundleError):
        read_bundle(bundle)


def test_the_program_takes_a_size(bundle, picture, capsys):
    arguments = [
        "--folder",
        str(bundle),
        "--variant",
        "float32",
        "--json",
        str(picture),
    ]
    assert main([*arguments, "--picture-size", "64x32"]) == 0
    resized = json.loads(capsys.readouterr().out)
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) != resized
    assert main([*arguments, "--picture-size", "65x32"]) == 2
    assert "received 65x32" in capsys.readouterr().err
