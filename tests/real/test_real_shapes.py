"""The catalogue's networks, taking many sizes, with their real weights."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedeploy.catalog import model_specs
from edgedeploy.fetch import Unreachable, fetch
from edgedeploy.images.datasets import read_dataset
from edgedeploy.isolate import run_isolated
from edgedeploy.ondevice.runtime import Model
from edgedeploy.ondevice.shapes import parse_shapes
from edgedeploy.ondevice.trial import make_input
from edgedeploy.resources import resource_folder
from edgedeploy.shapes.resizing import check_resizing, relative_difference
from edgedeploy.workspace import cache_folder

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.timeout(1800),
]
SHAPES = {
    "efficientnet_lite0": ("imagenet", "160..320/32"),
    "inception_v3": ("content-safety", "224x224,299x299,331x331"),
}
# Keras alone builds the network again for one size, and saves it.
REBUILD = """
import sys
import keras
from pathlib import Path
from edgedeploy.architectures import build
architecture, layout, weights, side, out = sys.argv[1:]
model = build(architecture, Path(weights), layout)
picture = keras.Input((int(side), int(side), 3), name="image")
fixed = keras.models.clone_model(model, input_tensors=picture)
fixed.set_weights(model.get_weights())
fixed.save(out)
"""


def convert(spec, weights, recipe, out, shapes):
    folder = resource_folder("models") / "samples" / "calibration"
    found = read_dataset(folder, spec.labels, spec.label_ids, column=spec.label_set)
    run_isolated(
        "edgedeploy.quantize.converter:convert_variant",
        {
            "architecture": spec.architecture,
            "layout": spec.layout,
            "weights": str(weights),
            "recipe": recipe,
            "pipeline": spec.pipeline.to_dict(),
            "calibration": [str(picture.path) for picture in found.pictures],
            "out": str(out),
            "shapes": parse_shapes(shapes).to_dict() if shapes else None,
        },
        what=f"converting {recipe}",
    )
    return out


def weights_of(name):
    wanted, shapes = SHAPES[name]
    (spec,) = (spec for spec in model_specs(name) if spec.weights == wanted)
    try:
        return spec, fetch(spec.source, cache=cache_folder()).path, shapes
    except Unreachable as error:
        pytest.skip(f"needs the {spec.title} weights, not served here: {error}")


@pytest.mark.parametrize("recipe", ["float32", "int8"])
@pytest.mark.parametrize("name", list(SHAPES))
def test_the_network_answers_at_every_size_as_fixed_to_it(name, recipe, tmp_path):
    spec, weights, shapes = weights_of(name)
    path = convert(spec, weights, recipe, tmp_path / "made.tflite", shapes)
    found = check_resizing(path, parse_shapes(shapes))
    assert len(found) == len(parse_shapes(shapes).tested())
    assert all(row["difference"] == 0.0 for row in found.values())


def test_content_safety_answers_at_299_as_before_its_pooling_was_rewritten(tmp_path):
    spec, weights, shapes = weights_of("inception_v3")
    before = Model(convert(spec, weights, "float32", tmp_path / "before.tflite", ""))
    after = Model(convert(spec, weights, "float32", tmp_path / "after.tflite", shapes))
    for seed in range(3):
        picture = make_input(before.input, seed)
        difference = np.abs(before.invoke(picture) - after.invoke(picture)).max()
        assert difference <= 1e-6


@pytest.mark.parametrize(("recipe", "allowed"), [("float32", 1e-6), ("int8", 0.0)])
def test_efficientnet_answers_as_one_converted_for_192_alone(tmp_path, recipe, allowed):
    spec, weights, _ = weights_of("efficientnet_lite0")
    rebuilt = tmp_path / "rebuilt.keras"
    subprocess.run(
        [
            *(sys.executable, "-c", REBUILD, spec.architecture, spec.layout),
            *(str(weights), "192", str(rebuilt)),
        ],
        env={"PATH": "", "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
        capture_output=True,
    )
    # Calibrated with the same pictures at the same size.
    spec = replace(spec, pipeline=replace(spec.pipeline, width=192, height=192))
    fixed = replace(spec, architecture="keras_file", layout="keras")
    only = Model(convert(fixed, rebuilt, recipe, tmp_path / "only.tflite", ""))
    made = convert(spec, weights, recipe, tmp_path / "made.tflite", "192,224,256x160")
    resized = Model(made)
    picture = make_input(only.input, seed=1)
    resized.invoke(np.zeros((1, 160, 256, 3), only.input.dtype))
    answer = resized.invoke(picture)
    assert relative_difference(answer, only.invoke(picture)) <= allowed
