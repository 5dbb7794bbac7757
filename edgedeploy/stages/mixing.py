"""The part of making variants that is our own solver's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgedeploy.isolate import Progress, run_isolated
from edgedeploy.recipes import REFERENCE
from edgedeploy.specs import ModelSpec, Recipe
from edgedeploy.stages.context import Context
from edgedeploy.workspace import json_digest, make_folder, read_json


def mixing_inputs(context: Context, recipe: Recipe) -> dict[str, Any]:
    """What a mixed variant depends on beyond weights and pictures, as JSON values."""
    reference = read_json(context.workspace.variant_facts(REFERENCE))
    return {
        "reference": reference["sha256"],
        "max_top1_drop": _budget(context, recipe),
        "max_size": context.options.max_size,
        "prefer": context.options.prefer,
    }


def _budget(context: Context, recipe: Recipe) -> float:
    own = recipe.max_top1_drop
    return context.options.gate.max_top1_drop if own is None else own


def lock_mixed(
    context: Context, recipe: Recipe, inputs: Mapping[str, Any], sha256: str
) -> None:
    """Lock the bytes: the search rests on float arithmetic, which processors differ in.

    Raises:
        LockError: If the same inputs gave other bytes than those locked.
    """
    digest = json_digest(inputs)
    locked = context.lock.get(recipe.name)
    known = isinstance(locked, dict) and locked.get("inputs") == digest
    context.settle(recipe.name, {"inputs": digest, "sha256": sha256}, asked=not known)


def mix(
    context: Context,
    spec: ModelSpec,
    recipe: Recipe,
    calibration: list[str],
    out: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Let our solver make a variant from the float32 one, in a child process."""
    memory = context.workspace.folder / ".costs"
    make_folder(memory)
    found: dict[str, Any] = run_isolated(
        "edgedeploy.quantize.mixed:mix_variant",
        {
            "model": str(context.workspace.variant_model(REFERENCE)),
            "pipeline": spec.pipeline.to_dict(),
            "calibration": calibration,
            "max_drop": _budget(context, recipe),
            "max_size": context.options.max_size,
            "prefer": context.options.prefer,
            "memory": str(memory),
            "out": str(out),
        },
        what=f"solving {recipe.name}",
        progress=progress,
    )
    if found["note"]:
        context.voice.warn(f"{recipe.name}: {found['note']}")
    return {"mixed": found}
