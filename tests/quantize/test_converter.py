"""Every recipe on a tiny seeded network, held against Keras itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedeploy.errors import QuantizationError
from edgedeploy.formats.tflite import summarize
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.pictures import prepare
from edgedeploy.ondevice.runtime import Model
from edgedeploy.quantize.converter import SETTINGS, convert_variant
from edgedeploy.recipes import RECIPES

CONVERTED = [name for name, one in RECIPES.items() if one.engine == "converter"]

SIDE, CLASSES = 32, 6
PIPELINE = ImagePipeline(
    width=SIDE, height=SIDE, mean=(127.5,) * 3, std=(127.5,) * 3, channels="rgb"
)
# Biases of integer kernels, and shapes.
BIASES = ("int32", "int64")
ROOT = Path(__file__).parents[2]

# One TensorFlow for all conversions: the converter's settings are its process's.
CONVERT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from edgedeploy.quantize.converter import convert_variant
for job in json.loads(sys.stdin.read()):
    steps = []
    convert_variant(progress=lambda done, total: steps.append([done, total]), **job)
    print("ANSWER " + json.dumps(steps))
"""


def build_network():
    import keras

    keras.utils.set_random_seed(7)
    layers = keras.layers
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers.Conv2D(16, 3, strides=2, use_bias=False)(image)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(max_value=6.0)(x)
    x = layers.Conv2D(32, 3, strides=2, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(64, activation="relu")(x)
    answer = layers.Dense(CLASSES, activation="softmax", name="probabilities")(x)
    network = keras.Model(image, answer)
    rng = np.random.default_rng(12)
    kernel, bias = network.layers[-1].get_weights()
    spread = rng.normal(0, 2, kernel.shape)
    network.layers[-1].set_weights([spread.astype("f4"), bias])
    return network


def draw_pictures(folder, seed, high):
    """32 smooth pictures with values up to `high`."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    paths = []
    for number in range(32):
        small = rng.integers(0, high, (4, 4, 3)).astype(np.uint8)
        paths.append(folder / f"{number:02}.png")
        Image.fromarray(small).resize((48, 40)).save(paths[-1])
    return paths


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The network, its pictures and, by name, .tflite files and progress."""
    folder = tmp_path_factory.mktemp("converter")
    network = build_network()
    network.save(folder / "net.keras")
    bright = draw_pictures(folder / "bright", seed=1, high=256)
    dark = draw_pictures(folder / "dark", seed=2, high=40)
    jobs = {name: (name, bright) for name in SETTINGS}
    jobs |= {"int8 again": ("int8", bright), "int8 dark": ("int8", dark)}
    requests = [
        {
            "architecture": "keras_file",
            "layout": "keras",
            "weights": str(folder / "net.keras"),
            "recipe": recipe,
            "pipeline": PIPELINE.to_dict(),
            "calibration": [str(path) for path in pictures],
            "out": str(folder / f"{name}.tflite"),
        }
        for name, (recipe, pictures) in jobs.items()
    ]
    done = subprocess.run(
        [sys.executable, "-c", CONVERT, str(ROOT)],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    steps = [json.loads(line.removeprefix("ANSWER ")) for line in lines]
    return {
        "network": network,
        "pictures": bright,
        "files": {name: folder / f"{name}.tflite" for name in jobs},
        "steps": dict(zip(jobs, steps, strict=True)),
    }


def run(path, pictures):
    model = Model(path)
    return np.concatenate(
        [
            model.scores(prepare(picture, PIPELINE)[None], PIPELINE)
            for picture in pictures
        ]
    )


def run_keras(network, pictures):
    rgb = np.stack([prepare(picture, PIPELINE) for picture in pictures])
    return network.predict((rgb - 127.5).astype("f4") / np.float32(127.5), verbose=0)


def test_every_recipe_has_settings():
    assert list(SETTINGS) == CONVERTED


@pytest.mark.parametrize("recipe", CONVERTED)
def test_variant_has_the_recipes_input_and_output_types(converted, recipe):
    summary = summarize(converted["files"][recipe])
    expected = RECIPES[recipe].io_dtype
    assert [tensor.dtype for tensor in summary.inputs] == [expected]
    assert [tensor.dtype for tensor in summary.outputs] == [expected]


@pytest.mark.parametrize("recipe", CONVERTED)
def test_variant_stores_its_weights_in_the_recipes_type(converted, recipe):
    sizes = dict(summarize(converted["files"][recipe]).weight_bytes)
    weights = sum(size for name, size in sizes.items() if name not in BIASES)
    # Dynamic range leaves what has under 1024 values as it is: here, the first layer
    # and the last.
    least = 0.6 if recipe == "dynamic_int8" else 0.99
    assert sizes[RECIPES[recipe].weights] > least * weights


@pytest.mark.parametrize("recipe", CONVERTED)
def test_quantised_variant_keeps_signature(converted, recipe):
    signatures = summarize(converted["files"][recipe]).signatures
    assert [signature.key for signature in signatures] == ["serving_default"]
    assert signatures[0].inputs == ("image",)
    assert signatures == summarize(converted["files"]["float32"]).signatures


@pytest.mark.parametrize("recipe", CONVERTED)
def test_variant_needs_builtin_operators_only(converted, recipe):
    assert summarize(converted["files"][recipe]).custom_ops == ()


# From a hundredfold of float32's rounding to some steps of 1/256.
@pytest.mark.parametrize(
    ("recipe", "tolerance"),
    [
        ("float32", 1e-5),
        ("float16", 5e-3),
        ("dynamic_int8", 0.02),
        ("int8", 0.03),
        ("int16x8", 0.01),
    ],
)
def test_variant_answers_as_keras_does(converted, recipe, tolerance):
    pictures = converted["pictures"]
    wanted = run_keras(converted["network"], pictures)
    # Answers have to differ between pictures, or a constant would pass.
    assert np.ptp(wanted, axis=0).max() > 4 * tolerance
    found = run(converted["files"][recipe], pictures)
    np.testing.assert_allclose(found, wanted, atol=tolerance)


def test_int8_has_no_float_tensor_between_input_and_output(converted):
    operators = {op.name for op in summarize(converted["files"]["int8"]).operators}
    assert "DEQUANTIZE" not in operators
    assert summarize(converted["files"]["int8"]).weight_bytes == tuple(
        item
        for item in summarize(converted["files"]["int8"]).weight_bytes
        if item[0] in ("int8", "int32")
    )


def test_int8_input_spans_the_contracts_range(converted):
    tensor = summarize(converted["files"]["int8"]).inputs[0]
    # Calibration has pixels near 0 and 255, so real -1 … 1 takes about 256 steps.
    assert tensor.scale[0] == pytest.approx(2 / 255, rel=0.05)
    assert abs(tensor.zero_point[0] - 127.5) < 6


def test_other_calibration_pictures_give_other_scales(converted):
    bright, dark = (
        summarize(converted["files"][name]).inputs[0] for name in ("int8", "int8 dark")
    )
    # Dark pixels reach 40 of 255 at most: -1 … -0.69, stretched to hold 0.
    assert dark.scale[0] < 0.6 * bright.scale[0]


def test_same_inputs_give_the_same_bytes(converted):
    once, again = (converted["files"][n].read_bytes() for n in ("int8", "int8 again"))
    assert once == again


@pytest.mark.parametrize("recipe", CONVERTED)
def test_calibration_pictures_are_read_only_where_they_are_needed(converted, recipe):
    counts = [done for done, total in converted["steps"][recipe] if total == 32]
    if RECIPES[recipe].needs_calibration:
        # The converter may go through them more than once, but never in part.
        assert counts == list(range(1, 33)) * (len(counts) // 32)
        assert counts
    else:
        assert converted["steps"][recipe] == []


def test_unknown_recipe_is_an_error(tmp_path):
    with pytest.raises(QuantizationError, match="no recipe int3"):
        convert_variant(
            progress=lambda done, total: None,
            architecture="keras_file",
            layout="keras",
            weights="none",
            recipe="int3",
            pipeline=PIPELINE.to_dict(),
            calibration=[],
            out=str(tmp_path / "out"),
        )
