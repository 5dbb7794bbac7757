"""Pictures in the tensor's memory, held against the contract's own arithmetic."""

import numpy as np
import pytest

from edgedeploy.evaluate.feeding import tensor_filler
from edgedeploy.ondevice.contract import ImagePipeline, normalise, quantise
from edgedeploy.ondevice.tensors import TensorInfo

HEIGHT, WIDTH = 5, 7
PIPELINES = {
    "0..1": {},
    "-1..1": {"mean": (127.5,) * 3, "std": (127.5,) * 3},
    "imagenet": {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
    "0..255": {"std": (1.0,) * 3},
}


def tensor(dtype, scale=0.0, zero_point=0):
    return TensorInfo(
        name="x",
        shape=(1, HEIGHT, WIDTH, 3),
        dtype=dtype,
        scale=scale,
        zero_point=zero_point,
    )


def pictures():
    """Noise, and every value of a byte."""
    noise = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    rows = np.arange(8 * HEIGHT * WIDTH * 3, dtype=np.uint8)
    return [noise, *rows.reshape(8, HEIGHT, WIDTH, 3)]


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize(
    "info",
    [
        tensor("float32"),
        tensor("uint8", 1 / 255),
        tensor("uint8", 1 / 127.5, 127),
        tensor("uint8", 0.0371, 114),
        tensor("int8", 1 / 255, -128),
        tensor("int16", 2.0 / 65535),
    ],
    ids=lambda info: f"{info.dtype}-{info.zero_point}-{info.scale:.3g}",
)
def test_tensor_holds_the_contracts_bits(info, name, channels):
    pipeline = ImagePipeline(
        width=WIDTH, height=HEIGHT, channels=channels, **PIPELINES[name]
    )
    fill = tensor_filler(pipeline, info)
    for rgb in pictures():
        target = np.full(info.shape, 77, info.dtype)
        fill(rgb, target)
        expected = (
            quantise(
                rgb,
                pipeline,
                dtype=info.dtype,
                scale=info.scale,
                zero_point=info.zero_point,
            )
            if info.quantised
            else normalise(rgb, pipeline)
        )
        assert target[0].tobytes() == expected.tobytes()


def test_a_value_by_hand():
    pipeline = ImagePipeline(
        width=1, height=1, channels="bgr", mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 8.0)
    )
    target = np.zeros((1, 1, 1, 3), np.float32)
    fill = tensor_filler(pipeline, tensor("float32"))
    fill(np.array([[[12, 28, 54]]], np.uint8), target)
    assert target.ravel().tolist() == [3.0, 2.0, 1.0]
