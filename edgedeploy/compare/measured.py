"""Both sides' answers to pictures that neither build may have seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.compare.accuracy import Answers
from edgedeploy.errors import InputError
from edgedeploy.evaluate.engine import score_pictures
from edgedeploy.images.datasets import read_dataset

if TYPE_CHECKING:
    from edgedeploy.compare.side import Side
    from edgedeploy.isolate import Progress
    from edgedeploy.specs import ModelSpec


def measure_answers(
    old: Side,
    new: Side,
    images: Path,
    spec: ModelSpec | None,
    *,
    scratch: Path,
    threads: int,
    runtime: str,
    progress: Progress,
) -> Answers:
    """Run the same pictures through both sides' files.

    A build's file gets its pictures by the build's own contract; a single file gets
    them by the model's that `spec` describes.

    Args:
        old: The side that is in use.
        new: The side that shall replace it.
        images: Folder of pictures.
        spec: The model, whose numbering the pictures' labels follow; None takes the
            labels inside the files, where both sides are builds.
        scratch: Folder for the scores, which outlive the answers' reading only.
        threads: Of decoding and of the interpreter.
        runtime: A runtime's name.
        progress: Told how many pictures are done, twice over.

    Raises:
        InputError: If the folder holds no pictures, a file has no contract, or it
            gives another number of scores than there are labels.
        EvaluationError: If a file does not take the contract's pictures.
    """
    labels = spec.labels if spec else new.shipped.labels or old.shipped.labels
    if not labels:
        raise InputError(
            "neither side carries labels; give --model the model that they belong to"
        )
    for side in (old, new):
        if side.shipped.classes not in (0, len(labels)):
            raise InputError(
                f"{side.path}: gives {side.shipped.classes} scores a picture, but "
                f"{spec.name if spec else 'the file'} has {len(labels)} labels; give "
                "--model the model that both sides belong to"
            )
    dataset = read_dataset(
        images,
        labels,
        spec.label_ids if spec else (),
        column=spec.label_set if spec else "",
    )
    paths = [picture.path for picture in dataset.pictures]
    scores = []
    for name, side in (("old", old), ("new", new)):
        pipeline = side.pipeline or (spec.pipeline if spec else None)
        if pipeline is None:
            raise InputError(
                f"{side.path}: a single file has no contract; give --model the model "
                "that it belongs to"
            )
        found = score_pictures(
            side.shipped.path,
            paths,
            pipeline=pipeline,
            out=scratch / f"{name}.npy",
            decoded=(scratch / "decoded", pipeline.geometry_digest()[:32]),
            threads=threads,
            runtime=runtime,
            what=f"evaluating {side.path}",
            progress=progress,
        )
        scores.append(found.scores)
    truth = [
        -1 if picture.label is None else picture.label for picture in dataset.pictures
    ]
    return Answers(
        source=f"{dataset.name}, measured now",
        names=[picture.name for picture in dataset.pictures],
        labels=np.array(truth, np.int64),
        old=scores[0],
        new=scores[1],
    )
