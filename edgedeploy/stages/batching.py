"""The stage that finds how many pictures to put through a network at once.

It is run when it is asked for. What it finds rests on timing, so it is frozen in the
lock, one value a variant: deliverables follow the lock and not the clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgedeploy.errors import InputError
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.batch_benchmark import FLOAT_TOLERANCE, measure_batches
from edgedeploy.ondevice.batches import check_batch
from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.installed import resolve_runtime, runtime_identity
from edgedeploy.stages.context import Context
from edgedeploy.stages.selection import MEASURING_CODE
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import code_digest, read_json, write_json

SECONDS_BUDGET = 30.0
_QUANTISED = ("uint8", "int8", "int16")


def benchmark_batches(context: Context, variants: Sequence[Variant]) -> dict[str, Any]:
    """Measure batches of every variant, write batches.json and freeze the best.

    Returns:
        {"schema", "models": {recipe: sha256}, "variants": {recipe: as of
        `measure_batches`, with "locked_batch"}}.

    Raises:
        ContractError: If a model cannot be run at all.
    """
    path = _path(context)
    runtime = resolve_runtime(context.options.runtime)
    models = {variant.recipe: variant.sha256 for variant in variants}

    def action(progress: Progress) -> None:
        measured = {
            variant.recipe: measure_batches(
                variant.path,
                tolerance=_tolerance(variant),
                seconds_budget=SECONDS_BUDGET,
                runtime=runtime,
                operators=variant.libraries,
                progress=progress,
            )
            for variant in variants
        }
        write_json(path, {"schema": 1, "models": models, "variants": measured})

    context.stage(
        "benchmark-batches",
        "benchmark batches",
        inputs={
            "models": models,
            "runtime": runtime_identity(runtime),
            "code": code_digest(*MEASURING_CODE, "ondevice/batch_benchmark.py"),
        },
        outputs=[path],
        action=action,
    )
    found: dict[str, Any] = read_json(path)
    for recipe, row in found["variants"].items():
        row["locked_batch"] = _freeze(context, recipe, row["best_batch"])
    return found


def locked_batches(context: Context, variants: Sequence[Variant]) -> dict[str, int]:
    """Give the frozen batch of each variant, 1 where none was measured.

    Raises:
        InputError: If the lock holds something else.
    """
    return {
        variant.recipe: _locked(context, variant.recipe) or 1 for variant in variants
    }


def measured_batches(
    context: Context, models: Mapping[str, str]
) -> dict[str, Any] | None:
    """Give what was measured of these very models, by recipe, or None.

    Args:
        context: The build.
        models: SHA-256 by recipe.
    """
    path = _path(context)
    if not path.is_file():
        return None
    found: dict[str, Any] = read_json(path)
    rows = {
        recipe: {**row, "locked_batch": _locked(context, recipe)}
        for recipe, row in found["variants"].items()
        if found["models"].get(recipe) == models.get(recipe)
    }
    return rows or None


def _freeze(context: Context, recipe: str, best: int) -> int:
    """Lock what was found, unless a value is locked that nobody asked to change."""
    locked = _locked(context, recipe)
    if locked is None or context.options.update_lock:
        context.settle(_key(recipe), best)
        return best
    if locked != best:
        context.voice.note(
            f"edgedeploy.lock pins batch {locked} for {recipe}; found {best}. The pin "
            "stays, unless --update-lock says otherwise"
        )
    return locked


def _locked(context: Context, recipe: str) -> int | None:
    value = context.lock.get(_key(recipe))
    try:
        return None if value is None else check_batch(value)
    except ContractError as error:
        raise InputError(
            f"{context.lock.path}: {_key(recipe)}: {error}; restore it from your "
            "version control, or measure anew with inv benchmark --batch --update-lock"
        ) from error


def _key(recipe: str) -> str:
    return f"batch-{recipe}"


def _tolerance(variant: Variant) -> float:
    quantised = variant.facts["output"]["dtype"] in _QUANTISED
    return 0.0 if quantised else FLOAT_TOLERANCE


def _path(context: Context) -> Path:
    return context.workspace.folder / "batches.json"
