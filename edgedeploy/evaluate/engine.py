"""Scores of one variant over many pictures, made in a child process."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.checkpoint import remove_checkpoint
from edgedeploy.evaluate.node import describe_node
from edgedeploy.evaluate.preparing import CONTRACT
from edgedeploy.isolate import Progress, run_isolated, silent
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.workspace import json_digest

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one pass over the pictures gave.

    Attributes:
        scores: Real scores, shape (images, classes), float32; NaN rows for skipped.
        skipped: Index of each undecodable picture and why.
        images_per_s: Pictures per second, decoding included where it was needed; of
            those that this run did, not of those that a killed one had done.
        delegate: "XNNPACK" or "none".
        fallback: Operators that XNNPACK left, with how many of each; None where that
            is not known.
        resumed: Pictures that an earlier, interrupted pass had done.
    """

    scores: NDArray[np.float32]
    skipped: dict[int, str]
    images_per_s: float
    delegate: str
    fallback: dict[str, int] | None
    resumed: int = 0


def score_pictures(
    model: Path,
    pictures: Sequence[Path],
    *,
    pipeline: ImagePipeline,
    out: Path,
    decoded: tuple[Path, str] | None,
    threads: int,
    runtime: str,
    what: str,
    operators: Sequence[Path] = (),
    neighbours: Mapping[str, Any] | None = None,
    preparation: str = CONTRACT,
    identity: str = "",
    node: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Pass:
    """Run every picture through a model.

    Args:
        model: A .tflite classifier.
        pictures: Picture files.
        pipeline: The contract.
        out: Where the scores go, a .npy file.
        decoded: Folder and key of the decoded pictures, or None to keep none.
        threads: Pictures that are worked on at the same time, each by a process.
        runtime: A runtime's name.
        what: Subject of an error message, such as "evaluating int8".
        operators: Shared libraries of the operators that the model needs.
        neighbours: Where the network gives embeddings: {"vectors", "classes",
            "metric", "k", "labels"}, the first two .npy files.
        preparation: A name of `preparing.PREPARATIONS`; the key of the decoded
            pictures has to tell it.
        identity: Digest of the model, the pictures' contents, the contract and the
            versions; a pass that was killed goes on from there. "" for one that
            starts from the beginning, and leaves nothing behind when it fails.
        node: Where the scores are made, as `describe_node` says; None for here.
        progress: Told how many pictures are done.

    Raises:
        EvaluationError: If there are no pictures, the model does not fit them, or it
            answers what is not a number.
        WorkspaceError: If the scores cannot be written.
        IsolatedError: If the runtime crashed.
    """
    if not pictures:
        raise EvaluationError(f"{what}: there are no pictures")
    own = pass_identity(identity or secrets.token_hex(), node or describe_node(runtime))
    try:
        result = run_isolated(
            "edgedeploy.evaluate.passes:run_pass",
            {
                "model": str(model),
                "pictures": [str(path) for path in pictures],
                "pipeline": pipeline.to_dict(),
                "out": str(out),
                "identity": own,
                "decoded": [str(decoded[0]), decoded[1]] if decoded else None,
                "threads": threads,
                "runtime": runtime,
                "operators": [str(library) for library in operators],
                "neighbours": dict(neighbours) if neighbours else None,
                "preparation": preparation,
            },
            what=what,
            progress=progress,
        )
    finally:
        if not identity:
            remove_checkpoint(out)
    return Pass(
        scores=np.load(out, mmap_mode="r"),
        skipped={int(key): reason for key, reason in result["skipped"].items()},
        images_per_s=result["images_per_s"],
        delegate=result["delegate"],
        fallback=result["fallback"],
        resumed=result["resumed"],
    )


def pass_identity(identity: str, node: Mapping[str, str]) -> str:
    """Name all that decides the bits of a pass's scores.

    Args:
        identity: Digest of model, pictures, contract and versions.
        node: Where they are made, as `describe_node` says.
    """
    return json_digest([identity, dict(node)])
