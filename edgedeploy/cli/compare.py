"""The task that holds two builds, or two .tflite files, against each other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from edgedeploy.cli.command import command

if TYPE_CHECKING:
    from edgedeploy.cli.console import Speaker
    from edgedeploy.compare import Side, Verdict
    from edgedeploy.compare.accuracy import Answers
    from edgedeploy.specs import ModelSpec

_FLAGS = (
    "old",
    "new",
    "images",
    "model",
    "max_top1_drop",
    "max_size_growth",
    "max_slowdown",
    "accept",
    "junit",
    "runtime",
    "threads",
    "json",
)


@command(*_FLAGS)
def compare(values: SimpleNamespace) -> None:
    """Compare two builds or two .tflite files; exit 1 if the new one is worse."""
    from pathlib import Path

    from edgedeploy.cli.console import Speaker
    from edgedeploy.compare import Limits, compare_sides, read_side
    from edgedeploy.compare.junit import write_junit
    from edgedeploy.compare.latency import compare_latency
    from edgedeploy.errors import GateError, InputError
    from edgedeploy.ondevice.runtime import resolve_runtime

    for flag in ("old", "new"):
        if not getattr(values, flag):
            raise InputError(f"give --{flag} a build (build/<model>) or a .tflite file")
    limits = Limits(
        max_top1_drop=values.max_top1_drop,
        max_size_growth=values.max_size_growth,
        max_slowdown=values.max_slowdown,
        accept=tuple(filter(None, (w.strip() for w in values.accept.split(",")))),
    )
    runtime = resolve_runtime(values.runtime)
    speaker = Speaker(machine=values.json)
    old, new = read_side(Path(values.old)), read_side(Path(values.new))
    answers = _answers(old, new, values, runtime, speaker)
    with speaker.step("time both in turns") as progress:
        latency = compare_latency(old, new, limits, runtime=runtime, progress=progress)
    verdict = compare_sides(old, new, limits, answers=answers, latency=latency)
    if values.junit:
        write_junit(Path(values.junit), verdict)
    if values.json:
        speaker.answer(verdict.to_dict())
    else:
        _show(verdict, speaker)
    if verdict.failed:
        names = ", ".join(finding.name for finding in verdict.failed)
        raise GateError(
            f"{new.path} is worse than {old.path}: {names}. Mend it, raise the limit, "
            f"or say --accept {names.replace(', ', ',')}"
        )


def _answers(
    old: Side,
    new: Side,
    values: SimpleNamespace,
    runtime: str,
    speaker: Speaker,
) -> Answers | str:
    """Take the recorded scores, or score the pictures that were given."""
    import dataclasses
    import tempfile
    from pathlib import Path

    import numpy as np

    from edgedeploy.compare.accuracy import recorded_answers
    from edgedeploy.compare.measured import measure_answers
    from edgedeploy.ondevice.host import usable_cores

    if not values.images:
        return recorded_answers(old, new)
    with (
        tempfile.TemporaryDirectory(prefix="edgedeploy-compare-") as scratch,
        speaker.step("score the pictures with both") as progress,
    ):
        found = measure_answers(
            old,
            new,
            Path(values.images),
            _spec(old, new, values.model),
            scratch=Path(scratch),
            threads=values.threads or usable_cores(),
            runtime=runtime,
            progress=progress,
        )
        # The folder goes, and what is mapped from it would go with it.
        return dataclasses.replace(
            found, old=np.array(found.old), new=np.array(found.new)
        )


def _spec(old: Side, new: Side, model: str) -> ModelSpec | None:
    """Find what describes the pictures' labels: the builds' model, or --model's."""
    from edgedeploy.catalog import model_names, model_specs

    if not (old.model and new.model):
        return model_specs(model)[0]
    known = [name for name in (new.model, old.model) if name in model_names()]
    for spec in model_specs(known[0]) if known else ():
        if spec.weights == new.evaluation.get("weights"):
            return spec
    return None


def _show(verdict: Verdict, speaker: Speaker) -> None:
    marks = {True: "same", False: "WORSE", None: "not measured"}
    rows = []
    for finding in verdict.findings:
        word = marks[finding.passed]
        if finding.accepted:
            word = "accepted"
        elif finding.passed and (finding.old != finding.new or finding.detail):
            word = "ok"
        rows.append((finding.name, word, finding.describe()))
    speaker.note(f"old: {verdict.old.path} ({verdict.old.recipe})")
    speaker.note(f"new: {verdict.new.path} ({verdict.new.recipe})")
    speaker.table(("", "verdict", "old -> new"), rows)
    listed = verdict.to_dict()["variants"]
    if not listed:
        return
    speaker.table(
        ("variant", "bytes", "MB", "zip MB", "top-1 %"),
        [
            (
                row["recipe"],
                "same" if row["same_bytes"] else "differ",
                _pair(row["size_bytes"], 1e-6, 2),
                _pair(row["deflated_bytes"], 1e-6, 2),
                _pair(row["top1"], 100, 1),
            )
            for row in listed
        ],
    )


def _pair(values: list[float | None], factor: float, decimals: int) -> str:
    old, new = (
        "-" if value is None else f"{value * factor:.{decimals}f}" for value in values
    )
    return old if old == new else f"{old} -> {new}"


TASKS = (compare,)
