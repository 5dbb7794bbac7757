"""Two machines' answers to the same questions, side by side."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import DeviceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Largest difference of an output, as a share of the largest output. Recipes that are
# missing here and give float numbers are held to their best class alone.
RELATIVE_TOLERANCES = {"float32": 1e-5, "float16": 1e-5}
_DTYPES = ("uint8", "int8", "int16", "float32")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a variant made of one picture.

    Attributes:
        question: The picture's name.
        rgb_sha256: Digest of its pixels after crop and resize.
        tensor_sha256: Digest of the input tensor.
        dtype: Of the output tensor.
        output: The output tensor's bytes.
        delegate: "XNNPACK" or "none".
        runtime: The runtime's version.
    """

    question: str
    rgb_sha256: str
    tensor_sha256: str
    dtype: str
    output: bytes
    delegate: str
    runtime: str

    def values(self) -> NDArray[Any]:
        """Give the output tensor, flat."""
        return np.frombuffer(self.output, dtype=self.dtype)


def read_answers(path: Path, *, whole: bool = True) -> dict[str, tuple[Answer, ...]]:
    """Read what `respond` wrote.

    Args:
        path: JSON lines.
        whole: Whether a last line that breaks off is an error.

    Returns:
        Answers by recipe, in the order of the questions.

    Raises:
        DeviceError: If it is malformed.
    """
    answers: dict[str, list[Answer]] = {}
    try:
        lines = path.read_text(encoding="ascii").split("\n")
        # What follows the last line break was cut off, or is nothing.
        if lines.pop() and whole:
            raise DeviceError(f"{path.name}: the answers break off")
        for line in lines:
            value = json.loads(line)
            answers.setdefault(str(value["recipe"]), []).append(_answer(value))
    except (OSError, ValueError, KeyError, TypeError, binascii.Error) as error:
        raise DeviceError(f"{path.name}: malformed answers ({error})") from error
    return {recipe: tuple(given) for recipe, given in answers.items()}


def _answer(value: Mapping[str, Any]) -> Answer:
    dtype = str(value["dtype"])
    output = base64.b64decode(str(value["output"]), validate=True)
    if dtype not in _DTYPES or len(output) % np.dtype(dtype).itemsize:
        raise DeviceError(f"an answer of dtype {dtype!r} has {len(output)} bytes")
    return Answer(
        question=str(value["input"]),
        rgb_sha256=str(value["rgb_sha256"]),
        tensor_sha256=str(value["tensor_sha256"]),
        dtype=dtype,
        output=output,
        delegate=str(value["delegate"]),
        runtime=str(value["runtime"]),
    )


def compare(
    recipe: str, desk: Sequence[Answer], device: Sequence[Answer]
) -> tuple[bool, str]:
    """Hold a device's answers of one variant against this desk's.

    Args:
        recipe: The variant.
        desk: This desk's answers.
        device: The device's.

    Returns:
        Whether all are as they should be, and one line for people.
    """
    asked = [answer.question for answer in desk]
    given = [answer.question for answer in device]
    if not asked or asked != given:
        return False, f"{len(asked)} questions asked, {len(given)} answered"
    worst = 0.0
    for ours, theirs in zip(desk, device, strict=True):
        problem = _same_setting(ours, theirs)
        if problem is None:
            problem, difference = _compare_outputs(recipe, ours, theirs)
            worst = max(worst, difference)
        if problem is not None:
            return False, f"{ours.question}: {problem}"
    return True, f"{len(asked)} answers: {_verdict(recipe, desk[0], worst)}" + (
        f"; LiteRT {device[0].runtime}, here {desk[0].runtime}"
    )


def _same_setting(ours: Answer, theirs: Answer) -> str | None:
    if ours.rgb_sha256 != theirs.rgb_sha256:
        return "its pixels after crop and resize differ"
    if _is_quantised(ours) and ours.tensor_sha256 != theirs.tensor_sha256:
        return "its input tensor differs"
    if (ours.dtype, len(ours.output)) != (theirs.dtype, len(theirs.output)):
        return (
            f"{len(theirs.output)} bytes of {theirs.dtype}; "
            f"expected {len(ours.output)} of {ours.dtype}"
        )
    if ours.delegate != theirs.delegate:
        return f"ran with delegate {theirs.delegate}; here with {ours.delegate}"
    return None


def _compare_outputs(
    recipe: str, ours: Answer, theirs: Answer
) -> tuple[str | None, float]:
    """Say what is wrong with an output, and how far it is off."""
    if _is_quantised(ours):
        different = int(np.count_nonzero(ours.values() != theirs.values()))
        problem = f"{different} of {ours.values().size} outputs differ"
        return (problem if different else None), float(different)
    difference = relative_difference(ours.values(), theirs.values())
    if recipe in RELATIVE_TOLERANCES:
        allowed = RELATIVE_TOLERANCES[recipe]
        # Written so that NaN fails.
        if not difference <= allowed:
            return f"relative difference {difference:.2g}; {allowed:g} allowed", 0.0
        return None, difference
    best, found = int(ours.values().argmax()), int(theirs.values().argmax())
    if best != found or not np.isfinite(theirs.values()).all():
        return f"the best class is {found}; expected {best}", difference
    return None, difference


def relative_difference(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Largest difference as a share of the largest of our values.

    Args:
        ours: Shape (values,), any float dtype.
        theirs: The same shape.

    Returns:
        0.0 or more; NaN or infinity where a value is.
    """
    scale = float(np.abs(ours).max(initial=0.0))
    difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    worst = float(difference.max(initial=0.0))
    return worst / scale if scale else worst


def _verdict(recipe: str, answer: Answer, worst: float) -> str:
    if _is_quantised(answer):
        return "bit for bit"
    if recipe in RELATIVE_TOLERANCES:
        allowed = RELATIVE_TOLERANCES[recipe]
        return f"relative difference {worst:.2g} of {allowed:g} allowed"
    return f"the same best class, relative difference {worst:.2g}"


def _is_quantised(answer: Answer) -> bool:
    return answer.dtype != "float32"
