"""What the converter cannot do is one clear error."""

import numpy as np
import pytest

from edgedeploy.convert.converter import run_converter
from edgedeploy.errors import ConversionError, WeightsError
from edgedeploy.isolate import run_isolated, silent
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.quantize.converter import convert_variant

PIPELINE = ImagePipeline(width=16, height=16)


def arguments(weights, out, recipe="float32", calibration=()):
    return {
        "architecture": "keras_file",
        "layout": "keras",
        "weights": str(weights),
        "recipe": recipe,
        "pipeline": PIPELINE.to_dict(),
        "calibration": [str(path) for path in calibration],
        "out": str(out),
    }


@pytest.fixture
def convert(monkeypatch):
    """Convert in this process, where TensorFlow has long begun."""
    import tensorflow as tf

    monkeypatch.setattr(
        tf.config.threading, "set_inter_op_parallelism_threads", lambda _: None
    )
    return lambda *given, **named: convert_variant(
        progress=silent, **arguments(*given, **named)
    )


def save_network(path, *middle):
    import keras

    image = keras.Input((16, 16, 3), name="image")
    x = keras.layers.Conv2D(4, 3)(image)
    for operation in middle:
        x = operation(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    keras.Model(image, keras.layers.Dense(3, activation="softmax")(x)).save(path)
    return path


def test_operator_that_litert_lacks_is_named_by_the_child(tmp_path):
    import keras

    weights = save_network(
        tmp_path / "net.keras",
        lambda x: keras.ops.erfinv(keras.ops.clip(x, -0.9, 0.9)),
    )
    with pytest.raises(ConversionError) as caught:
        run_isolated(
            "edgedeploy.quantize.converter:convert_variant",
            arguments(weights, tmp_path / "out.tflite"),
            what="converting float32",
        )
    message = str(caught.value)
    assert "float32: the network needs Erfinv" in message
    assert "replace the layers" in message
    assert "\n" not in message
    assert not (tmp_path / "out.tflite").exists()


def test_calibration_picture_that_vanished_is_named(convert, tmp_path):
    weights = save_network(tmp_path / "net.keras")
    with pytest.raises(ConversionError, match=r"gone\.png"):
        convert(
            weights,
            tmp_path / "out.tflite",
            "int8",
            calibration=[tmp_path / "gone.png"],
        )


def test_weights_that_are_no_network_are_an_error_of_the_weights(convert, tmp_path):
    (tmp_path / "net.keras").write_bytes(np.random.default_rng(0).bytes(500))
    with pytest.raises(WeightsError, match=r"net\.keras"):
        convert(tmp_path / "net.keras", tmp_path / "out.tflite")


class Raising:
    """A converter that gives up with the text that TensorFlow's gave."""

    def __init__(self, text):
        self.text = text

    def convert(self):
        raise RuntimeError(self.text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "Could not translate.<unknown>:0: error: failed while converting: \n"
            "TF Select ops: Erfinv, Betainc\nCustom ops: Mine\nDetails:\n\ttf.Mine()\n",
            "needs Betainc, Erfinv, Mine, which plain LiteRT does not have",
        ),
        (
            "<unknown>:0: error: loc(x): 'tfl.max_pool_2d' op is odd\n"
            "<unknown>:0: note: see current operation: \n}) : () -> ()",
            r"loc\(x\): 'tfl.max_pool_2d' op is odd",
        ),
        (
            "in user code:\n\n  File x\n  ValueError: bad shape\n",
            "ValueError: bad shape",
        ),
        ("", "RuntimeError"),
    ],
)
def test_reason_is_the_telling_line(text, reason):
    with pytest.raises(ConversionError, match=reason):
        run_converter(Raising(text), "int8")


def test_reason_of_a_megabyte_is_cut():
    with pytest.raises(ConversionError) as caught:
        run_converter(Raising("x" * 1_000_000), "int8")
    assert len(str(caught.value)) < 400
