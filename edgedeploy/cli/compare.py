"""The task that holds two builds, or two .tflite files, against each other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from edgedeploy.cli.command import command
from edgedeploy.errors import InputError

if TYPE_CHECKING:
    from edgedeploy.cli.console import Speaker
    from edgedeploy.compare import Side, Verdict
    from edgedeploy.compare.accuracy import Answers, Same
    from edgedeploy.specs import ModelSpec

_FLAGS = (
    "old",
    "new",
    "images",
    "model",
    "labels",
    "trust",
    "max_top1_drop",
    "max_size_growth",
    "max_slowdown",
    "accept",
    "require",
    "junit",
    "runtime",
    "threads",
    "json",
)


# A file does not say whose it is: taking the usual model would be a guess.
@command(*_FLAGS, no_default=("model",))
def compare(values: SimpleNamespace) -> None:
    """Compare two builds or two .tflite files; exit 1 if the new one is worse."""
    from pathlib import Path

    from edgedeploy.cli.console import Speaker
    from edgedeploy.compare import Limits, compare_sides, read_side
    from edgedeploy.compare.junit import write_junit
    from edgedeploy.compare.latency import compare_latency
    from edgedeploy.errors import GateError
    from edgedeploy.ondevice.installed import resolve_runtime

    for flag in ("old", "new"):
        if not getattr(values, flag):
            raise InputError(f"give --{flag} a build (build/<model>) or a .tflite file")
    limits = Limits(
        max_top1_drop=values.max_top1_drop,
        max_size_growth=values.max_size_growth,
        max_slowdown=values.max_slowdown,
        accept=_words(values.accept),
        require=_words(values.require),
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


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in text.split(",")) if word)


def _answers(
    old: Side,
    new: Side,
    values: SimpleNamespace,
    runtime: str,
    speaker: Speaker,
) -> Answers | Same | str:
    """Take the recorded scores, or score the pictures that were given."""
    import dataclasses
    import tempfile
    from pathlib import Path

    import numpy as np

    from edgedeploy.compare.accuracy import recorded_answers
    from edgedeploy.compare.measured import measure_answers
    from edgedeploy.ondevice.host import usable_cores

    spec = _spec(old, new, values, speaker)
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
            spec,
            scratch=Path(scratch),
            threads=values.threads or usable_cores(),
            runtime=runtime,
            progress=progress,
        )
        # The folder goes, and what is mapped from it would go with it.
        return dataclasses.replace(
            found, old=np.array(found.old), new=np.array(found.new)
        )


def _spec(
    old: Side, new: Side, values: SimpleNamespace, speaker: Speaker
) -> ModelSpec | None:
    """Find what describes the pictures' labels: --model, or the builds' own model.

    Raises:
        InputError: If there is no such model, it is not the builds', or a file's
            pictures come without one.
    """
    from edgedeploy.catalog import model_names, model_specs
    from edgedeploy.cli.options import settle_flags

    builds = [side for side in (new, old) if side.model]
    if values.labels and not values.model:
        raise InputError(
            "--labels goes with a model file; give that too, such as --model net.tflite"
        )
    if values.model:
        specs = model_specs(settle_flags(values, speaker))
        return _fitting(specs, new, builds, values.model)
    if len(builds) < 2 and values.images:
        raise InputError(
            "a single file does not say how its pictures are prepared; give --model "
            "a name from inv models, your model's .toml, or a model file"
        )
    for side in builds if values.images else ():
        for spec in model_specs(side.model) if side.model in model_names() else ():
            if spec.weights == side.evaluation.get("weights"):
                return spec
    return None


def _fitting(
    specs: tuple[ModelSpec, ...], new: Side, builds: list[Side], asked: str
) -> ModelSpec:
    """Choose among a model's weights: the builds' own, or those with as many classes.

    Raises:
        InputError: If a build is of another model, or of weights that it has not.
    """
    model = specs[0].name
    if not builds:
        # Where none has as many, the scores' check says what differs.
        count = new.shipped.classes
        return next((one for one in specs if len(one.labels) == count), specs[0])
    for side in builds:
        for spec in specs if side.model == model else ():
            if spec.weights == side.evaluation.get("weights"):
                return spec
    made = " and ".join(
        f"{side.model} ({side.evaluation.get('weights')})" for side in builds
    )
    raise InputError(
        f"--model {asked} is {model} ({', '.join(one.weights for one in specs)}), but "
        f"what is compared was built from {made}; name that model, or leave --model out"
    )


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
        ("variant", "bytes", "MB", "zip MB", "top-1 % [95 %]"),
        [
            (
                row["recipe"],
                "same" if row["same_bytes"] else "differ",
                _pair(row["size_bytes"], 1e-6, 2),
                _pair(row["deflated_bytes"], 1e-6, 2),
                _accuracies(row["top1"], row["top1_ci95"]),
            )
            for row in listed
        ],
    )


def _pair(values: list[float | None], factor: float, decimals: int) -> str:
    old, new = (
        "-" if value is None else f"{value * factor:.{decimals}f}" for value in values
    )
    return old if old == new else f"{old} -> {new}"


def _accuracies(values: list[float | None], intervals: list[list[float] | None]) -> str:
    texts = []
    for value, ends in zip(values, intervals, strict=True):
        text = "-" if value is None else f"{100 * value:.1f}"
        if ends:
            text += f" [{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"
        texts.append(text)
    return " -> ".join(dict.fromkeys(texts))


TASKS = (compare,)
