"""The TFLite converter, set up for a network of the catalogue."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

from edgedeploy.architectures import build
from edgedeploy.convert.flexible import make_flexible
from edgedeploy.errors import ConversionError
from edgedeploy.ondevice.shapes import InputShapes, Size

# How the converter names operators that its allowed sets do not hold.
_FOREIGN = re.compile(r"^(?:TF Select|Custom) ops: (.+)$", re.MULTILINE)
_REASON_LENGTH = 300


def converter_for(
    architecture: str,
    layout: str,
    weights: Path,
    *,
    shapes: InputShapes | None = None,
    default: Size = (0, 0),
    logits: bool = False,
) -> Any:
    """Set up the TFLite converter for a network.

    Only builtin operators are allowed, so the file runs in plain LiteRT.

    Args:
        architecture: Module under `edgedeploy.architectures`.
        layout: How the weights file is organised.
        weights: The fetched file or folder.
        shapes: The sizes of picture that it has to take, or None for its own.
        default: (width, height) of the pipeline's pictures; taken with shapes, and
            where the network leaves its size open.
        logits: Whether it ends in logits; a softmax is then put behind them.

    Returns:
        A `tf.lite.TFLiteConverter` that has not converted yet.

    Raises:
        ConversionError: If the network cannot take the shapes.
    """
    import keras
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = build(architecture, weights, layout)
    if logits:
        softmax = keras.layers.Softmax(name="probabilities")
        model = keras.Model(model.input, softmax(model.output))
    if shapes is not None:
        model = make_flexible(model, shapes, default)
    elif None in model.input_shape[1:3] and all(default):
        # LiteRT would otherwise make room for a picture of one pixel.
        image = keras.Input((default[1], default[0], 3), name="image")
        model = keras.Model(image, model(image))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def run_converter(converter: Any, what: str) -> bytes:
    """Convert, without the converter's chatter.

    Args:
        converter: A configured `tf.lite.TFLiteConverter`.
        what: Subject of an error message.

    Returns:
        The .tflite file's bytes.

    Raises:
        ConversionError: If TensorFlow gives up; the operators that LiteRT lacks, or
            else TensorFlow's own reason, are in the message.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return bytes(converter.convert())
    except Exception as error:  # TensorFlow raises a dozen types here.
        text = str(error)
        foreign = [
            name.strip()
            for names in _FOREIGN.findall(text)
            for name in names.split(",")
        ]
        if foreign:
            raise ConversionError(
                f"{what}: the network needs {', '.join(sorted(set(foreign)))}, which "
                "plain LiteRT does not have; replace the layers that use it"
            ) from error
        raise ConversionError(
            f"{what}: the TFLite converter failed "
            f"({_reason(text) or type(error).__name__})"
        ) from error


def _reason(text: str) -> str:
    """Find the telling line: MLIR's first error, or else a traceback's last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.partition("error: ")[2] for line in lines if "error: " in line]
    return (errors or lines[-1:] or [""])[0][:_REASON_LENGTH]
