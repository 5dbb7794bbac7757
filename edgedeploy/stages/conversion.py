"""One variant from a network or a finished graph, in a child process, and its cost."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgedeploy.architectures import GRAPHS
from edgedeploy.convert.graphs import Graph, graph_of
from edgedeploy.errors import InputError
from edgedeploy.isolate import Progress, run_isolated
from edgedeploy.quantize.litert_int8 import quantizer_version
from edgedeploy.recipes import QUANTIZER, REFERENCE
from edgedeploy.specs import LOGITS, ModelSpec, Recipe
from edgedeploy.stages.context import Context
from edgedeploy.stages.weights import Weights
from edgedeploy.workspace import Workspace, read_json, write_json


def check_quantizer(spec: ModelSpec, recipes: Sequence[Recipe]) -> None:
    """Name what LiteRT's quantizer lacks, before anything is made.

    Raises:
        InputError: If a recipe is its, and it is not installed or the network has
            operators of its own.
    """
    for recipe in recipes:
        if recipe.engine != QUANTIZER:
            continue
        quantizer_version()
        if spec.custom_ops:
            raise InputError(
                f"{recipe.name} runs the network to calibrate it, and cannot run "
                f"operators of its own ({spec.custom_ops[0].name}); leave "
                f"{recipe.name} out of --recipes"
            )


def quantizing_inputs(context: Context) -> dict[str, str]:
    """What a variant of LiteRT's quantizer depends on beyond weights and pictures."""
    versions = {
        "litert-quantizer": quantizer_version(),
        # It runs the network while it calibrates.
        "ai-edge-litert": importlib.metadata.version("ai-edge-litert"),
    }
    context.settle("litert_quantizer", versions)
    reference = read_json(context.workspace.variant_facts(REFERENCE))
    return {"reference": reference["sha256"], **versions}


def convert(
    weights: Weights,
    recipe: Recipe,
    calibration: Sequence[str],
    out: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Follow a recipe from the network, or from its graph.

    Args:
        weights: The network.
        recipe: One that the converter follows.
        calibration: Paths of calibration pictures; empty where none are needed.
        out: Where the .tflite bytes go.
        progress: Told how many pictures are done.

    Returns:
        What it cost, see `quantize.cost.Cost`.

    Raises:
        ConversionError: If the converter fails.
    """
    spec = weights.spec
    common = {
        "recipe": recipe.name,
        "pipeline": spec.pipeline.to_dict(),
        "calibration": list(calibration),
        "logits": spec.outputs == LOGITS,
        "out": str(out),
    }
    if spec.architecture in GRAPHS:
        function = "edgedeploy.quantize.requantise:requantise_variant"
        source: dict[str, Any] = {"model": str(graph_for(weights).path)}
    else:
        function = "edgedeploy.quantize.converter:convert_variant"
        source = {
            "architecture": spec.architecture,
            "layout": spec.layout,
            "weights": str(weights.fetched.path),
            "shapes": spec.shapes.to_dict() if spec.shapes else None,
        }
    cost: dict[str, Any] = run_isolated(
        function,
        {**source, **common},
        what=f"converting {recipe.name}",
        progress=progress,
    )
    return cost


def quantize(
    context: Context,
    spec: ModelSpec,
    recipe: Recipe,
    calibration: Sequence[str],
    out: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Let LiteRT's quantizer make a variant from the float32 one.

    Returns:
        What it cost, as `convert`'s.

    Raises:
        QuantizationError: If the quantizer does not take the network.
    """
    cost: dict[str, Any] = run_isolated(
        "edgedeploy.quantize.litert_int8:quantize_with_litert",
        {
            "model": str(context.workspace.variant_model(REFERENCE)),
            "pipeline": spec.pipeline.to_dict(),
            "calibration": list(calibration),
            "out": str(out),
        },
        what=f"quantising {recipe.name}",
        progress=progress,
    )
    return cost


def graph_for(weights: Weights) -> Graph:
    """The .tflite file of a finished graph, converted if need be."""
    fetched = weights.fetched
    return graph_of(weights.spec.architecture, fetched.path, fetched.sha256)


def record_cost(
    workspace: Workspace, recipe: str, calibration: int, cost: dict[str, Any]
) -> None:
    """Write conversion.json: figures of this machine, so not part of variant.json.

    Args:
        workspace: Where the variant is.
        recipe: Its name.
        calibration: Pictures that calibrated it.
        cost: As `convert` gives it.
    """
    path = _cost_path(workspace, recipe)
    write_json(path, {"schema": 1, "calibration_images": calibration, **cost})


def read_costs(workspace: Workspace, recipes: Sequence[str]) -> dict[str, Any]:
    """The values of conversion.json, by recipe, where there is one."""
    paths = {recipe: _cost_path(workspace, recipe) for recipe in recipes}
    return {name: read_json(path) for name, path in paths.items() if path.is_file()}


def _cost_path(workspace: Workspace, recipe: str) -> Path:
    return workspace.variant_folder(recipe) / "conversion.json"
