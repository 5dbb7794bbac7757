"""Camera frames: by hand, against Pillow, and against the bundle's own YUYV reader."""

import numpy as np
import pytest
from PIL import Image

from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.yuv import convert_yuyv
from edgedeploy.skew.camera import YuvFrame, convert_frame, make_frame, turn


def frame(luma, cb, cr, **changes):
    """Two by two pixels of one colour, planes apart."""
    fields = {"y": bytes(luma), "u": bytes([cb]), "v": bytes([cr])}
    fields |= {"width": 2, "height": 2, "y_row_stride": 2, "uv_row_stride": 1}
    return YuvFrame(**({**fields, "uv_pixel_stride": 1} | changes))


@pytest.mark.parametrize(
    ("pixel", "choice", "rgb"),
    [
        ((77, 128, 128), {}, (77, 77, 77)),
        # 128 + 1.402 * 100 = 268; 128 - 0.714136 * 100 = 56.6.
        ((128, 128, 228), {}, (255, 57, 128)),
        # 100 - 0.344136 * 50 = 82.8; 100 + 1.772 * 50 = 188.6.
        ((100, 178, 128), {}, (100, 83, 189)),
        ((235, 128, 128), {"levels": "limited"}, (255, 255, 255)),
        ((16, 128, 128), {"levels": "limited"}, (0, 0, 0)),
        # 1.16438 * 65 = 75.68; + 1.59603 * 112 = 254.4; green and blue under 0.
        ((81, 90, 240), {"levels": "limited"}, (254, 0, 0)),
        # 126.918 + 1.79274 * 50 = 216.6; 126.918 - 0.532909 * 50 = 100.3.
        ((125, 128, 178), {"matrix": "bt709", "levels": "limited"}, (217, 100, 127)),
        # 100 + 1.5748 * 50 = 178.7; 100 - 0.468124 * 50 = 76.6.
        ((100, 128, 178), {"matrix": "bt709"}, (179, 77, 100)),
    ],
)
def test_colours_by_hand(pixel, choice, rgb):
    luma, cb, cr = pixel
    seen = convert_frame(frame([luma] * 4, cb, cr), **choice)
    assert seen.shape == (2, 2, 3)
    assert [tuple(value) for value in seen.reshape(4, 3)] == [rgb] * 4


def test_strides_are_followed_and_what_lies_between_is_not_read():
    # Four by two pixels; rows of luma end in two bytes of rubbish, colour is NV12.
    interleaved = bytes([128, 128, 178, 228])
    seen = convert_frame(
        YuvFrame(
            y=bytes([10, 20, 30, 40, 255, 255, 50, 60, 70, 80]),
            u=interleaved,
            v=interleaved[1:],
            width=4,
            height=2,
            y_row_stride=6,
            uv_row_stride=9,
            uv_pixel_stride=2,
        )
    )
    assert seen[:, :2].tolist() == [[[10] * 3, [20] * 3], [[50] * 3, [60] * 3]]
    # Cb 178 and Cr 228 on luma 30: 170.2, 30 - 17.2 - 71.4 < 0, 118.6.
    assert seen[0, 2].tolist() == [170, 0, 119]


def test_full_range_equals_pillows():
    random = np.random.default_rng(0)
    luma, cb, cr = random.integers(0, 256, (3, 500))
    own = [
        convert_frame(frame([y] * 4, u, v))[0, 0]
        for y, u, v in zip(luma, cb, cr, strict=True)
    ]
    planes = np.stack([luma, cb, cr], -1).astype(np.uint8)[None]
    pillow = np.asarray(Image.fromarray(planes, "YCbCr").convert("RGB"))[0]
    # Pillow's tables are of 6 bits; one step off is theirs.
    assert np.abs(np.array(own, int) - pillow).max() <= 1


def test_limited_range_equals_the_usb_cameras():
    random = np.random.default_rng(1)
    for y, u, v in random.integers(0, 256, (300, 3)).tolist():
        own = convert_frame(frame([y] * 4, u, v), levels="limited")
        usb = convert_yuyv(bytes([y, u, y, v]), 2, 1, 4)
        assert own[0, 0].tolist() == usb[0, 0].tolist()


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize(("levels", "bound"), [("full", 2), ("limited", 3)])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 5)])
def test_a_picture_of_large_areas_survives_a_frame(
    matrix, levels, bound, stride, padding
):
    colours = np.random.default_rng(2).integers(0, 256, (3, 4, 3)).astype(np.uint8)
    picture = np.repeat(np.repeat(colours, 2, 0), 2, 1)
    made = make_frame(
        picture, matrix=matrix, levels=levels, pixel_stride=stride, padding=padding
    )
    seen = convert_frame(made, matrix=matrix, levels=levels).astype(int)
    assert np.abs(seen - picture).max() <= bound


def test_the_wrong_matrix_and_the_wrong_range_show():
    red = np.full((2, 2, 3), (200, 30, 30), np.uint8)
    made = make_frame(red)
    for choice in ({"matrix": "bt709"}, {"levels": "limited"}):
        seen = convert_frame(made, **choice).astype(int)
        assert np.abs(seen - red).max() > 10


def test_an_odd_row_and_column_are_left_out():
    made = make_frame(np.zeros((5, 7, 3), np.uint8))
    assert (made.width, made.height) == (6, 4)


def test_turning_is_clockwise_and_mirroring_comes_last():
    picture = np.arange(6, dtype=np.uint8).reshape(2, 3, 1).repeat(3, 2)
    assert turn(picture, 90)[..., 0].tolist() == [[3, 0], [4, 1], [5, 2]]
    assert turn(picture, 180)[..., 0].tolist() == [[5, 4, 3], [2, 1, 0]]
    assert turn(picture, 270)[..., 0].tolist() == [[2, 5], [1, 4], [0, 3]]
    mirrored = turn(picture, 90, mirrored=True)[..., 0]
    assert mirrored.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert np.array_equal(turn(turn(picture, 90), 270), picture)


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 3},
        {"height": 0},
        {"width": -2},
        {"y": b"123"},
        {"u": b""},
        {"y_row_stride": 1},
        {"y_row_stride": -2},
        {"uv_pixel_stride": 0},
        {"uv_row_stride": 0},
        {"width": 4, "y_row_stride": 4, "y": bytes(8)},
    ],
)
def test_impossible_frames_are_refused(changes):
    with pytest.raises(ContractError):
        frame([0] * 4, 0, 0, **changes)


def test_unknown_choices_are_refused():
    black = frame([0] * 4, 128, 128)
    with pytest.raises(ContractError, match="bt601 or bt709"):
        convert_frame(black, matrix="bt2020")
    with pytest.raises(ContractError, match="full or limited"):
        make_frame(np.zeros((2, 2, 3), np.uint8), levels="tv")
    with pytest.raises(ContractError, match="received 45"):
        turn(np.zeros((2, 2, 3), np.uint8), 45)
