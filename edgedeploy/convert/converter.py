"""The TFLite converter, set up for a network of the catalogue."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from edgedeploy.architectures import build
from edgedeploy.errors import ConversionError


def converter_for(architecture: str, layout: str, weights: Path) -> Any:
    """Set up the TFLite converter for a network.

    Only builtin operators are allowed, so the file runs in plain LiteRT.

    Args:
        architecture: Module under `edgedeploy.architectures`.
        layout: How the weights file is organised.
        weights: The fetched file or folder.

    Returns:
        A `tf.lite.TFLiteConverter` that has not converted yet.
    """
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = build(architecture, weights, layout)
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
        ConversionError: If TensorFlow gives up; its last line is in the message.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return bytes(converter.convert())
    except Exception as error:  # TensorFlow raises a dozen types here.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[-1][:300] if lines else type(error).__name__
        raise ConversionError(
            f"{what}: the TFLite converter failed ({reason})"
        ) from error
