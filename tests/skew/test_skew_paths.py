"""Whole device paths, from a file to the network's picture."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgedeploy.errors import InputError
from edgedeploy.ondevice.contract import ImagePipeline, crop_box
from edgedeploy.ondevice.pictures import PictureError, decode, prepare
from edgedeploy.skew import paths
from edgedeploy.skew.headers import Peculiar, count_peculiar
from edgedeploy.skew.skia import scale_bitmap
from edgedeploy.skew.table import PATHS, find_path

CONTRACT = ImagePipeline(width=16, height=12, crop_fraction=0.875, kernel="bicubic")


def run(name, source, contract=CONTRACT):
    return getattr(paths, PATHS[name].function)(source, contract)


def encoded(rgb, **options):
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG", **options)
    return file.getvalue()


@pytest.fixture
def wide(real):
    """A picture of 33 rows and 50 columns, as a file's bytes."""
    return encoded(real.picture(33, 50))


@pytest.mark.parametrize("order", ["crop_then_resize", "resize_then_crop"])
@pytest.mark.parametrize("crop", ["center_square", "none"])
@pytest.mark.parametrize("name", PATHS)
def test_every_path_gives_the_contracts_size(name, crop, order, wide):
    contract = replace(CONTRACT, crop=crop, order=order)
    found = run(name, wide, contract)
    assert (found.shape, found.dtype) == ((12, 16, 3), np.uint8)
    assert len(np.unique(found)) > 20


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("file", ["truncated.jpg", "empty.jpg", "text.jpg", "bomb.png"])
def test_every_path_refuses_a_broken_picture(name, file, pictures):
    with pytest.raises(PictureError, match=file.split(".")[0]):
        run(name, pictures / file)


def test_android_crops_as_the_contract_and_scales_as_a_bitmap(wide, real):
    left, top, right, bottom = crop_box(50, 33, CONTRACT)
    cut = real.picture(33, 50)[top:bottom, left:right]
    assert np.array_equal(run("android", wide), scale_bitmap(cut, (16, 12)))


def test_litert_support_takes_the_whole_square(wide, real):
    # 33 of 50 columns: 8 are left out before it, 9 after.
    square = real.picture(33, 50)[:, 8:41]
    assert np.array_equal(run("litert-support", wide), scale_bitmap(square, (16, 12)))


def test_the_pi_follows_the_contract(wide, pictures):
    for source in (wide, pictures / "orientation_6.jpg", pictures / "icc_wide.jpg"):
        assert np.array_equal(run("pi", source), prepare(source, CONTRACT))


@pytest.mark.parametrize("name", ["android", "litert-support", "mediapipe", "tf"])
def test_exif_is_ignored_where_the_device_ignores_it(name, pictures):
    turned, upright = pictures / "orientation_6.jpg", pictures / "orientation_1.jpg"
    stored = decode(turned, replace(CONTRACT, orientation="ignore"))
    assert np.array_equal(run(name, turned), run(name, encoded(np.asarray(stored))))
    assert not np.array_equal(run(name, turned), run(name, upright))


@pytest.mark.parametrize("name", ["android-exif", "camera", "pi"])
def test_exif_is_followed_elsewhere(name, pictures):
    turned = run(name, pictures / "orientation_6.jpg").astype(int)
    upright = run(name, pictures / "orientation_1.jpg")
    # The two files were compressed apart from each other.
    assert np.abs(turned - upright).mean() < 8


@pytest.mark.parametrize("icc", ["to_srgb", "ignore"])
@pytest.mark.parametrize("name", [name for name in PATHS if name != "pi"])
def test_profiles_follow_the_device_and_not_the_contract(name, icc, pictures):
    wide = pictures / "icc_wide.png"
    contract = replace(CONTRACT, icc=icc)
    stored = encoded(np.asarray(Image.open(wide).convert("RGB")))
    converted = encoded(np.asarray(decode(wide, replace(CONTRACT, icc="to_srgb"))))
    assert stored != converted
    follows = stored if name in ("mediapipe", "tf", "tf-antialias") else converted
    assert np.array_equal(run(name, wide, contract), run(name, follows, contract))


def test_a_camera_that_is_not_turned_shows_the_picture_on_its_side(real):
    rgb = np.zeros((40, 40, 3), np.uint8)
    rgb[:20] = 255
    contract = ImagePipeline(width=8, height=8)
    upright = run("camera", encoded(rgb), contract)
    lying = run("camera-unrotated", encoded(rgb), contract)
    assert upright[:3].min() > 250
    assert upright[-3:].max() < 5
    assert np.array_equal(lying, np.rot90(upright))


def test_full_range_read_as_limited_gains_contrast():
    rgb = np.full((8, 8, 3), 226, np.uint8)
    # (226 - 16) * 255 / 219 = 244.5.
    found = run("camera-limited", encoded(rgb), ImagePipeline(width=4, height=4))
    assert np.unique(found).tolist() == [245]


def test_a_frame_read_by_the_wrong_matrix_shows_red_as_orange():
    rgb = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    found = run("camera-bt709", encoded(rgb), ImagePipeline(width=4, height=4))
    # BT.601: Y 76, Cb 85, Cr 255. BT.709: G = 76 + .1873 * 43 - .4681 * 127 = 24.6,
    # B = 76 - 1.8556 * 43 < 0.
    assert np.unique(found.reshape(-1, 3), axis=0).tolist() == [[255, 25, 0]]


def test_a_mirrored_camera_swaps_left_and_right():
    contract = ImagePipeline(width=8, height=8)
    rgb = np.zeros((40, 40, 3), np.uint8)
    rgb[:, :20] = 255
    rgb[:10] = 128
    seen = run("camera-mirrored", encoded(rgb), contract)
    assert np.array_equal(seen, run("camera", encoded(rgb), contract)[:, ::-1])
    assert seen[-3:, -3:].min() > 250
    assert seen[-3:, :3].max() < 5


def test_large_scenes_are_filmed_at_the_frames_size():
    stripes = np.zeros((960, 1280, 3), np.uint8)
    stripes[:, ::2] = 255
    found = run("camera", encoded(stripes), ImagePipeline(width=64, height=64))
    # Two columns of the scene fall into one of the frame's.
    assert 110 < found.min() <= found.max() < 145


def test_what_no_camera_could_film_is_refused():
    with pytest.raises(PictureError, match="too narrow for a camera frame"):
        run("camera", encoded(np.zeros((1, 9, 3), np.uint8)))


def test_an_endless_intermediate_picture_is_refused():
    contract = replace(CONTRACT, order="resize_then_crop", width=8192, height=8192)
    with pytest.raises(PictureError, match="over the limit"):
        run("android", encoded(np.zeros((1, 64, 3), np.uint8)), contract)


def test_unknown_paths_are_refused_by_name():
    with pytest.raises(InputError, match=r"android, .*received 'ios'"):
        find_path("ios")


def test_headers_are_counted(pictures):
    names = [f"orientation_{number}.jpg" for number in range(1, 9)]
    names += ["orientation_invalid.jpg", "icc_wide.jpg", "icc_wide.png"]
    names += ["icc_broken.png", "text.jpg", "truncated.jpg"]
    found = count_peculiar([pictures / name for name in names])
    assert found == Peculiar(turned=7, other_colours=2)
    assert count_peculiar([Path("gone.jpg")]) == Peculiar(turned=0, other_colours=0)
