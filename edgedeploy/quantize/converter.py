"""Recipes that the TFLite converter itself can follow.

Post-training quantisation: Jacob et al. 2018, "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference"; weights per channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgedeploy.convert.converter import converter_for, run_converter
from edgedeploy.errors import QuantizationError
from edgedeploy.formats.tflite_shapes import begin_with_size
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.contract import ImagePipeline, normalise
from edgedeploy.ondevice.pictures import prepare
from edgedeploy.ondevice.shapes import InputShapes
from edgedeploy.quantize.cost import Cost

Representative = Callable[[], Iterator[list[Any]]]


def convert_variant(
    *,
    progress: Progress,
    architecture: str,
    layout: str,
    weights: str,
    recipe: str,
    pipeline: Mapping[str, Any],
    calibration: Sequence[str],
    out: str,
    shapes: Mapping[str, Any] | None = None,
    logits: bool = False,
) -> dict[str, Any]:
    """Convert a network by one recipe; runs in a child process.

    Args:
        progress: Told how many calibration pictures are done.
        architecture: Module under `edgedeploy.architectures`.
        layout: How the weights file is organised.
        weights: Path of the fetched file or folder.
        recipe: A key of `SETTINGS`.
        pipeline: The contract, as JSON values.
        calibration: Paths of calibration pictures; empty where none are needed.
        out: Where the .tflite bytes go.
        shapes: The sizes of picture to take, as JSON values; None for the
            pipeline's alone. Calibration uses the pipeline's.
        logits: Whether the network ends in logits.

    Returns:
        What it cost, see `Cost`.

    Raises:
        QuantizationError: If the converter knows no such recipe.
        ConversionError: If the converter fails, or the network cannot take the shapes.
    """
    cost = Cost()
    if recipe not in SETTINGS:
        raise QuantizationError(f"the TFLite converter has no recipe {recipe}")
    contract = ImagePipeline.from_dict(pipeline)
    converter = converter_for(
        architecture,
        layout,
        Path(weights),
        shapes=None if shapes is None else InputShapes.from_dict(shapes),
        default=(contract.width, contract.height),
        logits=logits,
    )
    SETTINGS[recipe](converter, representative(calibration, contract, progress))
    data = run_converter(converter, recipe)
    if shapes is not None:
        data = begin_with_size(data, contract.width, contract.height)
    Path(out).write_bytes(data)
    return cost.so_far()


def representative(
    calibration: Sequence[str], pipeline: ImagePipeline, progress: Progress
) -> Representative:
    """Give the pictures exactly as the contract prepares them for inference.

    Args:
        calibration: Paths of the pictures.
        pipeline: The contract.
        progress: Told how many are done.

    Returns:
        What TensorFlow takes as representative_dataset: float32 tensors of shape
        (1, height, width, 3).
    """

    def representative_dataset() -> Iterator[list[Any]]:
        for done, path in enumerate(calibration, start=1):
            yield [normalise(prepare(path, pipeline), pipeline)[None]]
            progress(done, len(calibration))

    return representative_dataset


def _float32(_converter: Any, _pictures: Representative) -> None:
    """Leave everything as trained."""


def _float16(converter: Any, _pictures: Representative) -> None:
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _dynamic_int8(converter: Any, _pictures: Representative) -> None:
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def _int8(converter: Any, pictures: Representative) -> None:
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = pictures
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8


def _int16x8(converter: Any, pictures: Representative) -> None:
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = pictures
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ]


SETTINGS: dict[str, Callable[[Any, Representative], None]] = {
    "float32": _float32,
    "float16": _float16,
    "dynamic_int8": _dynamic_int8,
    "int8": _int8,
    "int16x8": _int16x8,
}
