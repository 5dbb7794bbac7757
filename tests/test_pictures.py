"""The odd pictures of tests/data/pictures are what their README says."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

DATA = Path(__file__).parent / "data"
PICTURES = DATA / "pictures"


def load_maker() -> ModuleType:
    location = DATA / "make_pictures.py"
    spec = importlib.util.spec_from_file_location("make_pictures", location)
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    return maker


MAKER = load_maker()
UPRIGHT = MAKER.draw_upright().astype(int)


def read_pixels(name: str) -> np.ndarray:
    with Image.open(PICTURES / name) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"), int)


def test_script_makes_exactly_the_committed_pictures(tmp_path):
    MAKER.write_pictures(tmp_path)

    committed = {path.name for path in PICTURES.iterdir()} - {"README.md"}
    assert {path.name for path in tmp_path.iterdir()} == committed


def test_script_makes_the_same_bytes_twice():
    assert MAKER.make_pictures() == MAKER.make_pictures()


def test_pictures_take_a_few_kilobytes_each():
    assert all(path.stat().st_size < 5_000 for path in PICTURES.iterdir())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_shows_the_upright_picture(orientation):
    shown = read_pixels(f"orientation_{orientation}.jpg")

    assert shown.shape == (32, 48, 3)
    assert np.abs(shown - UPRIGHT).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_recorded_and_the_stored_pixels_are_turned(orientation):
    with Image.open(PICTURES / f"orientation_{orientation}.jpg") as picture:
        assert picture.getexif()[0x0112] == orientation
        assert picture.size == ((48, 32) if orientation < 5 else (32, 48))


@pytest.mark.parametrize(
    "name",
    [
        "orientation_6.png",
        "rgb16.png",
        "icc_broken.png",
        "lossless.webp",
        "plain.bmp",
    ],
)
def test_lossless_picture_is_upright_to_the_bit(name):
    np.testing.assert_array_equal(read_pixels(name), UPRIGHT)


@pytest.mark.parametrize("name", ["orientation_invalid.jpg", "progressive.jpg"])
def test_lossy_picture_is_upright(name):
    assert np.abs(read_pixels(name) - UPRIGHT).max() <= 2


def test_16_bit_grey_keeps_all_its_bits():
    with Image.open(PICTURES / "grey16.png") as picture:
        row = np.asarray(picture)[0]

    assert row.tolist() == [1285 * column for column in range(48)]


def test_16_bit_rgb_says_so_in_its_header():
    # PNG: signature 8, length 4, "IHDR" 4, width 4, height 4; then depth and type.
    content = (PICTURES / "rgb16.png").read_bytes()

    assert content[24:26] == bytes([16, 2])


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("grey.png", "L"),
        ("grey.jpg", "L"),
        ("grey_alpha.png", "LA"),
        ("palette.png", "P"),
        ("palette_transparent.png", "P"),
        ("rgba.png", "RGBA"),
        ("rgba.webp", "RGBA"),
        ("cmyk.jpg", "CMYK"),
    ],
)
def test_picture_has_the_mode_that_it_is_there_for(name, mode):
    with Image.open(PICTURES / name) as picture:
        assert picture.mode == mode


@pytest.mark.parametrize("name", ["palette_transparent.png", "colour_key.png"])
def test_only_green_is_transparent(name):
    with Image.open(PICTURES / name) as picture:
        rgba = np.asarray(picture.convert("RGBA"))
    green = (rgba[..., :3] == (0, 255, 0)).all(axis=-1)

    assert green.any()
    np.testing.assert_array_equal(rgba[..., 3] == 0, green)


def test_cmyk_columns_are_pure_inks():
    columns = read_pixels("cmyk.jpg")[:, 4::8]
    expected = [(0, 255, 255), (255, 0, 255), (255, 255, 0), (0, 0, 0)]
    expected += [(255, 255, 255)] * 2

    assert np.abs(columns - np.array(expected)).max() <= 2


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, for values above the linear toe."""
    return 1.055 * np.clip(linear, 0, 1) ** (1 / 2.4) - 0.055


@pytest.mark.parametrize(
    ("name", "tolerance"), [("icc_wide.png", 2), ("icc_wide.jpg", 4)]
)
def test_wide_profile_says_display_p3_with_gamma_2_2(name, tolerance):
    # Linear Display P3 to linear sRGB, both D65 (CSS Color 4, section 18).
    to_srgb = np.array(
        [
            [1.2249401763, -0.2249401763, 0.0],
            [-0.0420569547, 1.0420569547, 0.0],
            [-0.0196375546, -0.0786360456, 1.0982736001],
        ]
    )
    patches = np.array([(128,) * 3, (160, 110, 90), (255, 0, 0), (255,) * 3]) / 255
    expected = 255 * encode_srgb(patches**2.19921875 @ to_srgb.T)
    with Image.open(PICTURES / name) as picture:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        converted = ImageCms.profileToProfile(
            picture, profile, ImageCms.createProfile("sRGB"), renderingIntent=1
        )
    shown = np.asarray(converted, int)[8, 4::8]

    assert np.abs(shown - np.clip(expected, 0, 255)).max() <= tolerance


def test_animation_starts_red_and_goes_on_blue():
    with Image.open(PICTURES / "animated.gif") as picture:
        assert picture.n_frames == 2
        first = picture.convert("RGB").getpixel((24, 16))
        picture.seek(1)
        second = picture.convert("RGB").getpixel((24, 16))

    assert (first, second) == ((255, 0, 0), (0, 0, 255))


@pytest.mark.parametrize("name", ["truncated.jpg", "truncated.png"])
def test_truncated_picture_opens_but_does_not_load(name):
    with Image.open(PICTURES / name) as picture, pytest.raises(OSError):  # noqa: PT011
        picture.load()


@pytest.mark.parametrize("name", ["empty.jpg", "text.jpg", "header_only.jpg"])
def test_what_is_no_picture_is_not_identified(name):
    with pytest.raises(UnidentifiedImageError):
        Image.open(PICTURES / name)


def test_bomb_is_refused_from_its_header():
    assert (PICTURES / "bomb.png").stat().st_size < 100
    with pytest.raises(Image.DecompressionBombError):
        Image.open(PICTURES / "bomb.png")


def test_readme_names_every_picture():
    readme = (PICTURES / "README.md").read_text(encoding="utf-8")
    named = [p.name for p in PICTURES.iterdir() if f"`{p.name}`" in readme]
    # The table gives the eight orientations as a range.
    between = {f"orientation_{n}.jpg" for n in range(2, 8)} | {"README.md"}

    assert set(named) | between == {p.name for p in PICTURES.iterdir()}
