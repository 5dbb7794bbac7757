"""Recipes from a float32 .tflite file, for models that come without their network.

The TFLite converter starts from a network, so its recipes are followed here by other
means, each named in `ROUTES`. int8 and int16x8 take the very steps that the converter
takes itself after its first pass: calibrate the .tflite file, then quantise it.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgedeploy.convert.ends import append_softmax, take_bytes
from edgedeploy.errors import QuantizationError
from edgedeploy.formats.metadata import remove
from edgedeploy.formats.tflite import read_model_bytes, summarize
from edgedeploy.formats.tflite_inline import inline_buffers
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.quantize.converter import Representative, representative
from edgedeploy.quantize.cost import Cost
from edgedeploy.quantize.halve import halve_weights
from edgedeploy.quantize.layers import bias_of, read_float_model, weight_layers
from edgedeploy.quantize.layers import weights_of as read_weights
from edgedeploy.quantize.solver.grid import round_to_grid, widest_steps
from edgedeploy.quantize.write import SolvedLayer, write_solved

_BITS = 8


def requantise_variant(
    *,
    progress: Progress,
    model: str,
    recipe: str,
    pipeline: Mapping[str, Any],
    calibration: Sequence[str],
    logits: bool,
    out: str,
) -> dict[str, Any]:
    """Make a variant of a .tflite file; runs in a child process.

    Args:
        progress: Told how many calibration pictures are done.
        model: Path of the .tflite file; float32 unless the recipe is "as_is".
        recipe: A key of `ROUTES`.
        pipeline: The contract, as JSON values.
        calibration: Paths of calibration pictures; empty where none are needed.
        logits: Whether the model ends in logits; a softmax is then put behind them.
        out: Where the .tflite bytes go.

    Returns:
        What it cost, see `Cost`.

    Raises:
        QuantizationError: If the recipe cannot be made from a .tflite file.
        FormatError: If the file is damaged.
    """
    cost = Cost()
    route = ROUTES.get(recipe)
    if route is None:
        raise QuantizationError(
            f"{recipe} cannot be made from a .tflite file; there are "
            f"{', '.join(ROUTES)}, or give the network itself (.keras, SavedModel)"
        )
    data = inline_buffers(remove(read_model_bytes(Path(model))))
    if logits:
        data = append_softmax(data)
    contract = ImagePipeline.from_dict(pipeline)
    made = route(data, representative(calibration, contract, progress))
    Path(out).write_bytes(made)
    return cost.so_far()


def _as_is(data: bytes, _pictures: Representative) -> bytes:
    if "int2" in dict(summarize(data).weight_bytes):
        # Seen with LiteRT 2.3.0: a convolution of them ended the process.
        raise QuantizationError(
            "as_is: the file has 2-bit weights, at which LiteRT's convolutions can end "
            "the app; quantise the network to 4 bits or more"
        )
    return take_bytes(data)


def _keep(data: bytes, _pictures: Representative) -> bytes:
    return data


def _float16(data: bytes, _pictures: Representative) -> bytes:
    return halve_weights(data)


def _dynamic_int8(data: bytes, _pictures: Representative) -> bytes:
    """Round each layer's weights to 8 bits, a step per output channel."""
    model = read_float_model(data)
    solved = []
    for layer in weight_layers(model):
        weights = read_weights(model, layer)
        steps = widest_steps(weights, _BITS).astype(np.float32)
        solved.append(
            SolvedLayer(
                layer=layer,
                bits=_BITS,
                codes=round_to_grid(weights, steps, _BITS).astype(np.int8),
                steps=steps,
                bias=bias_of(model, layer),
            )
        )
    return write_solved(model, solved)


def _int8(data: bytes, pictures: Representative) -> bytes:
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    calibrated = _calibrator(data).calibrate(pictures)
    return bytes(
        mlir_quantize(calibrated, input_data_type=tf.uint8, output_data_type=tf.uint8)
    )


def _int16x8(data: bytes, pictures: Representative) -> bytes:
    import tensorflow as tf

    made = _calibrator(data).calibrate_and_quantize(
        pictures,
        tf.float32,
        tf.float32,
        allow_float=False,
        activations_type=tf.int16,
        bias_type=tf.int64,
    )
    return bytes(made)


def _calibrator(data: bytes) -> Any:
    from tensorflow.lite.python.optimize import calibrator

    return calibrator.Calibrator(calibrator.add_intermediate_tensors(data))


def _quietly(
    route: Callable[[bytes, Representative], bytes],
) -> Callable[[bytes, Representative], bytes]:
    """Run TensorFlow's quantiser without its chatter, its errors as ours."""

    def run(data: bytes, pictures: Representative) -> bytes:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                return route(data, pictures)
        except Exception as error:  # TensorFlow raises a dozen types here.
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise QuantizationError(
                f"TensorFlow's quantiser refuses this .tflite file ({lines[0][:200]}); "
                "leave the recipe out, or give the network itself"
            ) from error

    return run


ROUTES: dict[str, Callable[[bytes, Representative], bytes]] = {
    "as_is": _as_is,
    "float32": _keep,
    "float16": _float16,
    "dynamic_int8": _dynamic_int8,
    "int8": _quietly(_int8),
    "int16x8": _quietly(_int16x8),
}
