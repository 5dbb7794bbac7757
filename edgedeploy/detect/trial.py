"""Try candidates out: which pictures does each get right?"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.detect.candidates import (
    MAIN_AXES,
    Candidate,
    fine_candidates,
    main_candidates,
    stated_values,
)
from edgedeploy.detect.verdict import best, blind_spot, compare, judge_axes
from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.engine import score_pictures
from edgedeploy.evaluate.intervals import wilson_interval
from edgedeploy.evaluate.metrics import label_ranks
from edgedeploy.isolate import Progress, silent
from edgedeploy.ondevice.contract import ImagePipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the detective has to go by.

    Attributes:
        model: The float32 .tflite.
        pictures: Labelled picture files.
        labels: Class of each.
        stated: The contract of the model's file.
        threads: Threads for decoding and for the interpreter.
        runtime: A runtime's name.
        operators: Shared libraries of the operators that the model needs.
    """

    model: Path
    pictures: tuple[Path, ...]
    labels: tuple[int, ...]
    stated: ImagePipeline
    threads: int
    runtime: str
    operators: tuple[Path, ...] = ()


def investigate(case: Case, *, progress: Progress = silent) -> dict[str, Any]:
    """Find the contract that a model was trained with.

    Args:
        case: Model, pictures and the contract that is claimed.
        progress: Told how many candidates are done.

    Returns:
        {"decidable", "reason", "images", "axes": see `judge_axes`, "candidates":
        the main axes' combinations, best first, "stated": value by axis, "agrees",
        "contradicted": [axis]}; `agrees` is None where nothing could be decided.

    Raises:
        EvaluationError: If pictures cannot be decoded, or none is labelled.
        IsolatedError: If the runtime crashed.
    """
    main = main_candidates(case.stated)
    # As many again as there can be at most, so that the bar does not jump.
    total = len(main) + sum(map(len, fine_candidates(case.stated).values()))
    labels = np.asarray(case.labels, np.int64)
    with tempfile.TemporaryDirectory(prefix="edgedeploy-detect-") as folder:
        bench = _Bench(case, labels, Path(folder))
        right: dict[Candidate, NDArray[np.bool_]] = {}
        for number, candidate in enumerate(main):
            progress(number, total)
            right[candidate] = bench.answer(candidate)
        winner = best(right)
        axes = judge_axes(right, MAIN_AXES)
        done = len(main)
        for axis, candidates in fine_candidates(winner.pipeline).items():
            fine = {}
            for candidate in candidates:
                progress(min(done, total), total)
                fine[candidate] = bench.answer(candidate)
                done += 1
            axes |= judge_axes(fine, (axis,))
    progress(total, total)
    reason = blind_spot(right[winner], labels)
    return {
        "decidable": reason is None,
        "reason": reason,
        "images": len(labels),
        "axes": axes if reason is None else _undecided(axes),
        "candidates": _ranking(right, winner),
        **_hold_against(stated_values(case.stated), axes, decidable=reason is None),
    }


class _Bench:
    """Answers of candidates, with each geometry decoded once."""

    def __init__(self, case: Case, labels: NDArray[np.int64], folder: Path) -> None:
        self._case, self._labels, self._folder = case, labels, folder
        self._known: dict[str, NDArray[np.bool_]] = {}

    def answer(self, candidate: Candidate) -> NDArray[np.bool_]:
        """Tell which pictures a candidate gets right, shape (images,)."""
        digest = candidate.pipeline.digest()
        if digest not in self._known:
            self._known[digest] = self._run(candidate)
        return self._known[digest]

    def _run(self, candidate: Candidate) -> NDArray[np.bool_]:
        case = self._case
        done = score_pictures(
            case.model,
            case.pictures,
            pipeline=candidate.pipeline,
            out=self._folder / "scores.npy",
            decoded=(self._folder, candidate.pipeline.geometry_digest()),
            threads=case.threads,
            runtime=case.runtime,
            what=f"trying {candidate.name}",
            operators=case.operators,
        )
        if done.skipped:
            raise EvaluationError(
                f"{len(done.skipped)} of {len(case.pictures)} pictures cannot be "
                f"decoded, such as {next(iter(done.skipped.values()))}; remove them"
            )
        return np.asarray(label_ranks(done.scores, self._labels) == 0)


def _undecided(axes: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same figures, of which none is a finding; all values tie."""
    return {
        axis: {**judged, "found": None, "ties": list(judged["values"])}
        for axis, judged in axes.items()
    }


def _ranking(
    right: Mapping[Candidate, NDArray[np.bool_]], winner: Candidate
) -> list[dict[str, Any]]:
    """List the candidates of the main axes, best first, each against the winner."""
    ordered = sorted(right, key=lambda one: -int(right[one].sum()))
    return [
        {
            **dict(one.values),
            "top1": float(np.mean(right[one])),
            "top1_ci95": list(wilson_interval(int(right[one].sum()), len(right[one]))),
            **compare(right[winner], right[one]),
        }
        for one in ordered
    ]


def _hold_against(
    stated: Mapping[str, str], axes: Mapping[str, dict[str, Any]], *, decidable: bool
) -> dict[str, Any]:
    """Compare what the model's file says with what was found."""
    contradicted = [
        axis for axis, value in stated.items() if value not in axes[axis]["ties"]
    ]
    return {
        "stated": dict(stated),
        "agrees": not contradicted if decidable else None,
        "contradicted": contradicted if decidable else [],
    }
