"""What a width does to outputs that are pictures."""

import numpy as np
import pytest
from PIL import Image

from edgedeploy.errors import EvaluationError
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.stages.sweep_measures import Likeness

SIDE = 12


@pytest.fixture
def pixels():
    random = np.random.default_rng(0)
    return random.integers(40, 200, (3, SIDE, SIDE, 3), np.uint8)


def measure(outputs, folder, shown=(), **contract):
    pipeline = ImagePipeline(width=SIDE, height=SIDE, **contract)
    return Likeness(outputs, pipeline, folder, shown)


@pytest.mark.parametrize("std", [1.0, 127.5, 255.0])
def test_outputs_are_read_in_the_numbers_that_the_input_has(tmp_path, pixels, std):
    mean = 127.5 if std == 127.5 else 0.0
    outputs = ((pixels - mean) / std).astype(np.float32)
    one = measure(outputs, tmp_path, [1], mean=(mean,) * 3, std=(std,) * 3)
    assert one.keep(outputs, "float32") == [{"psnr_db": None, "ssim": 1.0}]
    found = np.asarray(Image.open(tmp_path / "1-float32.png"))
    np.testing.assert_array_equal(found, pixels[1])
    assert one.notes == ()


def test_blue_first_is_turned_to_red_first(tmp_path, pixels):
    outputs = pixels[..., ::-1].astype(np.float32) / 255
    measure(outputs, tmp_path, [0], channels="bgr").keep(outputs, "float32")
    found = np.asarray(Image.open(tmp_path / "0-float32.png"))
    np.testing.assert_array_equal(found, pixels[0])


def test_bytes_are_taken_as_they_are(tmp_path, pixels):
    one = measure(pixels, tmp_path, mean=(127.5,) * 3, std=(127.5,) * 3)
    # 5 off everywhere: 10 log10(255² / 5²).
    figures = one.figures(pixels + np.uint8(5))
    assert figures["psnr_db"] == pytest.approx(20 * np.log10(51), abs=0.01)
    assert 0.9 < figures["lowest_ssim"] <= figures["ssim"] < 1


def test_outputs_in_other_numbers_are_doubted(tmp_path, pixels):
    outputs = pixels.astype(np.float32)
    (note,) = measure(outputs, tmp_path, std=(255.0,) * 3).notes
    assert "no picture on 0..255" in note
    (note,) = measure(outputs / 255, tmp_path, std=(1.0,) * 3).notes
    assert "reach from 0 to 1" in note


def test_rows_of_classes_are_no_pictures(tmp_path):
    with pytest.raises(EvaluationError, match="expected pictures"):
        measure(np.zeros((3, 10), np.float32), tmp_path)
