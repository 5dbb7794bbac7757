import numpy as np
import pytest

from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.yuv import convert_yuyv

# (Y, Cb, Cr) of BT.601 limited range and the RGB that it stands for. The primaries are
# the colour bars' values at 100 % saturation, rounded to 8 bits as the standard
# encodes them: decoding gives them back to within that rounding.
BARS = {
    "black": ((16, 128, 128), (0, 0, 0)),
    "white": ((235, 128, 128), (255, 255, 255)),
    # 255 / 219 * (126 - 16) = 128.08
    "grey": ((126, 128, 128), (128, 128, 128)),
    "red": ((81, 90, 240), (254, 0, 0)),
    "green": ((145, 54, 34), (0, 255, 1)),
    "blue": ((41, 240, 110), (0, 0, 255)),
    "below black": ((0, 128, 128), (0, 0, 0)),
    "above white": ((255, 128, 128), (255, 255, 255)),
}


@pytest.mark.parametrize("name", BARS)
def test_known_colour_comes_out(name):
    (y, cb, cr), expected = BARS[name]
    assert convert_yuyv(bytes([y, cb, y, cr]), 2, 1, 4).tolist() == [[[*expected]] * 2]


def test_luma_is_each_pixels_own_and_colour_is_the_pairs():
    # R = 1.16438 * (16 - 16) + 1.59603 * 32 = 51.07; G = -0.81297 * 32 < 0; B = 0.
    # R = 1.16438 * (116 - 16) + 51.07 = 167.5; G = 116.44 - 26.02 = 90.4; B = 116.4.
    rgb = convert_yuyv(bytes([16, 128, 116, 160]), 2, 1, 4)
    assert rgb.tolist() == [[[51, 0, 0], [168, 90, 116]]]


def test_every_value_is_within_half_a_step_of_the_real_formula():
    """All 256 lumas with a grid of colours, against floating point."""
    y, cb, cr = np.meshgrid(
        np.arange(256), np.arange(0, 256, 5), np.arange(0, 256, 5), indexing="ij"
    )
    packed = np.stack([y, cb, y, cr], -1).astype(np.uint8).reshape(256, -1)
    rgb = convert_yuyv(packed.tobytes(), packed.shape[1] // 2, 256, packed.shape[1])
    luma = (y - 16) * (255 / 219)
    blue = (cb - 128) * (255 / 112) * (1 - 0.114)
    red = (cr - 128) * (255 / 112) * (1 - 0.299)
    # Luma is what the three weights make of RGB, so green follows from red and blue.
    green = -(0.114 * blue + 0.299 * red) / 0.587
    exact = np.stack([luma + red, luma + green, luma + blue], -1).clip(0, 255)
    found = rgb.reshape(256, -1, 2, 3)[:, :, 0].reshape(exact.shape)
    assert np.abs(found - exact).max() <= 0.51


def test_padding_at_the_end_of_rows_is_left_out():
    row = bytes([16, 128, 235, 128])
    rgb = convert_yuyv((row + b"\xff" * 3) * 2, 2, 2, 7)
    assert rgb.tolist() == [[[0] * 3, [255] * 3]] * 2


@pytest.mark.parametrize(
    ("data", "width", "height", "stride"),
    [
        (b"1234", 3, 1, 6),
        (b"1234", 0, 1, 4),
        (b"1234", 2, 0, 4),
        (b"1234", 2, 1, 3),
        (b"123", 2, 1, 4),
        (b"", 2, 1, 4),
    ],
)
def test_impossible_frame_is_refused(data, width, height, stride):
    with pytest.raises(ContractError, match="YUYV"):
        convert_yuyv(data, width, height, stride)
