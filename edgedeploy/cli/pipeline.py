"""The task `pipeline.detect`: which contract was a network trained with?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from edgedeploy.cli.command import command

if TYPE_CHECKING:
    from edgedeploy.cli.console import Speaker

_FLAGS = (
    "model",
    "labels",
    "trust",
    "weights",
    "images",
    "runtime",
    "threads",
    "offline",
    "strict",
    "update_lock",
    "json",
)


@command(*_FLAGS)
def detect(values: SimpleNamespace) -> None:
    """Find the preprocessing that a model was trained with, from labelled pictures."""
    from edgedeploy.cli.options import build_context
    from edgedeploy.errors import GateError
    from edgedeploy.recipes import REFERENCE
    from edgedeploy.stages.run import open_build

    values.recipes, values.calibration, values.max_skipped = REFERENCE, "", 0.0
    context, speaker = build_context(values)
    with open_build(context) as job:
        found = job.detection
    if values.json:
        speaker.answer(found)
    else:
        _show(found, speaker)
        speaker.note(f"all figures: {context.workspace.folder / 'pipeline.json'}")
    if found["contradicted"]:
        wrong = "; ".join(
            f"{axis} is {_found(found['axes'][axis])}, not {found['stated'][axis]}"
            for axis in found["contradicted"]
        )
        raise GateError(
            f"{found['model']}: the pictures contradict the model's pipeline: {wrong}. "
            "Mend its [weights.pipeline]"
        )


def _show(found: dict[str, Any], speaker: Speaker) -> None:
    for axis, judged in found["axes"].items():
        rows = [
            (
                ("> " if value == judged["found"] else "  ") + value,
                _share(row),
                _cost(row),
                _standing(value, judged, decidable=found["decidable"]),
            )
            for value, row in judged["values"].items()
        ]
        speaker.table((axis, "top-1 % [95 %]", "costs, points [95 %]", ""), rows)
    if not found["decidable"]:
        speaker.warn(f"not decidable from these pictures: {found['reason']}")
        return
    for axis, judged in found["axes"].items():
        agrees = found["stated"][axis] in judged["ties"]
        verdict = (
            f"found: {judged['found']}"
            if judged["found"]
            else f"undetermined: {', '.join(judged['ties'])}"
        )
        word = "as" if agrees else "against"
        speaker.note(f"{axis}: {verdict}; {word} the model's file says")


def _found(judged: dict[str, Any]) -> str:
    return str(judged["found"] or f"one of {', '.join(judged['ties'])}")


def _share(row: dict[str, Any]) -> str:
    low, high = row["top1_ci95"]
    return f"{100 * row['top1']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _cost(row: dict[str, Any]) -> str:
    if row["p"] is None:
        return "-"
    low, high = row["drop_ci95"]
    return f"{100 * row['drop']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _standing(value: str, judged: dict[str, Any], *, decidable: bool) -> str:
    if value == judged["found"]:
        return "found"
    if value not in judged["ties"]:
        return "ruled out"
    return "possible" if decidable else "not decidable"


TASKS = (detect,)
