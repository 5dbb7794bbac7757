"""The stage that finds the contract which a network was trained with."""

from __future__ import annotations

from typing import Any

from edgedeploy.detect.trial import Case, investigate
from edgedeploy.errors import InputError
from edgedeploy.images.datasets import MINIMUM
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.installed import resolve_runtime, runtime_identity
from edgedeploy.recipes import AS_IS, REFERENCE
from edgedeploy.specs import ModelSpec
from edgedeploy.stages.context import Context
from edgedeploy.stages.pictures import Pictures
from edgedeploy.stages.scoring import DECODING_CODE
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import code_digest, json_digest, read_json, write_json


def detect_pipeline(
    context: Context,
    spec: ModelSpec,
    pictures: Pictures,
    variants: tuple[Variant, ...],
) -> dict[str, Any]:
    """Try contracts on labelled pictures, and write pipeline.json.

    Returns:
        The value of pipeline.json.

    Raises:
        InputError: If too few of the pictures are labelled.
        EvaluationError: If pictures cannot be decoded.
    """
    evaluation = pictures.evaluation
    labelled = [
        (picture.path, picture.label, digest)
        for picture, digest in zip(
            evaluation.pictures, pictures.evaluation_digests, strict=True
        )
        if picture.label is not None
    ]
    if len(labelled) < MINIMUM:
        raise InputError(
            f"{evaluation.name}: the detective needs at least {MINIMUM} labelled "
            f"pictures; found {len(labelled)}. Give --images a folder per class"
        )
    variant = next(one for one in variants if one.recipe in (REFERENCE, AS_IS))
    runtime = resolve_runtime(context.options.runtime)
    path = context.workspace.folder / "pipeline.json"

    def action(progress: Progress) -> None:
        found = investigate(
            Case(
                model=variant.path,
                pictures=tuple(path for path, _, _ in labelled),
                labels=tuple(label for _, label, _ in labelled),
                stated=spec.pipeline,
                threads=context.options.worker_threads,
                runtime=runtime,
                operators=tuple(variant.libraries),
            ),
            progress=progress,
        )
        facts = {"schema": 1, "model": spec.name, "dataset": evaluation.name}
        write_json(path, facts | found)

    context.stage(
        "detection",
        "try contracts",
        inputs={
            "model": variant.sha256,
            "pictures": json_digest([(label, digest) for _, label, digest in labelled]),
            "pipeline": spec.pipeline.digest(),
            "runtime": runtime_identity(runtime),
            "code": code_digest(
                "detect",
                "evaluate",
                "ondevice/runtime.py",
                "ondevice/tensors.py",
                "ondevice/delegation.py",
                *DECODING_CODE,
            ),
        },
        outputs=[path],
        action=action,
    )
    result: dict[str, Any] = read_json(path)
    return result
