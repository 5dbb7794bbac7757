"""Who learns and who judges when a variant is fine-tuned."""

import shutil

import numpy as np
import pytest
from PIL import Image

from edgedeploy.errors import InputError
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.quantize.finetune import tune
from edgedeploy.quantize.finetune.tune import read_pictures

PIPELINE = ImagePipeline(width=16, height=16)


def _write(folder, count, seed):
    """One-coloured pictures, so that each is known again by its colour."""
    folder.mkdir()
    random = np.random.default_rng(seed)
    paths = []
    for number in range(count):
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        path = folder / f"{number:03}.png"
        Image.new("RGB", (16, 16), colour).save(path)
        paths.append(str(path))
    return paths


def _colours(pictures):
    return {tuple(picture[0, 0].tolist()) for picture in pictures}


def _colours_of(paths):
    return {Image.open(path).getpixel((0, 0)) for path in paths}


@pytest.fixture
def calibration(tmp_path):
    paths = _write(tmp_path / "calibration", 24, seed=1)
    return {"solving": paths[:18], "choosing": paths[18:]}


def test_one_in_five_judges_and_does_not_learn(tmp_path, calibration):
    paths = _write(tmp_path / "other", 50, seed=2)
    found = read_pictures(paths, PIPELINE, **calibration)
    assert (len(found.learning), len(found.judging)) == (40, 10)
    assert not _colours(found.learning) & _colours(found.judging)


def test_pictures_that_chose_do_not_learn_and_those_that_solved_do_not_judge(
    calibration,
):
    paths = [*calibration["solving"], *calibration["choosing"]]
    found = read_pictures(paths, PIPELINE, **calibration)
    assert _colours(found.learning) == _colours_of(calibration["solving"])
    assert found.judging == ()


def test_a_copy_under_another_name_is_known_by_its_content(tmp_path, calibration):
    paths = _write(tmp_path / "other", 20, seed=2)
    chosen = tmp_path / "other" / "copy.png"
    shutil.copy(calibration["choosing"][0], chosen)
    found = read_pictures([*paths, str(chosen)], PIPELINE, **calibration)
    seen = _colours(found.learning) | _colours(found.judging)
    assert seen == _colours_of(paths)


def test_the_division_does_not_rest_on_names_or_order(tmp_path, calibration):
    paths = _write(tmp_path / "other", 30, seed=2)
    first = read_pictures(paths, PIPELINE, **calibration)
    second = read_pictures(paths[::-1], PIPELINE, **calibration)
    assert np.array_equal(np.stack(first.learning), np.stack(second.learning))
    assert np.array_equal(np.stack(first.judging), np.stack(second.judging))


def test_no_more_than_the_maximum_is_kept_in_memory(tmp_path, calibration, monkeypatch):
    monkeypatch.setattr(tune, "MAXIMUM", 25)
    paths = _write(tmp_path / "other", 60, seed=2)
    found = read_pictures(paths, PIPELINE, **calibration)
    assert len(found.learning) + len(found.judging) == 25


def test_broken_pictures_are_counted(tmp_path, calibration):
    paths = _write(tmp_path / "other", 30, seed=2)
    for number, data in enumerate((b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" * 9)):
        broken = tmp_path / "other" / f"broken{number}.jpg"
        broken.write_bytes(data)
        paths.append(str(broken))
    found = read_pictures(paths, PIPELINE, **calibration)
    assert found.unreadable == 3
    assert len(found.learning) + len(found.judging) == 30


def test_too_few_to_learn_from_is_an_error_that_counts(tmp_path, calibration):
    paths = [*_write(tmp_path / "other", 12, seed=2), *calibration["choosing"]]
    message = r"at least 16 pictures to learn from; 18 were given, 6 of them judge"
    with pytest.raises(InputError, match=message):
        read_pictures(paths, PIPELINE, **calibration)
