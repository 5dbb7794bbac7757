import numpy as np
import pytest
from colour_networks import HEIGHT, WIDTH, colour_networks

from edgedeploy.convert.ends import append_softmax, take_bytes
from edgedeploy.errors import FormatError
from edgedeploy.formats.tflite import summarize
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.runtime import Model

SHAPE = (1, HEIGHT, WIDTH, 3)


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def test_softmax_makes_probabilities_of_logits():
    data = (colour_networks() / "logits.tflite").read_bytes()
    image = np.random.default_rng(0).uniform(-1, 1, SHAPE).astype(np.float32)
    logits = Model(data).invoke(image)
    scores = Model(append_softmax(data)).invoke(image)
    np.testing.assert_allclose(scores, softmax(logits), atol=1e-6)


def test_softmax_behind_int8_logits_gives_real_probabilities():
    # Its outputs add up already; what counts is that they are softened once more.
    data = (colour_networks() / "int8.tflite").read_bytes()
    image = np.random.default_rng(0).integers(-128, 128, SHAPE, np.int8)
    before = Model(data)
    given = before.real(before.invoke(image))
    after = Model(append_softmax(data))
    assert after.output.dtype == "float32"
    np.testing.assert_allclose(after.invoke(image), softmax(given), atol=1e-6)


def test_int8_ends_become_uint8_and_no_answer_changes():
    data = (colour_networks() / "int8.tflite").read_bytes()
    pixels = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    before, after = Model(data), Model(take_bytes(data))
    assert (after.input.dtype, after.output.dtype) == ("uint8", "uint8")
    shifted = (pixels.astype(np.int16) - 128).astype(np.int8)
    expected = before.invoke(shifted).astype(np.int16) + 128
    np.testing.assert_array_equal(after.invoke(pixels), expected)
    contract = ImagePipeline(width=WIDTH, height=HEIGHT, mean=(127.5,) * 3)
    np.testing.assert_allclose(
        after.scores(pixels, contract), before.scores(pixels, contract), atol=1e-6
    )


def test_float_ends_stay():
    data = (colour_networks() / "plain.tflite").read_bytes()
    again = take_bytes(data)
    assert summarize(again).operators == summarize(data).operators


@pytest.mark.parametrize("edit", [append_softmax, take_bytes])
def test_damaged_file_is_an_error(edit):
    data = (colour_networks() / "plain.tflite").read_bytes()
    with pytest.raises(FormatError):
        edit(data[: len(data) // 2])
