"""How the answers differ: in pairs on the same pictures, or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.compare.finding import Finding, Limits
from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.intervals import paired_drop_interval, wilson_interval
from edgedeploy.evaluate.metrics import answers as best_classes
from edgedeploy.evaluate.metrics import floored_kl, label_ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedeploy.compare.side import Side

_FIX = "give --images a folder to score both on the same pictures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What both sides answered to the same pictures.

    Attributes:
        source: Which pictures, for people.
        names: One for each row.
        labels: Class indices, shape (images,), int64; -1 for none.
        old: Scores, shape (images, classes), float32; NaN rows for skipped pictures.
        new: The same of the new side.
    """

    source: str
    names: Sequence[str]
    labels: NDArray[np.int64]
    old: NDArray[np.float32]
    new: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Same:
    """Answers that cannot differ, so that none have to be counted.

    Attributes:
        reason: Why, for people.
    """

    reason: str


def recorded_answers(old: Side, new: Side) -> Answers | Same | str:
    """Take the scores that both builds' evaluations left.

    Returns:
        The answers; that they are the same; or in one sentence why they cannot be
        compared in pairs.
    """
    if old.shipped.sha256 == new.shipped.sha256 and old.pipeline == new.pipeline:
        return Same(reason="the same bytes, so the same answers")
    if old.scores is None or new.scores is None:
        return f"a single file was not evaluated; {_FIX}"
    datasets = [side.evaluation.get("dataset") for side in (old, new)]
    digests = [one.get("sha256") for one in datasets if isinstance(one, dict)]
    if len(digests) < 2 or digests[0] != digests[1] or not digests[0]:
        return f"the builds were evaluated on different pictures; {_FIX}"
    try:
        rows = [_rows(side) for side in (old, new)]
        scores = [_scores(side) for side in (old, new)]
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        return f"a build's scores cannot be read ({error}); {_FIX}"
    # The digest above does not cover in which numbering the labels are.
    if rows[0] != rows[1]:
        return f"the builds number the pictures' labels differently; {_FIX}"
    names, labels = rows[0]
    if any(score.shape[0] != len(names) for score in scores):
        return f"a build's scores are not those of its pictures; {_FIX}"
    truth = np.array([-1 if one is None else one for one in labels], np.int64)
    classes = [score.shape[1] for score in scores]
    # Other numbers of classes have a word of their own in `compare_answers`.
    if truth.size and len({*classes}) == 1 and int(truth.max()) >= classes[0]:
        return f"a build's labels are not among its classes; {_FIX}"
    return Answers(
        source=f"{datasets[0]['name']}, as both builds were evaluated"
        if isinstance(datasets[0], dict)
        else "",
        names=names,
        labels=truth,
        old=scores[0],
        new=scores[1],
    )


def _rows(side: Side) -> tuple[list[str], list[int | None]]:
    path = Path(str(side.scores)) / "pictures.json"
    value: Any = json.loads(path.read_text(encoding="utf-8"))
    names, labels = value["images"], value["labels"]
    if len(names) != len(labels):
        raise ValueError(f"{path}: {len(names)} names for {len(labels)} labels")
    for label in labels:
        if label is not None and not (type(label) is int and 0 <= label < 1 << 31):
            raise ValueError(f"{path}: {label!r} is no class")
    return list(names), list(labels)


def _scores(side: Side) -> NDArray[np.float32]:
    path = Path(str(side.scores)) / f"{side.recipe}.npy"
    scores: NDArray[np.float32] = np.load(path, mmap_mode="r")
    if scores.ndim != 2 or scores.dtype != np.float32 or not scores.shape[1]:
        raise ValueError(f"{path}: {scores.dtype} of shape {scores.shape} is no scores")
    return scores


def compare_answers(
    answers: Answers | Same | str, limits: Limits
) -> tuple[Finding, Finding]:
    """Hold the new side's answers against the old side's and the truth.

    Args:
        answers: What `recorded_answers` gave, or was measured now.
        limits: How much top-1 may drop.

    Returns:
        The findings "top1" and "agreement".
    """
    if isinstance(answers, str):
        return _unmeasured("top1", answers), _unmeasured("agreement", answers)
    if isinstance(answers, Same):
        agreement = Finding(
            name="agreement",
            old="",
            new="100.0 %",
            change=0.0,
            passed=True,
            detail=answers.reason,
        )
        top1 = replace(agreement, name="top1", new="", limit=limits.max_top1_drop)
        return top1, agreement
    if answers.old.shape != answers.new.shape:
        reason = (
            f"{answers.old.shape[1]} against {answers.new.shape[1]} classes: the "
            "answers cannot be compared in pairs"
        )
        return _unmeasured("top1", reason), _unmeasured("agreement", reason)
    kept = np.flatnonzero(~(np.isnan(answers.old[:, 0]) | np.isnan(answers.new[:, 0])))
    if not len(kept):
        reason = f"{answers.source}: no picture could be decoded"
        return _unmeasured("top1", reason), _unmeasured("agreement", reason)
    labels = answers.labels[kept]
    old, new = answers.old[kept], answers.new[kept]
    before, after = best_classes(old), best_classes(new)
    same = int(np.sum(before == after))
    low, high = wilson_interval(same, len(kept))
    agreement = Finding(
        name="agreement",
        old="",
        new=_with_interval(same, len(kept)),
        change=1 - same / len(kept),
        change_ci95=(1 - high, 1 - low),
        passed=True,
        detail=f"{len(kept) - same} of {len(kept)} answers differ, "
        f"{_divergence(old, new)}; {answers.source}",
    )
    return _judge_top1(labels, old, new, limits), agreement


def _judge_top1(
    labels: NDArray[np.int64],
    old: NDArray[np.float32],
    new: NDArray[np.float32],
    limits: Limits,
) -> Finding:
    rows = np.flatnonzero(labels >= 0)
    if not len(rows):
        return _unmeasured("top1", "no picture has a label of this model")
    before, after = (label_ranks(side[rows], labels[rows]) < 1 for side in (old, new))
    losses, gains = int(np.sum(before & ~after)), int(np.sum(~before & after))
    drop = (losses - gains) / len(rows)
    low, high = paired_drop_interval(losses, gains, len(rows))
    undecided = low <= limits.max_top1_drop < high
    return Finding(
        name="top1",
        old=_with_interval(int(before.sum()), len(rows)),
        new=_with_interval(int(after.sum()), len(rows)),
        change=drop,
        change_ci95=(low, high),
        limit=limits.max_top1_drop,
        passed=drop <= limits.max_top1_drop,
        detail=f"{len(rows)} labelled pictures"
        + ("; too few to be sure, the measured drop decides" if undecided else ""),
    )


def _with_interval(hits: int, count: int) -> str:
    low, high = wilson_interval(hits, count)
    return f"{100 * hits / count:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _divergence(old: NDArray[np.float32], new: NDArray[np.float32]) -> str:
    try:
        return f"KL {floored_kl(old, new):.4f}"
    except EvaluationError:
        # A quantised softmax does not sum to one, so it can be no reference.
        return "no KL, since the old answers are no probabilities"


def _unmeasured(name: str, reason: str) -> Finding:
    return Finding(name=name, old="", new="", passed=None, detail=reason)
