"""Every emulated resize, by hand on a tiny picture and against the real library."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from registries import ask_pip

from edgedeploy.skew import litert_support, mediapipe, tf_image
from edgedeploy.skew.skia import scale_bitmap


def grey(*rows):
    """A picture of equal channels from its rows."""
    return np.repeat(np.array(rows, np.uint8)[..., None], 3, axis=2)


def values(rgb):
    assert (rgb[..., 0] == rgb[..., 1]).all()
    assert (rgb[..., 0] == rgb[..., 2]).all()
    return rgb[..., 0].tolist()


def test_skia_weighs_in_sixteenths_and_cuts_off():
    # Centres at -0.25, 0.25, 0.75, 1.25: 255 * 4/16 = 63.75, 255 * 12/16 = 191.25.
    assert values(scale_bitmap(grey([0, 255]), (4, 1))) == [[0, 63, 191, 255]]
    # Centre 1/3 of the way is 5/16 after the cut: 240 * 5/16 = 75.
    assert values(scale_bitmap(grey([0, 240]), (3, 1))) == [[0, 120, 240]]
    # A centre at (0.5, 0.5): (0 + 100 + 200 + 50) / 4 = 87.5.
    assert values(scale_bitmap(grey([0, 100], [200, 50]), (1, 1))) == [[87]]


def test_skia_averages_nothing_when_shrinking():
    # Centres at 1.5 and 5.5: four of eight pixels have no influence.
    shrunk = scale_bitmap(grey([255, 10, 20, 255, 255, 30, 50, 255]), (2, 1))
    assert values(shrunk) == [[15, 40]]


def test_skia_without_filter_takes_the_nearest():
    # Centres at 1 and 3, on edges: the pixel before is taken.
    assert values(scale_bitmap(grey([1, 2, 3, 4]), (2, 1), smooth=False)) == [[1, 3]]
    enlarged = scale_bitmap(grey([1, 2]), (5, 1), smooth=False)
    assert values(enlarged) == [[1, 1, 1, 2, 2]]


def test_equal_size_changes_nothing(real):
    rgb = real.picture(13, 17)
    for resize in (
        scale_bitmap,
        mediapipe.image_to_tensor,
        litert_support.resize,
        litert_support.crop_or_pad,
        tf_image.resize,
    ):
        assert np.array_equal(resize(rgb, (17, 13)), rgb)


@pytest.mark.parametrize(("kind", "smooth"), [("bilinear", True), ("nearest", False)])
def test_skia_equals_what_skia_drew(recorded, emulated, kind, smooth):
    found = emulated(lambda rgb, size: scale_bitmap(rgb, size, smooth=smooth))
    assert found == recorded["skia-python 144.1"][kind]


def test_mediapipe_samples_at_the_corners():
    # Positions 0 and 2 of four: nothing in between is seen.
    row = grey([0, 100, 200, 40])
    assert values(mediapipe.image_to_tensor(row, (2, 1))) == [[0, 200]]
    # 4/3 and 8/3 are 43/32 and 85/32: 100 + 100 * 11/32 = 134.4, 200 - 160 * 21/32.
    assert values(mediapipe.image_to_tensor(row, (3, 1))) == [[0, 134, 95]]
    # Positions 0, 0.5, 1 and 1.5, the last beyond the edge; 127.5 is rounded up.
    enlarged = mediapipe.image_to_tensor(grey([0, 255]), (4, 1))
    assert values(enlarged) == [[0, 128, 255, 255]]


def test_mediapipe_equals_what_mediapipe_gave_a_model(recorded, emulated):
    assert emulated(mediapipe.image_to_tensor) == recorded["mediapipe 1.2.2"]


def test_resize_op_is_the_bitmap_method(real):
    rgb = real.picture(9, 14)
    assert np.array_equal(litert_support.resize(rgb, (5, 6)), scale_bitmap(rgb, (5, 6)))
    assert values(litert_support.resize(grey([1, 2, 3, 4]), (2, 1), "nearest")) == [
        [1, 3]
    ]


def test_crop_or_pad_takes_the_smaller_half_first():
    assert values(litert_support.crop_or_pad(grey([1, 2, 3, 4, 5]), (2, 1))) == [[2, 3]]
    assert values(litert_support.crop_or_pad(grey([7, 8]), (5, 1))) == [[0, 7, 8, 0, 0]]
    both = litert_support.crop_or_pad(grey([1, 2, 3], [4, 5, 6]), (1, 3))
    assert values(both) == [[2], [5], [0]]


def test_tf_resize_by_hand():
    row = grey([0, 100, 200, 40])
    # Centres at 0.5 and 2.5.
    assert tf_image.resize(row, (2, 1))[0, :, 0].tolist() == [50, 120]
    assert tf_image.resize(grey([0, 100]), (4, 1))[0, :, 1].tolist() == [0, 25, 75, 100]
    # A triangle twice as wide: weights 3, 3, 1, 0 and 0, 1, 3, 3 of 7.
    wide = tf_image.resize(row, (2, 1), antialias=True)[0, :, 2]
    assert wide.tolist() == pytest.approx([500 / 7, 820 / 7], abs=1e-4)


def test_tf_antialiased_is_pillow_before_rounding(real):
    rgb = real.picture(61, 97)
    own = tf_image.resize(rgb, (40, 33), antialias=True)
    kernel = Image.Resampling.BILINEAR
    pillow = np.asarray(Image.fromarray(rgb).resize((40, 33), kernel)).astype(float)
    # Pillow rounds twice, once an axis.
    assert np.abs(own - pillow).max() <= 1.0


@pytest.fixture(scope="module")
def tensorflow_says(tmp_path_factory, real):
    """TensorFlow's own results for every case, from a child: it keeps its memory."""
    out = tmp_path_factory.mktemp("tf") / "resized.npz"
    code = (
        "import sys, importlib.util, numpy as np, tensorflow as tf\n"
        "spec = importlib.util.spec_from_file_location('real', sys.argv[1])\n"
        "real = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(real)\n"
        "found = {}\n"
        "for case in real.CASES:\n"
        "    for smooth in (False, True):\n"
        "        found[f'{real.name(case)} {smooth}'] = tf.image.resize(\n"
        "            real.picture(*case[:2]), case[2:], 'bilinear', antialias=smooth)\n"
        "np.savez(sys.argv[2], **found)\n"
    )
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run(
        [sys.executable, "-c", code, real.__file__, str(out)],
        check=True,
        env=quiet,
        capture_output=True,
        timeout=120,
    )
    return np.load(out)


@pytest.mark.slow
@pytest.mark.parametrize("antialias", [False, True])
def test_tf_resize_equals_tensorflow(tensorflow_says, real, antialias):
    for case in real.CASES:
        own = tf_image.resize(real.picture(*case[:2]), case[:1:-1], antialias=antialias)
        theirs = tensorflow_says[f"{real.name(case)} {antialias}"]
        assert np.abs(own - theirs).max() < 0.01


IDENTITY = """
import sys, tensorflow as tf
folder, rows, columns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
signature = [tf.TensorSpec([1, rows, columns, 3], tf.uint8)]
@tf.function(input_signature=signature)
def answer(x):
    return tf.reshape(tf.cast(x, tf.float32), [1, -1])
made = tf.lite.TFLiteConverter.from_concrete_functions([answer.get_concrete_function()])
open(f"{folder}/{rows}x{columns}.tflite", "wb").write(made.convert())
"""


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """An environment of its own with the real libraries, about 400 MB."""
    folder = tmp_path_factory.mktemp("libraries")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    wanted = ["skia-python==144.1", "mediapipe==1.2.2"]
    ask_pip(python, "install", "-q", *wanted)
    return python


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("library", ["skia", "mediapipe"])
def test_the_real_libraries_still_say_what_was_recorded(
    libraries, recorded, real, tmp_path, library
):
    for rows, columns in {case[2:] for case in real.CASES}:
        if library == "mediapipe":
            words = [str(tmp_path), str(rows), str(columns)]
            command = [sys.executable, "-c", IDENTITY, *words]
            subprocess.run(command, check=True, capture_output=True, timeout=300)
    done = subprocess.run(
        [str(libraries), str(Path(real.__file__)), library, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if "libEGL" in done.stderr or "libGL" in done.stderr:
        pytest.skip(f"{library} needs libEGL and libGL; apt-get install libegl1 libgl1")
    assert done.returncode == 0, done.stderr[-2000:]
    (said,) = (json.loads(line) for line in done.stdout.splitlines() if "{" in line)
    (known,) = (recorded[name] for name in recorded if name.startswith(library))
    assert said[library] == known
