import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedeploy.errors import InputError
from edgedeploy.images.datasets import Dataset, Picture
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.quantize.calibration import MAXIMUM, calibration_set

PIPELINE = ImagePipeline(width=8, height=8)


def noise(folder: Path, count: int, *, first: int = 0) -> list[Path]:
    """Pictures of noise, each of its own."""
    paths = []
    for n in range(first, first + count):
        rgb = np.random.default_rng(n).integers(0, 256, (8, 8, 3), np.uint8)
        paths.append(folder / f"noise{n:03}.png")
        Image.fromarray(rgb).save(paths[-1])
    return paths


def plain(folder: Path, count: int) -> list[Path]:
    """Pictures of one colour, each of its own."""
    paths = []
    for n in range(count):
        paths.append(folder / f"plain{n:03}.png")
        Image.new("RGB", (8, 8), (n, 50, 60)).save(paths[-1])
    return paths


def broken(folder: Path, count: int) -> list[Path]:
    paths = []
    for n in range(count):
        paths.append(folder / f"broken{n:03}.jpg")
        paths[-1].write_bytes(b"\xff\xd8\xff" + str(n).encode())
    return paths


def dataset(paths: list[Path], **changes) -> tuple[Dataset, list[str]]:
    pictures = tuple(Picture(name=p.name, path=p, label=None) for p in paths)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return Dataset(name="photos", pictures=pictures, **changes), digests


def choose(paths, *, evaluation=(), pipeline=PIPELINE, **changes):
    found, digests = dataset(paths, **changes)
    return calibration_set(
        found, digests, evaluation_digests=evaluation, pipeline=pipeline
    )


def test_hundred_different_pictures_leave_nothing_to_say(tmp_path):
    chosen = choose(noise(tmp_path, 100))
    assert chosen.warnings == ()
    assert len(chosen.pictures) == 100


def test_pictures_come_in_the_order_of_their_contents(tmp_path):
    paths = noise(tmp_path, 20)
    chosen = choose(paths)
    assert list(chosen.digests) == sorted(chosen.digests)
    contents = [
        hashlib.sha256(picture.path.read_bytes()).hexdigest()
        for picture in chosen.pictures
    ]
    assert contents == list(chosen.digests)
    assert choose(paths[::-1]).digests == chosen.digests


def test_few_pictures_are_said_but_not_of_the_samples(tmp_path):
    paths = noise(tmp_path, 16)
    assert choose(paths).warnings == (
        "calibration has 16 pictures; 100 or more of your own are better",
    )
    assert choose(paths, samples=True).warnings == ()


def test_too_few_pictures_are_an_error_with_both_counts(tmp_path):
    paths = noise(tmp_path, 15)
    with pytest.raises(
        InputError, match=r"at least 16 distinct pictures; photos has 15 of 15 that"
    ):
        choose(paths)
    # One picture thousands of times is one picture.
    with pytest.raises(InputError, match="photos has 15 of 315 that can be used"):
        choose(paths * 21)
    with pytest.raises(InputError, match="photos has 15 of 20 that can be used"):
        choose(paths + broken(tmp_path, 5))


def test_duplicates_are_counted_and_used_once(tmp_path):
    paths = noise(tmp_path, 100)
    copy = tmp_path / "copy.png"
    copy.write_bytes(paths[3].read_bytes())
    chosen = choose([*paths, copy, paths[3], paths[4]])
    assert chosen.warnings == ("photos: 3 calibration pictures are duplicates",)
    assert len(chosen.pictures) == len(set(chosen.digests)) == 100


def test_evaluation_pictures_are_refused_by_content(tmp_path):
    paths = noise(tmp_path, 20)
    renamed = tmp_path / "renamed.png"
    renamed.write_bytes(paths[0].read_bytes())
    _, shared = dataset([renamed, *noise(tmp_path, 3, first=500)])
    with pytest.raises(
        InputError, match=r"1 of 20 calibration pictures .* such as noise000\.png"
    ):
        choose(paths, evaluation=shared)


def test_constant_pictures_are_counted(tmp_path):
    chosen = choose(noise(tmp_path, 90) + plain(tmp_path, 10))
    assert chosen.warnings == ("photos: 10 calibration pictures are nearly one colour",)
    assert len(chosen.pictures) == 100


def test_mostly_constant_pictures_are_an_error(tmp_path):
    assert choose(noise(tmp_path, 10) + plain(tmp_path, 10))
    with pytest.raises(InputError, match="11 of 21 calibration pictures are nearly"):
        choose(noise(tmp_path, 10) + plain(tmp_path, 11))


def test_faint_noise_counts_as_one_colour_by_its_deviation(tmp_path):
    # Half 100, half 100 + 2 * s: a standard deviation of s.
    def halves(s):
        rgb = np.full((8, 8, 3), 100, np.uint8)
        rgb[:4] += np.uint8(2 * s)
        path = tmp_path / f"halves{s}.png"
        Image.fromarray(rgb).save(path)
        return path

    base = noise(tmp_path, 100)
    assert len(choose([*base, halves(3)]).warnings) == 1
    assert choose([*base, halves(4)]).warnings == ()


def test_broken_pictures_are_counted_and_left_out(tmp_path):
    chosen = choose(noise(tmp_path, 100) + broken(tmp_path, 2))
    (warning,) = chosen.warnings
    assert warning.startswith(
        "photos: 2 calibration pictures cannot be decoded, such as broken00"
    )
    assert len(chosen.pictures) == 100


def test_more_than_enough_are_cut_by_content(tmp_path):
    paths = noise(tmp_path, MAXIMUM + 12)
    chosen = choose(paths)
    assert chosen.warnings == (
        "calibration uses 128 of the 140 pictures in photos, chosen by content; "
        "more change nothing measurable",
    )
    assert chosen.digests == tuple(sorted(dataset(paths)[1])[:128])


def test_broken_pictures_do_not_take_the_place_of_good_ones(tmp_path):
    # More broken than are wanted: whichever come first, the good ones are found.
    chosen = choose(noise(tmp_path, 110) + broken(tmp_path, 150))
    assert len(chosen.pictures) == 110
    assert len(chosen.warnings) == 1
    assert "150 calibration pictures cannot be decoded" in chosen.warnings[0]


def test_exactly_enough_are_not_cut(tmp_path):
    assert choose(noise(tmp_path, MAXIMUM)).warnings == ()


@pytest.mark.parametrize(
    ("values", "span"),
    [
        ({"std": (1.0, 1.0, 1.0)}, "0 to 255"),
        ({"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}, "-1 to 509"),
        # An ImageNet mean and std meant for 0..1, in the red channel alone.
        ({"mean": (0.485, 0, 0), "std": (0.229, 255, 255)}, "-2.1179 to 1111.42"),
    ],
)
def test_implausible_normalisation_is_named_with_its_range(tmp_path, values, span):
    pipeline = ImagePipeline(width=8, height=8, **values)
    (warning,) = choose(noise(tmp_path, 100), pipeline=pipeline).warnings
    assert warning.startswith(f"calibration tensors span {span}; ")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"mean": (127.5,) * 3, "std": (127.5,) * 3},
        {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
    ],
)
def test_usual_normalisations_are_plausible(tmp_path, values):
    pipeline = ImagePipeline(width=8, height=8, **values)
    assert choose(noise(tmp_path, 100), pipeline=pipeline).warnings == ()


def test_findings_add_up(tmp_path):
    paths = noise(tmp_path, 20)
    chosen = choose([*paths, paths[0], *plain(tmp_path, 3), *broken(tmp_path, 1)])
    assert len(chosen.warnings) == 4
