"""Which classes a network is bad at, and which it began to confuse."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.evaluate.intervals import wilson_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN = 10


def worst_classes(
    labels: NDArray[np.int64], reference: NDArray[np.int64], variant: NDArray[np.int64]
) -> list[dict[str, Any]] | None:
    """List the classes that the variant surely gets wrong most often.

    Sorted by the upper end of the 95 % interval of their accuracy, so that a class
    with one picture, and that one wrong, does not come before one with ten.

    Args:
        labels: Class indices, shape (images,); -1 where there is no label.
        reference: The reference's answers, shape (images,).
        variant: The variant's answers, shape (images,).

    Returns:
        At most `SHOWN` of {"label", "pictures", "top1", "top1_ci95",
        "reference_top1", "reference_top1_ci95"}, of those with a wrong answer; None
        where no picture has a label.
    """
    labelled = labels >= 0
    if not labelled.any():
        return None
    rows: list[dict[str, Any]] = []
    for label in np.unique(labels[labelled]):
        own = labels == label
        pictures, right = int(own.sum()), int(np.sum(variant[own] == label))
        known = int(np.sum(reference[own] == label))
        if right < pictures:
            rows.append(
                {
                    "label": int(label),
                    "pictures": pictures,
                    "top1": right / pictures,
                    "top1_ci95": list(wilson_interval(right, pictures)),
                    "reference_top1": known / pictures,
                    "reference_top1_ci95": list(wilson_interval(known, pictures)),
                }
            )
    rows.sort(key=lambda row: (row["top1_ci95"][1], row["label"]))
    return rows[:SHOWN]


def new_confusions(
    labels: NDArray[np.int64], reference: NDArray[np.int64], variant: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """List the pairs of classes that the variant confuses and the reference did not.

    Args:
        labels: Class indices, shape (images,); -1 where there is no label.
        reference: The reference's answers, shape (images,).
        variant: The variant's answers, shape (images,).

    Returns:
        At most `SHOWN` of {"reference", "variant", "pictures", "losses", "gains"},
        those with the most losses first: how many pictures went from the one answer
        to the other, and how many of them became wrong, or right.
    """
    pairs: Counter[tuple[int, int]] = Counter()
    losses: Counter[tuple[int, int]] = Counter()
    gains: Counter[tuple[int, int]] = Counter()
    for index in np.flatnonzero(reference != variant):
        pair = (int(reference[index]), int(variant[index]))
        pairs[pair] += 1
        losses[pair] += int(labels[index] == pair[0])
        gains[pair] += int(labels[index] == pair[1])
    ordered = sorted(pairs, key=lambda pair: (-losses[pair], -pairs[pair], pair))
    return [
        {
            "reference": pair[0],
            "variant": pair[1],
            "pictures": pairs[pair],
            "losses": losses[pair],
            "gains": gains[pair],
        }
        for pair in ordered[:SHOWN]
    ]
