"""Each variant's scores: pictures through a network, here or on a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import PIL

from edgedeploy.evaluate.engine import Pass, score_pictures
from edgedeploy.evaluate.preparing import CONTRACT
from edgedeploy.images.decoded import decoded_key
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.bundle import hash_file
from edgedeploy.ondevice.installed import resolve_runtime, runtime_identity
from edgedeploy.specs import ModelSpec
from edgedeploy.stages.clustering import PlannedScores, score_on_workers
from edgedeploy.stages.context import Context
from edgedeploy.stages.pictures import Pictures
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import cache_folder, code_digest, json_digest, write_json

# A picture's bytes to the 8-bit RGB picture: what decoded pictures depend on.
DECODING_CODE = (
    "ondevice/contract.py",
    "ondevice/pictures.py",
    "ondevice/resample.py",
)
# What decides the scores; not how they are compared afterwards.
SCORING_CODE = (
    "evaluate/checkpoint.py",
    "evaluate/feeding.py",
    "evaluate/passes.py",
    "evaluate/preparing.py",
    "evaluate/score_files.py",
    "evaluate/scoring.py",
    "evaluate/workers.py",
    "ondevice/custom_ops.py",
    "ondevice/delegation.py",
    "ondevice/installed.py",
    "ondevice/litert_abi.py",
    "ondevice/neighbours.py",
    "ondevice/runtime.py",
    "ondevice/tensors.py",
    *DECODING_CODE,
)


def score_elsewhere(
    context: Context,
    spec: ModelSpec,
    pictures: Pictures,
    variants: Sequence[Variant],
    folder: Path,
) -> dict[str, str] | None:
    """Let the cluster fill the checkpoints of variants.

    Args:
        context: The build.
        spec: The model.
        pictures: Those to evaluate on.
        variants: All that will be scored.
        folder: Where scores and facts are kept.

    Returns:
        What the scores were made on, for `score_variant`; None without a cluster.
    """
    planned = [
        PlannedScores(
            variant=variant,
            inputs=_scoring_inputs(context, spec, pictures, variant),
            scores=folder / f"{variant.recipe}.npy",
            facts=folder / f"{variant.recipe}.json",
        )
        for variant in variants
    ]
    return score_on_workers(context, spec, pictures, planned, _voters(spec))


def score_variant(
    context: Context,
    spec: ModelSpec,
    pictures: Pictures,
    variant: Variant,
    folder: Path,
    preparation: str = CONTRACT,
    node: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run the pictures through one variant unless its scores are there.

    Args:
        context: The build.
        spec: The model.
        pictures: Those to evaluate on.
        variant: Whose scores.
        folder: Where scores and facts are kept.
        preparation: A name of `evaluate.preparing.PREPARATIONS`.
        node: As `score_elsewhere` gave it.

    Returns:
        {"inputs": what decides them, "scores": a .npy file, "facts": a .json file}.

    Raises:
        EvaluationError: If the model does not fit the pictures.
    """
    name = variant.recipe
    scores, facts = folder / f"{name}.npy", folder / f"{name}.json"
    runtime = resolve_runtime(context.options.runtime)
    inputs = _scoring_inputs(context, spec, pictures, variant, preparation)
    how = "" if preparation == CONTRACT else f" as {preparation}"

    def action(progress: Progress) -> None:
        done = score_pictures(
            variant.path,
            [picture.path for picture in pictures.evaluation.pictures],
            pipeline=spec.pipeline,
            out=scores,
            decoded=(
                cache_folder() / "decoded",
                _decoded_key(spec, pictures, preparation),
            ),
            threads=context.options.worker_threads,
            runtime=runtime,
            what=f"evaluating {name}{how}",
            operators=variant.libraries,
            neighbours=_voters(spec),
            preparation=preparation,
            identity=json_digest(inputs),
            node=node,
            progress=progress,
        )
        if done.resumed:
            context.voice.note(
                f"evaluating {name}{how}: {done.resumed} of {len(done.scores)} "
                "pictures were taken over from the run that was interrupted"
            )
        write_json(facts, _run_facts(done))

    context.stage(
        f"scores-{name}" if preparation == CONTRACT else f"skew-{preparation}-{name}",
        f"evaluate {name}{how}",
        inputs=inputs,
        outputs=[scores, facts],
        action=action,
    )
    return {"inputs": inputs, "scores": scores, "facts": facts}


def _scoring_inputs(
    context: Context,
    spec: ModelSpec,
    pictures: Pictures,
    variant: Variant,
    preparation: str = CONTRACT,
) -> dict[str, Any]:
    """Name what the scores of a variant depend on."""
    runtime = resolve_runtime(context.options.runtime)
    return {
        "model": variant.sha256,
        "pictures": json_digest(list(pictures.evaluation_digests)),
        "pipeline": spec.pipeline.digest(),
        "neighbours": neighbours_identity(spec),
        "runtime": runtime_identity(runtime),
        "pillow": PIL.__version__,
        "code": code_digest(*SCORING_CODE),
        **_device_inputs(preparation),
    }


def _device_inputs(preparation: str) -> dict[str, str]:
    """Name what a device's way of preparing pictures depends on."""
    if preparation == CONTRACT:
        return {}
    return {"preparation": preparation, "skew": code_digest("skew")}


def _voters(spec: ModelSpec) -> dict[str, Any] | None:
    """Give the neighbours as `score_pictures` takes them."""
    if spec.neighbours is None:
        return None
    return {**asdict(spec.neighbours), "labels": len(spec.labels)}


def neighbours_identity(spec: ModelSpec) -> list[Any]:
    """Name what the neighbours' votes depend on; nothing where there are none.

    Raises:
        BundleError: If a file of theirs cannot be read.
    """
    own = spec.neighbours
    if own is None:
        return []
    files = [hash_file(Path(path)) for path in (own.vectors, own.classes)]
    return [*files, own.metric, own.k]


def _run_facts(done: Pass) -> dict[str, Any]:
    return {
        "skipped": {str(index): why for index, why in done.skipped.items()},
        "images_per_s": round(done.images_per_s, 3),
        "delegate": done.delegate,
        "fallback": done.fallback,
    }


def _decoded_key(spec: ModelSpec, pictures: Pictures, preparation: str) -> str:
    return decoded_key(
        json_digest(list(pictures.evaluation_digests)),
        spec.pipeline.geometry_digest(),
        {
            "pillow": PIL.__version__,
            "code": code_digest(*DECODING_CODE),
            **_device_inputs(preparation),
        },
    )
