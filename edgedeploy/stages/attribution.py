"""The stage that says which layers add the error of a quantised variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from edgedeploy.errors import InputError
from edgedeploy.evaluate.attribution import attribute_error, worst_layers
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.installed import resolve_runtime, runtime_identity
from edgedeploy.recipes import REFERENCE
from edgedeploy.specs import ModelSpec
from edgedeploy.stages.context import Context
from edgedeploy.stages.pictures import Pictures, lint_calibration
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import code_digest, json_digest, read_json, write_json

# Sums over whole feature maps: more pictures move no figure by a tenth of a dB.
PICTURES = 16
_FILE = "attribution.json"


def attribute_variants(
    context: Context,
    spec: ModelSpec,
    pictures: Pictures,
    variants: Sequence[Variant],
) -> dict[str, Any]:
    """Measure every variant's noise against float32, and write attribution.json.

    Which layers to keep in higher precision is a choice made from pictures, so
    calibration pictures are taken.

    Returns:
        The value of attribution.json: by recipe "layers" (see `Layer`) and "keep", the
        names of those that add most noise.

    Raises:
        InputError: If there is no float32 network to compare with, nothing else was
            built, or the network has operators of its own.
        EvaluationError: If the networks cannot be matched or run.
    """
    by_recipe = {variant.recipe: variant for variant in variants}
    reference = by_recipe.pop(REFERENCE, None)
    if reference is None or not by_recipe:
        raise InputError(
            f"attribution compares quantised variants with {REFERENCE}; found "
            f"{', '.join(variant.recipe for variant in variants)}. Add one with "
            "--recipes, such as int8"
        )
    if reference.operators:
        raise InputError(
            f"{spec.name}: attribution keeps every tensor, which LiteRT does not offer "
            "for networks with operators of their own"
        )
    chosen = lint_calibration(context, pictures, spec)
    runtime = resolve_runtime(context.options.runtime)
    path = context.workspace.folder / _FILE

    def action(progress: Progress) -> None:
        found = {}
        for recipe, variant in by_recipe.items():
            layers = attribute_error(
                reference.path,
                variant.path,
                [picture.path for picture in chosen.pictures[:PICTURES]],
                pipeline=spec.pipeline,
                runtime=runtime,
                what=f"attributing {recipe}",
                progress=progress,
            )
            found[recipe] = {
                "layers": [asdict(layer) for layer in layers],
                "keep": [layer.name for layer in worst_layers(layers)],
            }
        write_json(
            path,
            {
                "schema": 1,
                "model": spec.name,
                "models": _models(variants),
                "pictures": min(PICTURES, len(chosen.pictures)),
                "variants": found,
            },
        )

    context.stage(
        "attribution",
        "attribute the error to layers",
        inputs={
            "models": _models(variants),
            "pictures": json_digest(list(chosen.digests[:PICTURES])),
            "pipeline": spec.pipeline.digest(),
            "runtime": runtime_identity(runtime),
            "code": code_digest(
                "evaluate/attribution.py",
                "ondevice/contract.py",
                "ondevice/delegation.py",
                "ondevice/pictures.py",
                "ondevice/resample.py",
                "stages/attribution.py",
            ),
        },
        outputs=[path],
        action=action,
    )
    result: dict[str, Any] = read_json(path)
    return result


def known_attribution(
    context: Context, variants: Sequence[Variant]
) -> dict[str, Any] | None:
    """What was measured for these very models, or None; nothing is run."""
    path = context.workspace.folder / _FILE
    if not path.is_file():
        return None
    known: dict[str, Any] = read_json(path)
    return known if known.get("models") == _models(variants) else None


def _models(variants: Sequence[Variant]) -> dict[str, str]:
    return {variant.recipe: variant.sha256 for variant in variants}
