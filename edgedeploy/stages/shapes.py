"""The stages of models that take many sizes of picture: checked, then timed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgedeploy.isolate import Progress
from edgedeploy.ondevice.installed import resolve_runtime, runtime_identity
from edgedeploy.ondevice.shapes import InputShapes
from edgedeploy.recipes import REFERENCE
from edgedeploy.shapes import check_resizing, measure_sizes
from edgedeploy.specs import ModelSpec
from edgedeploy.stages.context import Context
from edgedeploy.stages.selection import MEASURING_CODE
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import code_digest, make_folder, read_json, write_json

SECONDS_BUDGET = 15.0
_CHECKING_CODE = (
    "formats/tflite_shapes.py",
    "ondevice/runtime.py",
    "ondevice/tensors.py",
    "ondevice/shapes.py",
    "shapes/resizing.py",
    "stages/shapes.py",
)


def check_shapes(
    context: Context, spec: ModelSpec, variants: Sequence[Variant]
) -> None:
    """Insist that each variant, resized, answers as if it had been made for the size.

    Raises:
        ConversionError: If one does not; nothing is then measured or packaged.
    """
    if spec.shapes is None:
        return
    for variant in variants:
        _check(context, spec.shapes, variant)


def _check(context: Context, shapes: InputShapes, variant: Variant) -> None:
    name = f"shapes-{variant.recipe}"
    path = context.workspace.folder / ".shapes" / f"{variant.recipe}.json"

    def action(progress: Progress) -> None:
        found = check_resizing(
            variant.path,
            shapes,
            runtime=resolve_runtime(context.options.runtime),
            what=variant.recipe,
            progress=progress,
        )
        make_folder(path.parent)
        write_json(path, found)

    context.stage(
        name,
        f"check sizes of {variant.recipe}",
        inputs={**_inputs(context, shapes), "model": variant.sha256},
        outputs=[path],
        action=action,
    )


def measure_shapes(
    context: Context, spec: ModelSpec, variants: Sequence[Variant], choice: str
) -> dict[str, Any] | None:
    """Time the variants that ship at their sizes, and write shapes.json.

    Args:
        context: The build.
        spec: The model.
        variants: All variants, which `check_shapes` has passed.
        choice: The recipe that ships, beside float32.

    Returns:
        The value of shapes.json, or None where the model takes one size: {"schema",
        "shapes", "variants": {recipe: {"checked": by size, "sizes": as of
        `measure_sizes`, "host", "conditions", "unmeasured"}}}.
    """
    if spec.shapes is None:
        return None
    shapes = spec.shapes
    path = context.workspace.folder / "shapes.json"
    shipped = [v for v in variants if v.recipe in (REFERENCE, choice)]

    def action(progress: Progress) -> None:
        rows = {}
        for variant in shipped:
            checked = context.workspace.folder / ".shapes" / f"{variant.recipe}.json"
            rows[variant.recipe] = {
                "checked": read_json(checked),
                **measure_sizes(
                    variant.path,
                    shapes.tested(),
                    seconds_budget=SECONDS_BUDGET,
                    runtime=resolve_runtime(context.options.runtime),
                    progress=progress,
                ),
            }
        write_json(path, {"schema": 1, "shapes": shapes.to_dict(), "variants": rows})

    context.stage(
        "benchmark-shapes",
        "benchmark sizes",
        inputs={
            **_inputs(context, shapes),
            "models": {variant.recipe: variant.sha256 for variant in shipped},
            "measuring": code_digest(*MEASURING_CODE, "shapes/measure.py"),
        },
        outputs=[path],
        action=action,
    )
    found: dict[str, Any] = read_json(path)
    return found


def _inputs(context: Context, shapes: InputShapes) -> dict[str, Any]:
    runtime = resolve_runtime(context.options.runtime)
    return {
        "shapes": shapes.to_dict(),
        "runtime": runtime_identity(runtime),
        "code": code_digest(*_CHECKING_CODE),
    }
