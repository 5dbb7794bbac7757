"""The last stages: manifest.json, measured.json and report.html."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgedeploy.isolate import Progress
from edgedeploy.report import ReportData, write_report
from edgedeploy.specs import ModelSpec
from edgedeploy.stages.android_packages import android_stage
from edgedeploy.stages.batching import measured_batches
from edgedeploy.stages.context import Context
from edgedeploy.stages.devices import built_models
from edgedeploy.stages.packaging import pi_bundles
from edgedeploy.stages.pictures import Pictures
from edgedeploy.workspace import code_digest, json_digest, read_json, write_json


def write_manifest(
    context: Context, spec: ModelSpec, facts: dict[str, Any]
) -> dict[str, Any]:
    """Write manifest.json: deterministic facts and the deliverables' digests.

    Returns:
        Its value.
    """
    workspace = context.workspace
    tree = f"android/assets/{spec.name}/"
    assets: dict[str, dict[str, Any]] = {}
    deliverables: dict[str, dict[str, Any]] = {}
    for kind in context.options.android_kinds:
        # The assets are files for an app, and listed apart.
        found = assets if kind == "assets" else deliverables
        found |= workspace.stage_outputs(android_stage(kind))
    for bundle in pi_bundles(context.options, workspace.model):
        deliverables |= workspace.stage_outputs(bundle.stage)
    manifest = {
        "schema": 1,
        "model": spec.name,
        "weights": spec.weights,
        **facts,
        "deliverables": deliverables,
        "files": {
            path.removeprefix(tree): stamp
            for path, stamp in assets.items()
            if path.startswith(tree)
        },
    }
    _write_if_changed(workspace.folder / "manifest.json", manifest)
    return manifest


def write_measured(
    context: Context,
    evaluation: dict[str, Any],
    benchmark: dict[str, Any],
    verification: dict[str, Any],
    shapes: dict[str, Any] | None,
    android_sizes: dict[str, Any],
    conversion: dict[str, Any],
) -> None:
    """Write measured.json: everything that another machine could measure otherwise."""
    best_batch = measured_batches(context, built_models(context.workspace))
    unmeasured = {
        "best_batch": "not measured; inv benchmark --batch does it",
        "shapes": "the model takes pictures of one size",
    }
    _write_if_changed(
        context.workspace.folder / "measured.json",
        {
            "schema": 1,
            "evaluation": evaluation,
            "benchmark": benchmark,
            "verification": verification,
            "best_batch": best_batch,
            "shapes": shapes,
            "android_sizes": android_sizes,
            "conversion": conversion,
            "unmeasured": {
                name: reason
                for name, reason in unmeasured.items()
                if not {"best_batch": best_batch, "shapes": shapes}[name]
            },
        },
    )


def report_data(
    spec: ModelSpec,
    pictures: Pictures,
    results: dict[str, Any],
    warnings: tuple[str, ...],
) -> ReportData:
    """Gather what the report shows.

    Args:
        spec: The model.
        pictures: For the flipped ones.
        results: "manifest", "evaluation", "benchmark", "selection", "verification",
            "shapes", "layers", "conversion", "sweep" and "android_sizes".
        warnings: One line each.
    """
    return ReportData(
        manifest=results["manifest"],
        evaluation=results["evaluation"],
        benchmark=results["benchmark"],
        selection=results["selection"],
        shapes=results["shapes"],
        layers=results["layers"],
        conversion=results["conversion"],
        sweep=results["sweep"],
        android_sizes=results["android_sizes"],
        verification=tuple(results["verification"]["checks"]),
        warnings=warnings,
        pictures={
            picture.name: picture.path for picture in pictures.evaluation.pictures
        },
        labels=spec.labels,
        notices=(spec.licence.notice, spec.licence.text),
    )


def write_html(context: Context, data: ReportData) -> Path:
    """Write report.html unless what it shows is unchanged."""
    path = context.workspace.folder / "report.html"

    def action(_progress: Progress) -> None:
        write_report(path, data)

    context.stage(
        "report",
        "write the report",
        inputs={
            "data": json_digest(
                [
                    data.manifest,
                    data.evaluation,
                    data.benchmark,
                    data.selection,
                    data.shapes,
                    data.layers,
                    data.conversion,
                    data.sweep,
                    data.android_sizes,
                    data.verification,
                    data.warnings,
                    data.labels,
                    data.notices,
                ]
            ),
            "code": code_digest("report"),
        },
        outputs=[path],
        action=action,
    )
    return path


def _write_if_changed(path: Path, value: dict[str, Any]) -> None:
    if not path.is_file() or read_json(path) != value:
        write_json(path, value)
