"""The stage that shows what each width of the weights costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgedeploy.isolate import Progress, run_isolated
from edgedeploy.ondevice.runtime import runtime_version
from edgedeploy.report.sweep import render_sweep
from edgedeploy.specs import ModelSpec
from edgedeploy.stages.context import Context
from edgedeploy.stages.pictures import Pictures
from edgedeploy.stages.sweeping import SHOWN
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import code_digest, read_json, write_bytes, write_json

# All are in memory at once, and more change no figure that matters here.
MAXIMUM = 400
_CODE = (
    "quantize",
    "stages/sweep.py",
    "stages/sweeping.py",
    "report/sweep.py",
    "evaluate",
    "ondevice/pictures.py",
    "ondevice/contract.py",
)


def sweep_variant(
    context: Context, spec: ModelSpec, pictures: Pictures, reference: Variant
) -> tuple[dict[str, Any], Path]:
    """Measure 8 to 1 bits, and write sweep.json and sweep.html.

    Args:
        context: Options, workspace and voice.
        spec: The model.
        pictures: Its evaluation pictures count here; nothing is chosen from them.
        reference: The float32 variant.

    Returns:
        The value of sweep.json, and the page's path.

    Raises:
        QuantizationError: If the network has no weights to code, or does not run.
    """
    data = context.workspace.folder / "sweep.json"
    page = context.workspace.folder / "sweep.html"
    used = pictures.evaluation.pictures[:MAXIMUM]

    def action(progress: Progress) -> None:
        found = run_isolated(
            "edgedeploy.stages.sweeping:sweep_widths",
            {
                "model": str(reference.path),
                "pictures": [str(picture.path) for picture in used],
                "labels": [-1 if one.label is None else one.label for one in used],
                "pipeline": spec.pipeline.to_dict(),
            },
            what="sweeping widths",
            progress=progress,
        )
        decoded = [used[index] for index in found["decoded"]]
        names = [picture.name for picture in decoded[:SHOWN]]
        value = _described(spec, found, names, len(decoded))
        write_json(data, value)
        paths = [picture.path for picture in decoded[:SHOWN]]
        write_bytes(page, render_sweep(value, spec, paths).encode())

    context.stage(
        "sweep",
        "sweep widths",
        inputs={
            "model": reference.sha256,
            "pictures": pictures.evaluation_digest(),
            "pipeline": spec.pipeline.to_dict(),
            "runtime": runtime_version("litert"),
            "code": code_digest(*_CODE),
        },
        outputs=[data, page],
        action=action,
    )
    return read_json(data), page


def _described(
    spec: ModelSpec, found: dict[str, Any], names: list[str], count: int
) -> dict[str, Any]:
    rows, shown = found["rows"], found["shown"]
    unmeasured = {
        field: f"the Python package {package} is not installed here"
        for field, package in (
            ("zstd_bytes", "zstandard"),
            ("brotli_bytes", "brotli"),
        )
        if rows[0][field] is None
    }
    if rows[0]["top1"] is None:
        unmeasured["top1"] = "no picture has a label of this model"
        unmeasured["top1_drop"] = unmeasured["top1"]
    return {
        "schema": 1,
        "model": spec.name,
        "images": count,
        "rows": rows,
        "pictures": [
            {
                "image": name,
                "answers": [answers[index] for answers in shown],
                "breaks": _breaks(rows, [answers[index][0] for answers in shown]),
            }
            for index, name in enumerate(names)
        ],
        "unmeasured": unmeasured,
    }


def _breaks(rows: list[dict[str, Any]], classes: list[int]) -> dict[str, int | None]:
    """The widest width of each scheme at which an answer is not float32's."""
    found: dict[str, int | None] = {}
    for row, one in zip(rows, classes, strict=True):
        if row["scheme"] == "float32":
            continue
        known = found.setdefault(row["scheme"], None)
        if known is None and one != classes[0]:
            found[row["scheme"]] = row["bits"]
    return found
