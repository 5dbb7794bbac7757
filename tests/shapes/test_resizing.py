"""One file, many sizes: what resizing must not change."""

import numpy as np
import pytest

from edgedeploy.errors import ConversionError
from edgedeploy.formats.tflite import summarize
from edgedeploy.formats.tflite_shapes import begin_with_size
from edgedeploy.ondevice.runtime import Model
from edgedeploy.ondevice.shapes import parse_shapes
from edgedeploy.ondevice.trial import make_input
from edgedeploy.shapes.resizing import check_resizing, relative_difference

LIST = "32x32,40x48,64x32"
RANGE = "24..56/8"


def test_the_difference_is_relative_to_the_largest_value():
    expected = np.array([[0.5, -2.0]], np.float32)
    assert relative_difference(expected, expected) == 0.0
    assert relative_difference(np.array([[0.5, -1.5]]), expected) == 0.25
    assert relative_difference(np.array([[0.5]]), expected) == float("inf")
    assert np.isnan(relative_difference(expected * np.nan, expected))
    largest = np.array([[255]], np.uint8)
    assert relative_difference(np.array([[0]], np.uint8), largest) == 1.0


@pytest.mark.parametrize("network", ["convolutional", "pooled"])
@pytest.mark.parametrize("recipe", ["float32", "int8"])
@pytest.mark.parametrize("shapes", [LIST, RANGE])
def test_resizing_equals_the_same_model_fixed_to_the_size(
    networks, network, recipe, shapes
):
    # One conversion serves for both: the file leaves its size open.
    path = networks.converted(network, recipe, LIST)
    found = check_resizing(path, parse_shapes(shapes))
    tested = parse_shapes(shapes).tested()
    assert sorted(found) == sorted(f"{w}x{h}" for w, h in tested)
    assert len(tested) >= 3
    assert all(row["difference"] == 0.0 for row in found.values())


def test_float_answers_are_those_of_a_network_converted_for_the_size(networks):
    """Keras itself built the other for 64x32 alone."""
    only = Model(networks.converted("convolutional", "float32", "", 64, 32))
    resized = Model(networks.converted("convolutional", "float32", LIST))
    picture = make_input(only.input, seed=3)
    assert picture.shape == (1, 32, 64, 3)
    assert relative_difference(resized.invoke(picture), only.invoke(picture)) <= 1e-6


def test_int8_answers_are_those_of_a_network_converted_for_the_size(networks):
    """Calibrated with the same pictures at 64x32, where the one network begins.

    Keras itself built the other for 64x32 alone.
    """
    resized = Model(networks.converted("convolutional", "int8", LIST, 64, 32))
    only = Model(networks.converted("convolutional", "int8", "", 64, 32))
    assert resized.input.scale == only.input.scale
    picture = make_input(only.input, seed=3)
    resized.invoke(np.zeros((1, 48, 40, 3), np.uint8))
    assert np.array_equal(resized.invoke(picture), only.invoke(picture))
    assert len(np.unique(only.invoke(picture))) > 1


@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_one_loaded_model_answers_at_every_size_without_its_file(
    networks, recipe, tmp_path
):
    """Fails where there is one model for each size, or where a size loads again."""
    path = tmp_path / "only.tflite"
    path.write_bytes(networks.converted("pooled", recipe, LIST).read_bytes())
    model = Model(path)
    interpreter = model._interpreter
    path.unlink()
    answers = [
        model.invoke(np.zeros((1, height, width, 3), model.input.dtype))
        for width, height in parse_shapes(LIST).tested()
    ]
    assert [answer.shape for answer in answers] == [(1, networks.CLASSES)] * 3
    assert model._interpreter is interpreter


def test_the_file_begins_with_the_pipelines_size_and_holds_its_weights_once(networks):
    flexible = networks.converted("pooled", "float32", LIST)
    fixed = networks.converted("pooled", "float32", "")
    (image,) = summarize(flexible).inputs
    assert image.shape == (1, 32, 32, 3)
    assert image.shape_signature == (-1, -1, -1, 3)
    weights = dict(summarize(flexible).weight_bytes)["float32"]
    assert weights == dict(summarize(fixed).weight_bytes)["float32"]
    assert flexible.stat().st_size < fixed.stat().st_size + 4096


def test_all_of_a_resized_network_runs_in_xnnpack(networks):
    model = Model(networks.converted("convolutional", "float32", LIST))
    model.invoke(np.zeros((1, 48, 40, 3), np.float32))
    details = model._interpreter._get_ops_details()
    assert sum(op["op_name"] == "DELEGATE" for op in details) == 1


def test_a_network_that_ignores_the_border_is_refused(networks):
    path = networks.folder() / "cropping.tflite"
    with pytest.raises(ConversionError, match=r"at 40x40 .* right border"):
        check_resizing(path, parse_shapes("40x40"), what="float32")


def test_a_size_that_the_runtime_cannot_prepare_is_refused_by_name(networks, tmp_path):
    made = (networks.folder() / "wide.tflite").read_bytes()
    path = tmp_path / "wide.tflite"
    path.write_bytes(begin_with_size(made, 32, 32))
    with pytest.raises(ConversionError, match="cannot take 6x6"):
        check_resizing(path, parse_shapes("6x6,32x32"))


def test_a_network_that_is_sure_of_its_answer_is_not_taken_for_a_blind_one(networks):
    # Its softmax is 1 and 0 in every bit for such noise, until the noise fades.
    check_resizing(networks.folder() / "sure.tflite", parse_shapes("40x40"))
