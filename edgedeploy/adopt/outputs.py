"""Are a classifier's outputs probabilities, logits, or neither?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import InputError
from edgedeploy.specs import LOGITS, PROBABILITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

# Of an output that is a picture: the batch, rows, columns and colours.
_PICTURE_AXES, _COLOURS = 4, 3
SOFTMAX, SIGMOID, LINEAR = "softmax", "sigmoid", "linear"
_SUM_OFF = 0.01
_TRIALS = 6


def is_picture(shape: Sequence[int | None]) -> bool:
    """Whether an output of this shape is a picture rather than a row of classes.

    Args:
        shape: With the batch first; None where a size is open.
    """
    return len(shape) == _PICTURE_AXES and shape[-1] == _COLOURS


def judge_outputs(
    name: str,
    shape: tuple[int, ...],
    answer: Callable[[NDArray[np.float32]], NDArray[Any]],
    *,
    last: str = "",
) -> str:
    """Try a network on noise, and see whether its answers add up to 1.

    Args:
        name: The file, for messages.
        shape: Of one input: height, width and 3.
        answer: The network: float32 of shape (1, height, width, 3) to (1, classes).
        last: "softmax", "sigmoid" or "linear", where the network is seen to end so;
            else the answers alone decide. A quantised softmax over many classes does
            not add up, and logits may lie within 0..1 by chance.

    Returns:
        "probabilities" or "logits".

    Raises:
        InputError: If it ends in a sigmoid, or its answers are no rows of classes.
    """
    random = np.random.default_rng(0)
    rows = []
    for trial in range(_TRIALS):
        # Of several ranges, since which one it takes is not known yet.
        most = (1.0, 2.0, 255.0)[trial % 3]
        noise = random.random((1, *shape), np.float32) * most
        rows.append(np.asarray(answer(noise), np.float64))
    if any(row.ndim != 2 or len(row) != 1 for row in rows):
        raise InputError(
            f"{name}: expected an output of shape (1, classes); found {rows[0].shape}. "
            "End the network in one row of classes (Flatten)"
        )
    scores = np.concatenate(rows)
    sums = scores.sum(axis=1)
    adds_up = bool(scores.min() >= 0 and np.abs(sums - 1).max() <= _SUM_OFF)
    within = bool(scores.min() >= 0 and 0 < scores.max() <= 1)
    known = last in (SOFTMAX, LINEAR)
    sigmoid = last == SIGMOID or (within and not adds_up and not known)
    if scores.shape[1] < 2 or sigmoid:
        raise InputError(
            f"{name}: ends in {scores.shape[1]} independent answers (a sigmoid), but "
            "one picture has one class here; end the network in a softmax over all "
            "classes (two for yes and no)"
        )
    return PROBABILITIES if adds_up or last == SOFTMAX else LOGITS
