"""What right and wrong answers say about each axis, and what they cannot say.

All comparisons are paired: every candidate answered the same pictures. A value of an
axis is ruled out when its best candidate loses to the winner by McNemar's exact test,
with Holm's correction (1979) for the number of comparisons. Before any of that, the
winner has to beat an answer that looks at no picture: where nearly all pictures show
one class, a wrong contract that makes the network answer it always scores higher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.detect.candidates import Candidate
from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.intervals import (
    mcnemar_p,
    paired_drop_interval,
    wilson_interval,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA = 0.05

Right = Mapping[Candidate, "NDArray[np.bool_]"]


def best(right: Right) -> Candidate:
    """The candidate with most right answers; ties go to the one given first."""
    return max(right, key=lambda candidate: int(right[candidate].sum()))


def compare(right: NDArray[np.bool_], other: NDArray[np.bool_]) -> dict[str, Any]:
    """Compare two candidates' answers to the same pictures.

    Args:
        right: Whether the first was right, shape (images,).
        other: The same of the second.

    Returns:
        {"drop", "drop_ci95", "p"}: what the second loses, as fractions, with Tango's
        interval and McNemar's exact p-value.
    """
    losses = int(np.sum(right & ~other))
    gains = int(np.sum(~right & other))
    low, high = paired_drop_interval(losses, gains, len(right))
    return {
        "drop": (losses - gains) / len(right),
        "drop_ci95": [low, high],
        "p": mcnemar_p(losses, gains),
    }


def blind_spot(right: NDArray[np.bool_], labels: NDArray[np.int64]) -> str | None:
    """Say why these pictures cannot tell contracts apart, or None if they can.

    Args:
        right: Whether the winner was right, shape (images,).
        labels: True classes, shape (images,).

    Raises:
        EvaluationError: If there are no pictures.
    """
    if not len(labels):
        raise EvaluationError("the detective needs labelled pictures; found 0")
    classes, counts = np.unique(labels, return_counts=True)
    constant = labels == classes[np.argmax(counts)]
    found = compare(right, constant)
    if found["p"] < ALPHA and found["drop"] > 0:
        return None
    share = 100 * float(np.mean(constant))
    return (
        f"the best contract is right on {100 * float(np.mean(right)):.1f} %, and who "
        f"always answers the most frequent class is on {share:.1f} %; take pictures "
        "of more classes"
    )


def judge_axes(right: Right, axes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Judge every value of every axis against the winner.

    Args:
        right: Right answers of each candidate.
        axes: What to judge; all candidates have them.

    Returns:
        By axis: {"found": the winner's value, or None, "ties": values that cannot be
        ruled out, the winner's among them, "values": {value: {"top1", "top1_ci95",
        "drop", "drop_ci95", "p"}}}; `drop` is the cost of this value with the
        winner's on all other axes, `p` the corrected one of the value's best
        candidate.
    """
    winner = best(right)
    rivals = {
        (axis, value): max(
            (one for one in right if one.value(axis) == value),
            key=lambda one: int(right[one].sum()),
        )
        for axis in axes
        for value in dict.fromkeys(one.value(axis) for one in right)
        if value != winner.value(axis)
    }
    corrected = holm(
        {
            key: compare(right[winner], right[rival])["p"]
            for key, rival in rivals.items()
        }
    )
    return {axis: _judge_axis(axis, right, winner, corrected) for axis in axes}


def holm(p_values: Mapping[Any, float]) -> dict[Any, float]:
    """Correct p-values for their number.

    Args:
        p_values: Each in [0, 1].

    Returns:
        The same keys; Holm, "A simple sequentially rejective multiple test procedure"
        (1979).
    """
    corrected: dict[Any, float] = {}
    largest = 0.0
    ordered = sorted(p_values, key=lambda key: p_values[key])
    for rank, key in enumerate(ordered):
        largest = max(largest, min(1.0, p_values[key] * (len(ordered) - rank)))
        corrected[key] = largest
    return corrected


def _judge_axis(
    axis: str,
    right: Right,
    winner: Candidate,
    corrected: Mapping[tuple[str, str], float],
) -> dict[str, Any]:
    own = winner.value(axis)
    alone = {own: winner} | {
        one.value(axis): one for one in right if one.differs_only_in(axis, winner)
    }
    values = {}
    for value, one in alone.items():
        answers = right[one]
        values[value] = {
            "top1": float(np.mean(answers)),
            "top1_ci95": list(wilson_interval(int(answers.sum()), len(answers))),
            **compare(right[winner], answers),
            "p": corrected.get((axis, value)),
        }
    ties = [
        value for value, row in values.items() if row["p"] is None or row["p"] >= ALPHA
    ]
    return {"found": own if ties == [own] else None, "ties": ties, "values": values}
