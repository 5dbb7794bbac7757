"""Recipes from a float32 .tflite file alone; int8 and int16x8 are in whole builds."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from colour_networks import HEIGHT, WIDTH, colour_networks
from shifted_models import with_weights_behind

from edgedeploy.errors import FormatError, QuantizationError
from edgedeploy.formats.tflite import summarize
from edgedeploy.formats.tflite_layout import pack_model
from edgedeploy.isolate import silent
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.runtime import Model
from edgedeploy.quantize.halve import halve_weights
from edgedeploy.quantize.layers import read_float_model, set_floats, weight_layers
from edgedeploy.quantize.layers import weights_of as read_weights
from edgedeploy.quantize.requantise import requantise_variant

CONTRACT = ImagePipeline(width=WIDTH, height=HEIGHT, mean=(127.5,) * 3)


def make(tmp_path, name, recipe, *, logits=False):
    out = tmp_path / "out.tflite"
    requantise_variant(
        progress=silent,
        model=str(colour_networks() / name),
        recipe=recipe,
        pipeline=CONTRACT.to_dict(),
        calibration=[],
        logits=logits,
        out=str(out),
    )
    return out


@pytest.fixture(scope="module")
def noise():
    random = np.random.default_rng(0)
    return random.uniform(-1, 1, (1, HEIGHT, WIDTH, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("recipe", "most", "dtype"),
    [
        ("float32", 0.0, "float32"),
        ("float16", 1e-3, "float16"),
        ("dynamic_int8", 0.02, "int8"),
    ],
)
def test_answers_stay_and_weights_shrink(tmp_path, noise, recipe, most, dtype):
    path = make(tmp_path, "plain.tflite", recipe)
    expected = Model(colour_networks() / "plain.tflite").invoke(noise)
    np.testing.assert_allclose(Model(path).invoke(noise), expected, atol=most)
    # 3 x 3 x 3 x 48 weights of the convolution.
    width = {"float32": 4, "float16": 2, "int8": 1}[dtype]
    assert dict(summarize(path).weight_bytes)[dtype] >= 1296 * width


def test_logits_get_their_softmax_before_anything_is_rounded(tmp_path, noise):
    path = make(tmp_path, "logits.tflite", "float16", logits=True)
    expected = Model(colour_networks() / "plain.tflite").invoke(noise)
    np.testing.assert_allclose(Model(path).invoke(noise), expected, atol=1e-3)


def test_weights_beyond_half_precision_stay_as_they_are():
    model = read_float_model((colour_networks() / "plain.tflite").read_bytes())
    layer = weight_layers(model)[0]
    weights = read_weights(model, layer)
    weights[0, 0] = 70_000.0
    set_floats(model, layer.weights, weights)
    kinds = dict(summarize(halve_weights(pack_model(model))).weight_bytes)
    assert "float16" not in kinds


def test_recipe_that_needs_the_network_names_those_that_do_not(tmp_path):
    with pytest.raises(QuantizationError, match=r"there are as_is, float32, float16"):
        make(tmp_path, "plain.tflite", "int2")


def test_2_bit_weights_are_refused_before_anything_runs_them(tmp_path):
    model = read_float_model((colour_networks() / "plain.tflite").read_bytes())
    layer = weight_layers(model)[0]
    tensor = model.subgraphs[0].tensors[layer.weights]
    tensor.type = schema.TensorType.INT2
    model.buffers[tensor.buffer].data = np.zeros((layer.count + 3) // 4, np.uint8)
    path = tmp_path / "narrow.tflite"
    path.write_bytes(pack_model(model))
    with pytest.raises(QuantizationError, match="2-bit weights"):
        make(tmp_path, path, "as_is")


def test_damaged_file_is_an_error():
    data = (colour_networks() / "plain.tflite").read_bytes()
    with pytest.raises(FormatError):
        halve_weights(data[: len(data) // 2])


def test_a_quantised_file_keeps_weights_that_lie_behind_its_tables(tmp_path, noise):
    folder = colour_networks()
    plain = make(tmp_path, "int8.tflite", "as_is").read_bytes()
    shifted = tmp_path / "shifted.tflite"
    shifted.write_bytes(with_weights_behind((folder / "int8.tflite").read_bytes()))
    made = make(tmp_path, shifted, "as_is")
    assert summarize(made).weight_bytes == summarize(plain).weight_bytes
    model = Model(made)
    pixels = np.asarray(127.5 * noise + 127.5, np.uint8)
    np.testing.assert_array_equal(
        model.scores(pixels, CONTRACT), Model(plain).scores(pixels, CONTRACT)
    )
