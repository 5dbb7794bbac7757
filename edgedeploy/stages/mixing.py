"""The part of making variants that is our own solver's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgedeploy.isolate import Progress, run_isolated
from edgedeploy.recipes import REFERENCE
from edgedeploy.specs import ModelSpec, Recipe
from edgedeploy.stages.context import Context
from edgedeploy.stages.conversion import record_cost
from edgedeploy.stages.pictures import Pictures
from edgedeploy.stages.widening import forecast_budget
from edgedeploy.workspace import json_digest, make_folder, read_json

# The lock's name for how long layers take with 4 bits, against 8.
_LATENCY = "layer_latency"


def mixing_inputs(
    context: Context, recipe: Recipe, pictures: Pictures
) -> dict[str, Any]:
    """What a mixed variant depends on beyond what every variant does, as JSON."""
    return {
        "reference": _reference(context),
        "max_top1_drop": forecast_budget(context, recipe),
        "max_size": context.options.max_size,
        "prefer": context.options.prefer,
        **(
            {"finetune": sorted(set(pictures.finetune_digests))}
            if pictures.finetune
            else {}
        ),
    }


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
    pictures: Pictures,
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
            "max_drop": forecast_budget(context, recipe),
            "max_size": context.options.max_size,
            "prefer": context.options.prefer,
            "memory": str(memory),
            "out": str(out),
            "finetune": _learning(pictures),
            "latencies": _frozen_latencies(context),
        },
        what=f"solving {recipe.name}",
        progress=progress,
    )
    if found["note"]:
        context.voice.warn(f"{recipe.name}: {found['note']}")
    _freeze_latencies(context, found["latencies"])
    cost = found.pop("cost")
    if found["finetuned"]:
        cost |= {"finetuned": found["finetuned"]}
    record_cost(context.workspace, recipe.name, len(calibration), cost)
    if found["finetuned"]:
        _tell_tuned(context, recipe, found["finetuned"])
    return {"mixed": found}


def _frozen_latencies(context: Context) -> dict[str, float] | None:
    """What was measured of this very network before, if anything."""
    locked = context.lock.get(_LATENCY)
    if not isinstance(locked, dict) or locked.get("reference") != _reference(context):
        return None
    ratios = locked.get("ratios")
    if context.options.update_lock or not isinstance(ratios, dict):
        return None
    return {str(key): float(value) for key, value in ratios.items()}


def _freeze_latencies(context: Context, ratios: Mapping[str, float] | None) -> None:
    """Lock what was measured, so that another machine chooses the same."""
    if ratios is None or ratios == _frozen_latencies(context):
        return
    found = {"reference": _reference(context), "ratios": dict(ratios)}
    context.settle(_LATENCY, found, asked=True)


def _reference(context: Context) -> str:
    return str(read_json(context.workspace.variant_facts(REFERENCE))["sha256"])


def _learning(pictures: Pictures) -> list[str]:
    """Paths of the pictures to learn from, each content once."""
    if pictures.finetune is None:
        return []
    files = zip(pictures.finetune_digests, pictures.finetune.pictures, strict=True)
    return [str(picture.path) for picture in dict(files).values()]


def _tell_tuned(context: Context, recipe: Recipe, tuned: Mapping[str, Any]) -> None:
    """Say what fine-tuning did to the answers, and whether it was kept."""
    before, after = tuned["mean_kl"]
    outcome = (
        "kept" if tuned["kept"] else "no better, so the file is as it was without it"
    )
    context.voice.note(
        f"{recipe.name}: fine-tuning on {tuned['images']} pictures took the KL from "
        f"{before:.4f} to {after:.4f} on {tuned['judged_on']} views that took no part: "
        f"{outcome}"
    )
    if tuned["unreadable"]:
        context.voice.warn(
            "--finetune: pictures that cannot be decoded were left out: "
            f"{tuned['unreadable']}"
        )
