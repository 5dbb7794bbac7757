"""Scores to the figures of evaluation.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.classes import new_confusions, worst_classes
from edgedeploy.evaluate.intervals import (
    mcnemar_p,
    paired_drop_interval,
    wilson_interval,
)
from edgedeploy.evaluate.metrics import (
    Scores,
    answers,
    collapse,
    floored_kl,
    label_ranks,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLIPPED_SHOWN = 100


def scorecard(
    names: Sequence[str],
    labels: NDArray[np.int64],
    reference: Scores,
    variant: Scores,
    *,
    quantised: bool = False,
) -> dict[str, Any]:
    """Hold a variant's answers against the reference's and the truth.

    Args:
        names: Pictures' names, one for each row.
        labels: Class indices, shape (images,); -1 where there is no label.
        reference: The float32 network's probabilities, shape (images, classes).
        variant: The variant's probabilities, of the same shape; the same object as
            `reference` for the reference's own card.
        quantised: Whether the reference is a quantised network, whose probabilities
            do not quite sum to one.

    Returns:
        The variant's entry in evaluation.json, without images_per_s. Accuracies are
        None where no picture has a label.

    Raises:
        EvaluationError: If there are no pictures, the counts differ, or the answers
            cannot be compared.
    """
    if not len(names) == len(labels) == len(reference) == len(variant):
        raise EvaluationError(
            f"{len(names)} names, {len(labels)} labels and answers to "
            f"{len(reference)} and {len(variant)} pictures do not go together"
        )
    if not names:
        raise EvaluationError("there is no picture left to compare answers on")
    before, after = answers(reference), answers(variant)
    flipped = np.flatnonzero(before != after)
    card: dict[str, Any] = {
        **_accuracy(labels, reference, variant),
        "agreement_top1": float(np.mean(before == after)),
        "agreement_top1_ci95": list(
            wilson_interval(len(names) - len(flipped), len(names))
        ),
        "mean_kl": floored_kl(reference, variant, quantised=quantised),
        "collapse": collapse(before, after, reference.shape[1]),
        "flipped_count": len(flipped),
        "flipped": [
            {
                "image": names[index],
                "label": int(labels[index]) if labels[index] >= 0 else None,
                "reference": int(before[index]),
                "variant": int(after[index]),
            }
            for index in flipped[:FLIPPED_SHOWN]
        ],
        "worst_classes": worst_classes(labels, before, after),
        "confusions": new_confusions(labels, before, after),
    }
    if variant is reference:
        # Held against itself nothing is estimated, so nothing is uncertain.
        card["agreement_top1_ci95"] = [1.0, 1.0]
        if card["top1_drop"] is not None:
            card["top1_drop_ci95"] = [0.0, 0.0]
    return card


def _accuracy(
    labels: NDArray[np.int64], reference: Scores, variant: Scores
) -> dict[str, Any]:
    """Accuracy on the labelled pictures, and its paired drop from the reference."""
    fields = (
        *("top1", "top1_ci95", "top5", "top5_ci95"),
        *("top1_drop", "top1_drop_ci95", "paired", "mcnemar_p"),
    )
    rows = np.flatnonzero(labels >= 0)
    if not len(rows):
        return dict.fromkeys(fields)
    # Taking labelled rows out would copy them; ranking all and then taking does not.
    truth = np.maximum(labels, 0)
    before = label_ranks(reference, truth)[rows] < 1
    ranks = label_ranks(variant, truth)[rows]
    after = ranks < 1
    losses = int(np.sum(before & ~after))
    gains = int(np.sum(~before & after))
    return {
        "top1": float(np.mean(after)),
        "top1_ci95": list(wilson_interval(int(after.sum()), len(rows))),
        **_top5(ranks, reference.shape[1]),
        "top1_drop": (losses - gains) / len(rows),
        "top1_drop_ci95": list(paired_drop_interval(losses, gains, len(rows))),
        "paired": {"losses": losses, "gains": gains, "pairs": len(rows)},
        "mcnemar_p": mcnemar_p(losses, gains),
    }


def _top5(ranks: NDArray[np.int64], classes: int) -> dict[str, Any]:
    # With five classes or fewer every answer is among the best five.
    if classes <= 5:
        return {"top5": None, "top5_ci95": None}
    right = int(np.sum(ranks < 5))
    return {
        "top5": right / len(ranks),
        "top5_ci95": list(wilson_interval(right, len(ranks))),
    }
