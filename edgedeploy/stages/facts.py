"""Deterministic facts of a build: what manifest.json says, here and in bundles."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgedeploy.recipes import recipe_named
from edgedeploy.specs import Source
from edgedeploy.stages.context import Context
from edgedeploy.stages.variants import Variant, tool_versions
from edgedeploy.stages.weights import Weights


def build_facts(
    context: Context,
    weights: Weights,
    variants: tuple[Variant, ...],
    choice: str,
) -> dict[str, Any]:
    """Gather what decides the deliverables' bytes, without times, places or figures.

    Args:
        context: The build.
        weights: The fetched weights.
        variants: All variants that were made.
        choice: The recipe that ships.
    """
    spec = weights.spec
    licence = asdict(spec.licence)
    del licence["text"]
    calibration = context.lock.get("calibration")
    return {
        "title": spec.title,
        "summary": spec.summary,
        "source": {
            **source_facts(spec.source),
            "sha256": weights.fetched.sha256,
            "size_bytes": weights.fetched.size_bytes,
        },
        "licence": licence,
        "pipeline": spec.pipeline.to_dict(),
        **({"shapes": spec.shapes.to_dict()} if spec.shapes else {}),
        "choice": choice,
        "recipes": {
            variant.recipe: {
                "sha256": variant.sha256,
                "size_bytes": variant.facts["size_bytes"],
                "weights": recipe_named(variant.recipe).weights,
                "activations": recipe_named(variant.recipe).activations,
                "operators": variant.facts["operators"],
            }
            for variant in variants
        },
        "calibration": calibration,
        "tools": tool_versions(),
    }


def source_facts(source: Source) -> dict[str, Any]:
    """Describe a source by what is the same on every machine."""
    facts = {key: value for key, value in asdict(source).items() if value is not None}
    facts["kind"] = type(source).__name__.removesuffix("Source").lower()
    # A local path says nothing elsewhere; its digest does.
    facts.pop("path", None)
    facts.pop("mirror_variable", None)
    return facts
