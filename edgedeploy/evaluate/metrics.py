"""Metrics over scores: accuracy, agreement, divergence and collapse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edgedeploy.errors import EvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Probabilities below this are floored before they are compared: a uint8 softmax has
# steps of 1/256, so anything finer would measure its rounding and not the network.
PROBABILITY_FLOOR = 1 / 512
# Rows at a time, so that memory does not grow with the number of pictures.
_CHUNK = 4096
# How far a float softmax may miss a sum of one.
_SUM_TOLERANCE = 0.01


class Scores(Protocol):
    """An array of shape (images, classes), or rows of one: see `Rows`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(images, classes)."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> NDArray[Any]: ...


class Rows:
    """Some rows of a score matrix, copied only as they are read.

    Args:
        scores: Shape (images, classes), mapped from a file as a rule.
        index: Rows to keep, shape (kept,).
    """

    def __init__(self, scores: NDArray[Any], index: NDArray[np.int64]) -> None:
        self._scores, self._index = scores, index

    @property
    def shape(self) -> tuple[int, ...]:
        """(kept, classes)."""
        return (len(self._index), *self._scores.shape[1:])

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, part: slice) -> NDArray[Any]:
        return np.asarray(self._scores[self._index[part]])


def label_ranks(scores: Scores, labels: NDArray[Any]) -> NDArray[np.int64]:
    """How many classes beat the true one; ties go to the lower class index.

    Args:
        scores: Shape (images, classes), any real scale.
        labels: Class indices, shape (images,).

    Returns:
        Shape (images,), 0 where the truth is the best guess.

    Raises:
        EvaluationError: If the counts differ, a label is out of range or a score is
            not a number.
    """
    if len(scores) != len(labels):
        raise EvaluationError(f"{len(scores)} scores but {len(labels)} labels")
    if len(labels) and not (labels.min() >= 0 and labels.max() < scores.shape[1]):
        raise EvaluationError(
            f"labels must be 0 to {scores.shape[1] - 1}; "
            f"found {labels.min()} to {labels.max()}"
        )
    ranks = np.empty(len(labels), np.int64)
    columns = np.arange(scores.shape[1])
    for start, part in _chunks(scores):
        truth = labels[start : start + _CHUNK, None]
        own = np.take_along_axis(part, truth, axis=1)
        beats = (part > own) | ((part == own) & (columns < truth))
        ranks[start : start + _CHUNK] = beats.sum(axis=1)
    return ranks


def top_k_accuracy(scores: Scores, labels: NDArray[Any], k: int) -> float:
    """Fraction of images whose label is among the k best scores.

    Args:
        scores: Model outputs, shape (images, classes), any real scale.
        labels: Class indices, shape (images,), in the model's numbering.
        k: Guesses allowed, 1 to classes.

    Returns:
        A fraction in [0, 1]; 0.0 has to be earned, so no images is an error.

    Raises:
        EvaluationError: If the counts differ or there are no images.
    """
    if not len(labels):
        raise EvaluationError("accuracy needs at least one labelled picture; found 0")
    return float(np.mean(label_ranks(scores, labels) < k))


def answers(scores: Scores) -> NDArray[np.int64]:
    """The best class of each image, shape (images,); ties go to the lower index.

    Raises:
        EvaluationError: If a score is not a number.
    """
    parts = [np.argmax(part, axis=1) for _, part in _chunks(scores)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def floored_kl(reference: Scores, variant: Scores, *, quantised: bool = False) -> float:
    """Mean KL(reference || variant) of floored probabilities, in nats.

    Both sides are floored at `PROBABILITY_FLOOR` and scaled to sum to one again, so
    that the result is a divergence: never negative, and 0 only for equal answers.
    Without the scaling it is neither: a uint8 softmax of 1000 classes sums to about
    0.92, and the floors add up to 2, which outweighs what shall be measured.

    Args:
        reference: Probabilities, shape (images, classes).
        variant: Probabilities, of the same shape.
        quantised: Whether the reference is a quantised network's, whose rows do not
            sum to one.

    Raises:
        EvaluationError: If the shapes differ, there are no images, or the rows of a
            float reference are no probabilities.
    """
    if reference.shape != variant.shape or not len(reference):
        raise EvaluationError(
            f"cannot compare answers of shape {reference.shape} and {variant.shape}"
        )
    total = 0.0
    for (_, before), (_, after) in zip(
        _chunks(reference), _chunks(variant), strict=True
    ):
        if not quantised:
            _check_probabilities(before)
        p, q = _floored(before), _floored(after)
        total += float(np.sum(p * np.log(p / q)))
    return total / len(reference)


def collapse(reference: NDArray[Any], variant: NDArray[Any], classes: int) -> float:
    """How much more of the pictures one class takes than in the reference.

    A broken quantisation answers one class, or a few, for everything. The reference's
    own histogram is the yardstick: a data set of cats is allowed to be all cats.

    Args:
        reference: Answered classes, shape (images,).
        variant: Answered classes, shape (images,).
        classes: Number of classes.

    Returns:
        The largest excess share over the classes, a fraction in [0, 1].
    """
    before = np.bincount(reference, minlength=classes) / max(1, len(reference))
    after = np.bincount(variant, minlength=classes) / max(1, len(variant))
    return float(np.max(after - before))


def _chunks(scores: Scores) -> Iterator[tuple[int, NDArray[Any]]]:
    """Give (first row, rows), refusing NaN, which would win every comparison."""
    for start in range(0, len(scores), _CHUNK):
        part = np.asarray(scores[start : start + _CHUNK])
        broken = np.flatnonzero(np.isnan(part).any(axis=1))
        if len(broken):
            raise EvaluationError(
                f"the answer to picture number {start + int(broken[0])} is not a "
                "number; the variant's arithmetic overflows, so leave its recipe out"
            )
        yield start, part


def _check_probabilities(rows: NDArray[Any]) -> None:
    """Refuse logits: flooring would turn their divergence into noise."""
    sums = rows.sum(axis=1, dtype=np.float64)
    if rows.min() < 0 or np.abs(sums - 1).max() > _SUM_TOLERANCE:
        raise EvaluationError(
            "the float32 network's answers must be probabilities that sum to 1; found "
            f"values from {rows.min():.3g} to {rows.max():.3g} and sums from "
            f"{sums.min():.3g} to {sums.max():.3g}. Let the network end in a softmax"
        )


def _floored(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    floored = np.maximum(np.asarray(probabilities, np.float64), PROBABILITY_FLOOR)
    return np.asarray(floored / floored.sum(axis=1, keepdims=True))
