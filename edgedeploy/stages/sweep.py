"""The stages that show what each width of the weights costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgedeploy.errors import InputError
from edgedeploy.images.datasets import Picture
from edgedeploy.isolate import Progress, run_isolated
from edgedeploy.ondevice.installed import runtime_version
from edgedeploy.report.sweep import choose_shown, render_sweep
from edgedeploy.specs import PICTURE, ModelSpec
from edgedeploy.stages.context import Context
from edgedeploy.stages.pictures import Pictures
from edgedeploy.stages.sweep_sizes import PACKAGES
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import (
    code_digest,
    json_digest,
    make_folder,
    read_json,
    write_bytes,
    write_json,
)

# All are in memory at once, and more change no figure that matters here.
MAXIMUM = 400
# An output picture is as large as a thousand answers.
MAXIMUM_GIVEN = 48
# An output below this likeness to float32's is called broken.
BROKEN_SSIM = 0.9
_CODE = (
    "quantize",
    "stages/sweep.py",
    "stages/sweeping.py",
    "stages/sweep_measures.py",
    "stages/sweep_sizes.py",
    "evaluate",
    "ondevice/pictures.py",
    "ondevice/contract.py",
    "ondevice/resample.py",
)
_TEMPLATES = tuple(
    f"report/templates/{name}"
    for name in ("head.html", "report.css", "sweep.html", "widths.html")
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
        InputError: If a picture that shall be shown is not there.
        QuantizationError: If the network has no weights to code, or does not run.
    """
    given = spec.outputs == PICTURE
    used = pictures.evaluation.pictures[: MAXIMUM_GIVEN if given else MAXIMUM]
    _check_shown(context.options.show, used, pictures)
    value = _measure(context, spec, pictures, used, reference)
    for line in value["notes"]:
        context.voice.warn(line)
    return value, _write_page(context, spec, used, value)


def known_sweep(context: Context, variants: Sequence[Variant]) -> dict[str, Any] | None:
    """The value of sweep.json where it is of these weights, or None; nothing is run."""
    path = context.workspace.folder / "sweep.json"
    if not path.is_file():
        return None
    value: dict[str, Any] = read_json(path)
    known = value.get("reference") in {variant.sha256 for variant in variants}
    return value if known else None


def _check_shown(
    names: Sequence[str], used: Sequence[Picture], pictures: Pictures
) -> None:
    unknown = sorted(set(names) - {picture.name for picture in used})
    if not unknown:
        return
    if unknown[0] in {picture.name for picture in pictures.calibration.pictures}:
        raise InputError(
            f"--show names {unknown[0]!r}, which is set aside for calibration; name "
            "another, or give other pictures with --calibration"
        )
    if unknown[0] in {picture.name for picture in pictures.evaluation.pictures}:
        raise InputError(
            f"--show names {unknown[0]!r}, but only the first {len(used)} pictures "
            f"are swept; name one of those, or make --images a smaller folder"
        )
    raise InputError(
        f"--show names {unknown[0]!r}, which is none of the {len(used)} pictures "
        f"that are swept; they are named as {used[0].name!r}"
    )


def _measure(
    context: Context,
    spec: ModelSpec,
    pictures: Pictures,
    used: Sequence[Picture],
    reference: Variant,
) -> dict[str, Any]:
    data = context.workspace.folder / "sweep.json"
    given = spec.outputs == PICTURE
    folder = context.workspace.folder / ".sweep"
    # Answers are kept of all pictures; outputs that are pictures, of some.
    shown = choose_shown(used, context.options.show) if given else []

    def action(progress: Progress) -> None:
        if given:
            make_folder(folder)
        found = run_isolated(
            "edgedeploy.stages.sweeping:sweep_widths",
            {
                "model": str(reference.path),
                "pictures": [str(picture.path) for picture in used],
                "labels": [-1 if one.label is None else one.label for one in used],
                "pipeline": spec.pipeline.to_dict(),
                "folder": str(folder) if given else "",
                "shown": shown,
            },
            what="sweeping widths",
            progress=progress,
        )
        write_json(data, _described(spec, reference, used, shown, found))

    context.stage(
        "sweep",
        "sweep widths",
        inputs={
            "model": reference.sha256,
            "pictures": pictures.evaluation_digest(),
            "pipeline": spec.pipeline.to_dict(),
            "outputs": spec.outputs,
            "shown": shown,
            "runtime": runtime_version("litert"),
            "code": code_digest(*_CODE),
        },
        outputs=[data],
        action=action,
    )
    value: dict[str, Any] = read_json(data)
    return value


def _write_page(
    context: Context, spec: ModelSpec, used: Sequence[Picture], value: dict[str, Any]
) -> Path:
    page = context.workspace.folder / "sweep.html"
    paths = {picture.name: picture.path for picture in used}
    show = context.options.show

    def action(_progress: Progress) -> None:
        folder = context.workspace.folder / ".sweep"
        html = render_sweep(value, spec, paths, show=show, folder=folder)
        write_bytes(page, html.encode())

    context.stage(
        "sweep-page",
        "write the page",
        inputs={
            "value": json_digest(value),
            "labels": list(spec.labels),
            "title": spec.title,
            "show": list(show),
            "code": code_digest("report", *_TEMPLATES),
        },
        outputs=[page],
        action=action,
    )
    return page


def _described(
    spec: ModelSpec,
    reference: Variant,
    used: Sequence[Picture],
    shown: Sequence[int],
    found: dict[str, Any],
) -> dict[str, Any]:
    rows, kept = found["rows"], found["kept"]
    given = spec.outputs == PICTURE
    decoded = found["decoded"]
    listed = [index for index in shown if index in decoded] if given else decoded
    return {
        "schema": 1,
        "model": spec.name,
        "reference": reference.sha256,
        "outputs": "pictures" if given else "answers",
        "images": len(decoded),
        "rows": rows,
        "pictures": [
            {
                "image": used[index].name,
                "row": decoded.index(index),
                "answers": [one[place] for one in kept],
                "breaks": _breaks(rows, [one[place] for one in kept]),
            }
            for place, index in enumerate(listed)
        ],
        "notes": found["notes"],
        "unmeasured": _unmeasured(rows, given=given),
    }


def _unmeasured(rows: Sequence[Mapping[str, Any]], *, given: bool) -> dict[str, str]:
    reasons = {
        field: f"the Python package {package} is not installed here; pip install "
        '"edgedeploy[sweep]"'
        for field, package in PACKAGES.items()
        if rows[0][field] is None
    }
    if not given and rows[0]["top1"] is None:
        reasons["top1"] = "no picture has a label of this model"
        reasons["top1_drop"] = reasons["top1"]
    return reasons


def _breaks(
    rows: Sequence[Mapping[str, Any]], kept: Sequence[Any]
) -> dict[str, int | None]:
    """The widest width of each scheme whose output is not float32's any more."""
    found: dict[str, int | None] = {}
    for row, one in zip(rows, kept, strict=True):
        if row["scheme"] == "float32":
            continue
        known = found.setdefault(row["scheme"], None)
        if known is None and _is_broken(kept[0], one):
            found[row["scheme"]] = row["bits"]
    return found


def _is_broken(first: Any, one: Any) -> bool:
    if isinstance(one, Mapping):
        return bool(one["ssim"] < BROKEN_SSIM)
    return bool(one[0] != first[0])
