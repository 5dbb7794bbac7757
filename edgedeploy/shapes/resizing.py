"""Does a model that is resized answer as one that was made for the size?

The model is loaded once and led through all sizes. Then the same file with its size
fixed is loaded for each, and gets the same pictures. Resizing must not show: not in a
bit where numbers are quantised, not in the sixth digit where they are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import ConversionError
from edgedeploy.formats.tflite_shapes import pin_size
from edgedeploy.isolate import Progress, run_isolated, silent
from edgedeploy.ondevice.runtime import Model
from edgedeploy.ondevice.shapes import InputShapes, Size, size_name
from edgedeploy.ondevice.tensors import ModelError
from edgedeploy.ondevice.trial import make_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Largest difference of a float output, of its largest value.
TOLERANCE = 1e-6
# Share of a side that counts as its border; broader than what strides cut off.
_BORDER = 6


def check_resizing(
    path: Path,
    shapes: InputShapes,
    *,
    runtime: str = "auto",
    what: str = "",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Hold a resized model against the same model fixed to each size.

    Args:
        path: A .tflite file with open height and width.
        shapes: The sizes: all of a list, the corners and a sample of a range.
        runtime: A name of `ondevice.installed.RUNTIMES`, or "auto".
        what: Subject of an error message; the file's name without one.
        progress: Told how many sizes are done.

    Returns:
        By size, such as "224x224": {"difference": largest, of the largest value}.

    Raises:
        ConversionError: If an answer differs, is no number, or does not depend on
            the picture's border.
        IsolatedError: If the runtime dies.
    """
    name = what or path.name
    sizes = shapes.tested()
    found: dict[str, dict[str, Any]] = run_isolated(
        "edgedeploy.shapes.resizing:compare_sizes",
        {
            "model": str(path),
            "sizes": [list(size) for size in sizes],
            "runtime": runtime,
        },
        what=f"resizing {name}",
        progress=progress,
    )
    for size, row in found.items():
        allowed = 0.0 if row["quantised"] else TOLERANCE
        # NaN compares false.
        if not row["difference"] <= allowed:
            raise ConversionError(
                f"{name}: resized to {size} it answers otherwise than fixed to it: by "
                f"{row['difference']:.2g}, allowed are {allowed:g}; leave the size out"
            )
        if row["ignored"]:
            raise ConversionError(
                f"{name}: at {size} the answer does not depend on the picture's "
                f"{row['ignored']} border, so the network only seems to take that "
                "size; leave it out"
            )
    return {size: {"difference": row["difference"]} for size, row in found.items()}


def compare_sizes(
    *, progress: Progress, model: str, sizes: Sequence[Sequence[int]], runtime: str
) -> dict[str, dict[str, Any]]:
    """Be the child of `check_resizing`.

    Args:
        progress: Told how many sizes are done.
        model: Path of the .tflite file.
        sizes: [width, height] of each.
        runtime: A name of `ondevice.installed.RUNTIMES`, or "auto".

    Returns:
        By size: {"difference", "quantised", "ignored": a border or ""}.
    """
    data = Path(model).read_bytes()
    resized = Model(model, runtime=runtime)
    wanted = [(int(width), int(height)) for width, height in sizes]
    pictures = {size: _picture(resized, size, seed) for seed, size in enumerate(wanted)}
    answers = {size: _answer(resized, pictures[size]) for size in wanted}
    found = {}
    # The other way round: what was asked before must not matter.
    for done, size in enumerate(reversed(wanted), start=1):
        again = _answer(resized, pictures[size])
        fixed = Model(pin_size(data, *size), runtime=runtime)
        expected = _answer(fixed, pictures[size])
        found[size_name(size)] = {
            "difference": max(
                relative_difference(answers[size], expected),
                relative_difference(again, expected),
            ),
            "quantised": resized.output.quantised,
            "ignored": _ignored_border(resized, pictures[size]),
        }
        progress(done, len(wanted))
    return dict(sorted(found.items()))


def relative_difference(answer: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest absolute difference over the largest absolute value expected.

    Args:
        answer: Any shape.
        expected: Of the same shape, or the difference is infinite.

    Returns:
        0.0 for equal values; NaN or infinity where a value is no number.
    """
    if answer.shape != expected.shape:
        return float("inf")
    own, other = answer.astype(np.float64), expected.astype(np.float64)
    largest = float(np.abs(other).max()) or 1.0
    return float(np.abs(own - other).max()) / largest


def _picture(model: Model, size: Size, seed: int) -> NDArray[Any]:
    shape = (1, size[1], size[0], *model.input.shape[3:])
    return make_input(replace(model.input, shape=shape), seed)


def _answer(model: Model, picture: NDArray[Any]) -> NDArray[Any]:
    try:
        return model.invoke(picture)
    except ModelError as error:
        size = size_name((picture.shape[2], picture.shape[1]))
        raise ConversionError(
            f"the model cannot take {size}: {error}; leave the size out"
        ) from error


def _ignored_border(model: Model, picture: NDArray[Any]) -> str:
    """Change the picture at its right and at its lower border, and look for an effect.

    Quantised answers may well stay the same, so only others are looked at.
    """
    if model.output.quantised:
        return ""
    for name, axis in (("lower", 1), ("right", 2)):
        side = picture.shape[axis]
        band = [slice(None)] * picture.ndim
        band[axis] = slice(side - max(1, side // _BORDER), side)
        if not _matters(model, picture, tuple(band)) and _matters(model, picture, ...):
            return name
    return ""


def _matters(model: Model, picture: NDArray[Any], where: Any) -> bool:
    """Whether the answer changes with a part of the picture.

    A confident answer is 1 and 0 in every bit, so the picture fades in three steps.
    """
    for fading in (1, 10, 100):
        faded = picture / np.array(fading, picture.dtype)
        changed = faded.copy()
        changed[where] = -changed[where]
        if not np.array_equal(model.invoke(faded), model.invoke(changed)):
            return True
    return False
