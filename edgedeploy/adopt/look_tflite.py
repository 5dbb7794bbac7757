"""What a .tflite file says of itself: shapes, quantisation, metadata, first operators.

Schema: TensorFlow Lite's schema.fbs, through the object API that LiteRT ships.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.adopt.found import Found, Triple
from edgedeploy.adopt.normalisation import (
    Normalisation,
    of_arithmetic,
    of_interval,
    of_picture,
)
from edgedeploy.adopt.outputs import LINEAR, SIGMOID, SOFTMAX, is_picture, judge_outputs
from edgedeploy.adopt.tflite_ends import (
    first_arithmetic,
    last_operator,
    quantised_range,
)
from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.metadata import read, remove
from edgedeploy.formats.tflite import TensorInfo, TfliteSummary, summarize
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.runtime import Model
from edgedeploy.ondevice.tensors import ModelError
from edgedeploy.specs import PICTURE

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOAT, QUANTISED = "float32", "quantised"
_NARROW = frozenset({"int8", "uint8", "int4", "int16", "float16", "bfloat16"})
_ENDS = {
    "LOGISTIC": SIGMOID,
    "SOFTMAX": SOFTMAX,
    "FULLY_CONNECTED": LINEAR,
    "CONV_2D": LINEAR,
}


def look_tflite(path: Path) -> Found:
    """Read a .tflite file, and try it on noise.

    Args:
        path: The file.

    Raises:
        InputError: If the file is damaged, or no classifier of RGB pictures.
    """
    try:
        return _look(path, path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except FormatError as error:
        raise InputError(f"{path}: not a sound .tflite file ({error})") from error


def _look(path: Path, data: bytes) -> Found:
    summary = summarize(data)
    image = _picture_input(path, summary)
    given = is_picture(summary.outputs[0].shape)
    known = read(data)
    takes = _normalisation(data, image)
    if given and takes.mean is None:
        takes = of_picture(last_operator(data))
    if known is not None and len(known.mean) in (1, 3):
        takes = Normalisation(
            mean=_triple(known.mean),
            std=_triple(known.std),
            reason="NormalizationOptions of the model's metadata",
        )
    # A size that may change is stored all the same, or as a single pixel.
    height, width = (size if size > 1 else 0 for size in image.shape[1:3])
    return Found(
        layout=QUANTISED if _is_quantised(summary, given=given) else FLOAT,
        width=width,
        height=height,
        classes=0 if given else int(summary.outputs[0].shape[-1]),
        outputs=PICTURE if given else _outputs(path, data),
        mean=takes.mean,
        std=takes.std,
        reason=takes.reason,
        assumed=takes.assumed,
        labels=known.labels if known else (),
    )


def _picture_input(path: Path, summary: TfliteSummary) -> TensorInfo:
    if len(summary.inputs) != 1 or len(summary.outputs) != 1:
        raise InputError(
            f"{path}: expected one input and one output; found {len(summary.inputs)} "
            f"and {len(summary.outputs)}"
        )
    image = summary.inputs[0]
    if len(image.shape) != 4 or image.shape[3] != 3:
        raise InputError(
            f"{path}: expected an input of shape (1, height, width, 3); found "
            f"{image.shape}. Convert it anew with channels last"
        )
    foreign = (*summary.custom_ops, *summary.flex_ops)
    if foreign:
        raise InputError(
            f"{path}: needs {', '.join(foreign)}, which plain LiteRT does not have; "
            "convert it anew with builtin operators alone"
        )
    return image


def _is_quantised(summary: TfliteSummary, *, given: bool) -> bool:
    """Whether anything is narrower than float32, so that nothing is left to narrow."""
    kinds = {dtype for dtype, _ in summary.weight_bytes}
    if given:
        # A picture goes in and comes out as bytes with float32 weights between, too.
        return bool(kinds & _NARROW)
    ends = {summary.inputs[0].dtype, summary.outputs[0].dtype}
    return bool((kinds | ends) & _NARROW)


def _normalisation(data: bytes, image: TensorInfo) -> Normalisation:
    if image.dtype == "uint8" and not image.scale:
        return Normalisation(
            mean=(0.0,) * 3, std=(1.0,) * 3, reason="its input takes bytes"
        )
    if image.dtype in ("uint8", "int8") and image.scale and image.scale[0] > 0:
        # Networks are calibrated so that one step of the input is one of a pixel.
        zero = image.zero_point[0] + (128 if image.dtype == "int8" else 0)
        mean, std = float(zero), float(np.float32(1 / image.scale[0]))
        return Normalisation(
            mean=(mean,) * 3,
            std=(std,) * 3,
            reason=f"scale and zero point of the {image.dtype} input",
        )
    known = quantised_range(data)
    if known is not None:
        return of_interval(*known)
    found = first_arithmetic(data)
    if found is None:
        return Normalisation()
    return of_arithmetic(*found, "the graph begins with arithmetic on the picture")


def _outputs(path: Path, data: bytes) -> str:
    try:
        model = Model(remove(data))
    except ModelError as error:
        raise InputError(f"{path}: {error}") from error
    height, width = model.input.shape[1:3]
    plain = ImagePipeline(width=width, height=height, std=(1.0, 1.0, 1.0))

    def answer(noise: NDArray[np.float32]) -> NDArray[Any]:
        if model.input.quantised:
            return model.scores(np.asarray(noise, np.uint8), plain)
        return model.real(model.invoke(noise))

    return judge_outputs(
        str(path), (height, width, 3), answer, last=_ENDS.get(last_operator(data), "")
    )


def _triple(values: tuple[float, ...]) -> Triple:
    first, second, third = values if len(values) == 3 else (values[0],) * 3
    return first, second, third
