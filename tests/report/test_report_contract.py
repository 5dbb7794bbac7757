"""The contract in words."""

import dataclasses

import pytest

from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.report.contract import describe_contract, tabulate_contract

LITE0 = ImagePipeline(
    width=224,
    height=224,
    crop_fraction=0.875,
    kernel="bicubic",
    mean=(127.0, 127.0, 127.0),
    std=(128.0, 128.0, 128.0),
)
TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"


def test_crop_then_resize_is_told_in_order():
    words = describe_contract(LITE0).replace("\N{NO-BREAK SPACE}", " ")
    assert "upright by its EXIF tag" in words
    assert "converted to sRGB" in words
    assert "over white" in words
    assert (
        "The largest centred square is taken, 87.5 % of its side is kept and resized "
        f"to 224 {TIMES} 224 pixels with an antialiased bicubic kernel." in words
    )
    assert f"becomes (x {MINUS} 127) / 128, in RGB order." in words


def test_resize_then_crop_is_told_in_the_other_order():
    words = describe_contract(dataclasses.replace(LITE0, order="resize_then_crop"))
    assert words.index("is resized") < words.index("then cut out")


@pytest.mark.parametrize(
    ("mean", "std", "formula"),
    [
        ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0), "becomes x / 255,"),
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "becomes x,"),
        ((127.5, 127.5, 127.5), (1.0, 1.0, 1.0), f"becomes x {MINUS} 127.5,"),
        ((-2.0, -2.0, -2.0), (4.0, 4.0, 4.0), "becomes (x + 2) / 4,"),
        (
            (123.675, 116.28, 103.53),
            (58.395, 57.12, 57.375),
            f"red (x {MINUS} 123.675) / 58.395, green (x {MINUS} 116.28) / 57.12, "
            f"blue (x {MINUS} 103.53) / 57.375",
        ),
    ],
)
def test_normalisation_is_told_as_a_formula(mean, std, formula):
    assert formula in describe_contract(dataclasses.replace(LITE0, mean=mean, std=std))


def test_bgr_ignored_exif_and_squashing_are_told():
    words = describe_contract(
        dataclasses.replace(
            LITE0,
            channels="bgr",
            orientation="ignore",
            icc="ignore",
            crop="none",
            crop_fraction=1.0,
            antialias=False,
            alpha_over=(1, 2, 3),
        )
    )
    assert "BGR order" in words
    assert "taken as stored" in words
    assert "colour profile is ignored" in words
    assert "The whole picture, whatever its shape, is resized" in words
    assert "a plain bicubic kernel" in words
    assert "rgb(1, 2, 3)" in words


def test_table_names_every_field_of_the_contract():
    names = [name for name, _ in tabulate_contract(LITE0)]
    # All thirteen fields, with width and height as one output, and the digest.
    assert len(names) == len(dataclasses.fields(LITE0)) - 1 + 1
    assert ("digest", LITE0.digest()) in tabulate_contract(LITE0)
