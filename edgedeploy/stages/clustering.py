"""Scores that the workers of a cluster make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgedeploy.errors import InputError
from edgedeploy.evaluate.scheduler import connected, parse_engine
from edgedeploy.ondevice.bundle import hash_file
from edgedeploy.ondevice.installed import resolve_runtime
from edgedeploy.specs import ModelSpec
from edgedeploy.stages.context import Context
from edgedeploy.stages.pictures import Pictures
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import json_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedScores:
    """The scores of a variant, as their stage will ask for them.

    Attributes:
        variant: The model.
        inputs: What the stage depends on.
        scores: The .npy file that it leaves.
        facts: The JSON file beside it.
    """

    variant: Variant
    inputs: Mapping[str, Any]
    scores: Path
    facts: Path


def check_scheduler(context: Context) -> None:
    """Find out whether the scheduler answers before anything is converted for it.

    Args:
        context: The build. Where its variants are made already, waiting for it would
            gain nothing, and where they are scored too, it is not needed at all.

    Raises:
        InputError: If dask.distributed is not installed.
        EvaluationError: If no scheduler answers.
    """
    address = parse_engine(context.options.engine)
    folder = context.workspace.folder / "variants"
    made = [
        (folder / recipe.name / "variant.json").is_file()
        for recipe in context.options.recipes
    ]
    if address and not all(made):
        with connected(address):
            pass


def score_on_workers(
    context: Context,
    spec: ModelSpec,
    pictures: Pictures,
    planned: Sequence[PlannedScores],
    neighbours: Mapping[str, Any] | None,
) -> dict[str, str] | None:
    """Let a cluster make the scores that are not there; their stages take them over.

    Args:
        context: The build; its engine says where the cluster is.
        spec: The model.
        pictures: The evaluation pictures.
        planned: Every variant's scores.
        neighbours: As `engine.score_pictures` takes them.

    Returns:
        What the workers are, or None where there is no cluster or nothing to do.

    Raises:
        InputError: If a variant needs operators of its own.
        EvaluationError: If the cluster does not do it.
    """
    address = parse_engine(context.options.engine)
    pending = [
        one
        for one in planned
        if not context.workspace.is_done(
            f"scores-{one.variant.recipe}",
            inputs=one.inputs,
            outputs=[one.scores, one.facts],
        )
    ]
    if not address or not pending:
        return None
    if any(one.variant.libraries for one in pending):
        raise InputError(
            f"{spec.name}: a model with operators of its own is evaluated on this "
            "machine; leave --engine out"
        )
    # They only matter to who has a cluster.
    from edgedeploy.evaluate.cluster import ClusterVariant, score_on_cluster
    from edgedeploy.evaluate.tasks import Network

    runtime = resolve_runtime(context.options.runtime)
    tables = [neighbours[key] for key in ("vectors", "classes")] if neighbours else []
    variants = [
        ClusterVariant(
            name=one.variant.recipe,
            network=Network(
                path=str(one.variant.path.resolve()),
                sha256=one.variant.sha256,
                pipeline=spec.pipeline.to_dict(),
                runtime=runtime,
                neighbours=neighbours,
                tables=tuple(hash_file(Path(path)) for path in tables),
            ),
            out=one.scores,
            identity=json_digest(one.inputs),
        )
        for one in pending
    ]
    evaluation = pictures.evaluation
    paths = [str(picture.path.resolve()) for picture in evaluation.pictures]
    names = ", ".join(variant.name for variant in variants)
    with context.voice.step(f"score {names} on {address}") as progress:
        return score_on_cluster(
            address,
            variants,
            list(zip(paths, pictures.evaluation_digests, strict=True)),
            warn=partial(context.voice.warn, lasting=False),
            progress=progress,
        )
