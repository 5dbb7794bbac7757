"""LiteRT's own quantizer on a network of a few layers, without names or signatures."""

import numpy as np
import pytest
from PIL import Image

from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.tflite import summarize
from edgedeploy.isolate import silent
from edgedeploy.ondevice.contract import ContractError, ImagePipeline
from edgedeploy.ondevice.runtime import Model
from edgedeploy.quantize import litert_int8

SIDE = 16
CONTRACT = ImagePipeline(width=SIDE, height=SIDE)
PICTURES = 16


@pytest.fixture(scope="module")
def quantizer():
    return pytest.importorskip(
        "litert_quantizer", reason='int8_lq needs pip install "edgedeploy[lq]"'
    )


@pytest.fixture
def photos(tmp_path):
    """Grey noise, but one pixel of the first is black and one of the second white."""
    random = np.random.default_rng(3)
    paths = []
    for number in range(PICTURES):
        pixels = random.integers(100, 150, (SIDE, SIDE, 3), np.uint8)
        if number < 2:
            pixels[0, 0] = 255 * number
        paths.append(tmp_path / f"{number:02}.png")
        Image.fromarray(pixels).save(paths[-1])
    return [str(path) for path in paths]


def quantize(tmp_path, data, photos):
    source, out = tmp_path / "float32.tflite", tmp_path / "int8.tflite"
    source.write_bytes(data)
    cost = litert_int8.quantize_with_litert(
        progress=silent,
        model=str(source),
        pipeline=CONTRACT.to_dict(),
        calibration=photos,
        out=str(out),
    )
    return out, cost


@pytest.mark.usefixtures("quantizer")
@pytest.mark.parametrize("dead_channel", [False, True])
def test_a_quantised_network_takes_pixels_and_answers_like_float32(
    tmp_path, float_network, photos, dead_channel
):
    data = float_network(dead_channel=dead_channel)
    out, cost = quantize(tmp_path, data, photos)
    summary = summarize(out)
    assert (summary.inputs[0].dtype, summary.outputs[0].dtype) == ("uint8", "uint8")
    kinds = dict(summary.weight_bytes)
    # All four layers: 16x27, 16x9, 32x16 and 4x32 weights.
    assert kinds["int8"] >= 432 + 144 + 512 + 128
    assert kinds.get("float32", 0) == 0
    noise = np.random.default_rng(4).integers(100, 150, (20, SIDE, SIDE, 3), np.uint8)
    exact, made = Model(data), Model(out)
    for pixels in noise:
        expected = exact.scores(pixels[None], CONTRACT)
        # Output steps are 1/256; activations of 8 bits add a few of them.
        np.testing.assert_allclose(
            made.scores(pixels[None], CONTRACT), expected, atol=6 / 256
        )
    assert cost["peak_rss_bytes"] > 10e6
    assert cost["cpu_s"] > 0


@pytest.mark.usefixtures("quantizer")
def test_ranges_are_the_least_and_greatest_seen_and_no_average(
    tmp_path, float_network, photos
):
    out, _ = quantize(tmp_path, float_network(), photos)
    image = summarize(out).inputs[0]
    # One pixel of 0 and one of 255 in 16 pictures: 0..1 in 255 steps.
    assert image.scale == pytest.approx((1 / 255,), rel=1e-5)
    assert image.zero_point == (0,)


@pytest.mark.usefixtures("quantizer")
def test_the_same_pictures_give_the_same_bytes(tmp_path, float_network, photos):
    first = quantize(tmp_path, float_network(), photos)[0].read_bytes()
    assert quantize(tmp_path, float_network(), photos)[0].read_bytes() == first


@pytest.mark.usefixtures("quantizer")
def test_what_cannot_be_read_is_named(tmp_path, float_network, photos):
    with pytest.raises(FormatError):
        quantize(tmp_path, float_network()[:500], photos)
    (tmp_path / "00.png").write_bytes(b"no picture")
    with pytest.raises(ContractError, match=r"00\.png"):
        quantize(tmp_path, float_network(), photos)


def test_a_missing_quantizer_is_one_line_with_the_command(monkeypatch):
    monkeypatch.setattr(litert_int8, "PACKAGE", "a-package-that-nobody-has")
    with pytest.raises(InputError, match=r'pip install "edgedeploy\[lq\]"'):
        litert_int8.quantizer_version()
