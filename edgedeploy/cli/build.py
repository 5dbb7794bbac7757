"""Tasks of the main job, in the order of the path of a model."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from edgedeploy.cli.command import (
    BUILD_FLAGS,
    CHOICE_FLAGS,
    MEASURE_FLAGS,
    PACKAGE_FLAGS,
    command,
)


@command(*BUILD_FLAGS)
def fetch(values: SimpleNamespace) -> None:
    """Fetch a model's weights into the cache and lock them."""
    from edgedeploy.cli.options import build_context
    from edgedeploy.stages.run import open_build

    context, speaker = build_context(values)
    with open_build(context) as job:
        fetched = job.weights.fetched
        spec = job.spec
    if values.json:
        speaker.answer(
            {
                "model": spec.name,
                "weights": spec.weights,
                "sha256": fetched.sha256,
                "size_bytes": fetched.size_bytes,
                "origin": fetched.origin,
                "path": str(fetched.path),
            }
        )
    else:
        speaker.note(
            f"{spec.title} {spec.weights}: {fetched.size_bytes / 1e6:.1f} MB, "
            f"sha256 {fetched.sha256[:16]}…"
        )


@command(*BUILD_FLAGS, *CHOICE_FLAGS)
def convert(values: SimpleNamespace) -> None:
    """Convert and quantise, one file a recipe."""
    from edgedeploy.cli.options import build_context
    from edgedeploy.stages.run import open_build

    context, speaker = build_context(values)
    with open_build(context) as job:
        variants = job.variants
    if values.json:
        speaker.answer({v.recipe: v.facts for v in variants})
    else:
        width = max(len(variant.recipe) for variant in variants)
        for variant in variants:
            size = variant.facts["size_bytes"] / 1e6
            # In full, each path would break the line.
            path = variant.path.relative_to(context.workspace.root)
            speaker.note(f"{variant.recipe:<{width}}{size:8.2f} MB  {path}")


@command(*BUILD_FLAGS, *MEASURE_FLAGS, *CHOICE_FLAGS, "engine")
def evaluate(values: SimpleNamespace) -> None:
    """Measure accuracy, agreement and divergence of every variant."""
    _show(values, "evaluation")


@command(*BUILD_FLAGS, *CHOICE_FLAGS, "batch")
def benchmark(values: SimpleNamespace) -> None:
    """Measure latency and memory of every variant on this machine."""
    if values.batch:
        _show_batches(values)
    else:
        _show(values, "benchmark")


@command(*BUILD_FLAGS, *CHOICE_FLAGS)
def choose(values: SimpleNamespace) -> None:
    """Choose the variant to ship, and say why each other lost."""
    _show(values, "selection")


@command(*BUILD_FLAGS, *MEASURE_FLAGS, *CHOICE_FLAGS, *PACKAGE_FLAGS)
def report(values: SimpleNamespace) -> None:
    """Write report.html of a build, and sum it up here."""
    _build(values)


@command(*BUILD_FLAGS, *MEASURE_FLAGS, *CHOICE_FLAGS, *PACKAGE_FLAGS)
def build(values: SimpleNamespace) -> None:
    """Take a model from weights to verified Android and Pi bundles."""
    _build(values)


def _build(values: SimpleNamespace) -> None:
    from edgedeploy.cli.options import build_context
    from edgedeploy.stages.run import open_build

    started = time.perf_counter()
    context, speaker = build_context(values)
    with open_build(context) as job:
        data = job.report
    folder = context.workspace.folder
    if values.json:
        speaker.answer(
            {
                "model": data.manifest["model"],
                "weights": data.manifest["weights"],
                "selection": data.selection,
                "deliverables": data.manifest["deliverables"],
                "verification": job.verification["levels"],
                "warnings": speaker.warnings,
                "folder": str(folder),
                "ran": speaker.ran,
                "seconds": round(time.perf_counter() - started, 3),
            }
        )
        return
    from edgedeploy.report.terminal import print_summary

    print_summary(speaker.console, data)
    seconds = time.perf_counter() - started
    done = "built and verified" if speaker.ran else "nothing changed; all is verified"
    speaker.note(f"{done} in {seconds:.1f} s: {folder / 'report.html'}")


@command("path", "json")
def verify(values: SimpleNamespace) -> None:
    """Check an APK or a Pi bundle, anybody's, as a device would use it."""
    from pathlib import Path

    from edgedeploy.cli.console import Speaker
    from edgedeploy.errors import InputError, VerificationError
    from edgedeploy.results import all_passed
    from edgedeploy.verify import verify as verify_file

    if not values.path:
        raise InputError("give --path a package, a bundle or a folder to verify")
    speaker = Speaker(machine=values.json)
    checks = verify_file(Path(values.path))
    if values.json:
        speaker.answer(
            {
                "path": values.path,
                "passed": all_passed(checks),
                "checks": [check.to_dict() for check in checks],
            }
        )
    else:
        speaker.checks(checks)
    failed = [check for check in checks if check.passed is False]
    if failed:
        raise VerificationError(
            f"{values.path}: {len(failed)} of {len(checks)} checks failed"
        )


def _show_batches(values: SimpleNamespace) -> None:
    from edgedeploy.cli.options import build_context
    from edgedeploy.ondevice.figures import print_batches
    from edgedeploy.stages.run import open_build

    context, speaker = build_context(values)
    with open_build(context) as job:
        found = job.batches
    if values.json:
        speaker.answer(found)
        return
    for recipe, row in found["variants"].items():
        print_batches(recipe, row)
        speaker.note(f"edgedeploy.lock: batch {row['locked_batch']} for {recipe}")


def _show(values: SimpleNamespace, stage: str) -> None:
    from edgedeploy.cli.options import build_context
    from edgedeploy.stages.run import open_build

    context, speaker = build_context(values)
    with open_build(context) as job:
        result: dict[str, Any] = getattr(job, stage)
    if values.json:
        speaker.answer(result)
        return
    from edgedeploy.report import ReportData
    from edgedeploy.report.terminal import print_figures
    from edgedeploy.report.terminal_accuracy import (
        print_classes,
        print_skew,
        print_stability,
    )

    # Only what this task has run; reading a stage would run it.
    made = vars(job)
    data = ReportData(
        manifest={"title": job.spec.title, "weights": job.spec.weights},
        evaluation=made.get("evaluation") or {},
        benchmark=made.get("benchmark"),
        selection=made.get("selection"),
        labels=job.spec.labels,
        unmeasured={
            name: f"inv {task} measures it"
            for name, task in (("evaluation", "evaluate"), ("benchmark", "benchmark"))
            if name not in made
        },
    )
    print_figures(speaker.console, data)
    if stage == "evaluation":
        print_classes(speaker.console, data)
        print_skew(speaker.console, data)
        print_stability(speaker.console, data)
    speaker.note(f"all figures: {context.workspace.folder / f'{stage}.json'}")


TASKS = (fetch, convert, evaluate, benchmark, choose, verify, report, build)
