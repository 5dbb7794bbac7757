"""Which pictures calibrate, and what is wrong with them.

A quantised network is as good as its calibration: the field's worst failures came
from one picture given thousands of times, from test pictures, and from a wrong range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgedeploy.errors import InputError
from edgedeploy.images.datasets import MINIMUM, RECOMMENDED, Dataset, Picture
from edgedeploy.ondevice.contract import ImagePipeline, normalisation_table
from edgedeploy.ondevice.pictures import PictureError, prepare

# More pictures cost minutes and change nothing: 16 did as well as 125 when measured.
MAXIMUM = 128
# A standard deviation below this in every channel, on 0..255, is a blank page or a
# lens cap.
NEAR_CONSTANT = 4.0
# Normalised inputs outside this range mean that mean and std belong to another model.
PLAUSIBLE_RANGE = 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationSet:
    """The pictures that calibrate.

    Attributes:
        pictures: Distinct and decodable, at most `MAXIMUM`, in the order of their
            content digests.
        digests: SHA-256 of each picture's bytes.
        warnings: What the linter found, one line each.
    """

    pictures: tuple[Picture, ...]
    digests: tuple[str, ...]
    warnings: tuple[str, ...]


def calibration_set(
    dataset: Dataset,
    digests: Sequence[str],
    *,
    evaluation_digests: Sequence[str],
    pipeline: ImagePipeline,
) -> CalibrationSet:
    """Choose and lint the calibration pictures.

    Args:
        dataset: The candidates.
        digests: SHA-256 of each candidate's bytes, in order.
        evaluation_digests: SHA-256 of each evaluation picture's bytes.
        pipeline: The contract.

    Raises:
        InputError: If fewer than 16 distinct pictures can be decoded, if they are
            nearly all constant, or if evaluation pictures are among them.
    """
    by_digest: dict[str, Picture] = {}
    for picture, digest in zip(dataset.pictures, digests, strict=True):
        by_digest.setdefault(digest, picture)
    _refuse_overlap(dataset, by_digest, evaluation_digests)
    warnings = []
    usable, constant, broken = _decodable(by_digest, pipeline)
    if len(usable) + len(broken) < len(by_digest):
        warnings.append(
            f"calibration uses {MAXIMUM} of the {len(by_digest)} pictures in "
            f"{dataset.name}, chosen by content; more change nothing measurable"
        )
    if len(usable) < MINIMUM:
        raise InputError(
            f"calibration needs at least {MINIMUM} distinct pictures; {dataset.name} "
            f"has {len(usable)} of {len(dataset.pictures)} that can be used. Add "
            "pictures, or leave the recipes out that need calibration"
        )
    if len(constant) * 2 > len(usable):
        raise InputError(
            f"{dataset.name}: {len(constant)} of {len(usable)} calibration pictures "
            "are nearly one colour; they would calibrate the network to nothing"
        )
    warnings += _findings(dataset, digests, usable, constant, broken, pipeline)
    return CalibrationSet(
        pictures=tuple(by_digest[digest] for digest in usable),
        digests=tuple(usable),
        warnings=tuple(warnings),
    )


def _refuse_overlap(
    dataset: Dataset, by_digest: dict[str, Picture], evaluation: Sequence[str]
) -> None:
    shared = sorted(set(by_digest) & set(evaluation))
    if shared:
        raise InputError(
            f"{dataset.name}: {len(shared)} of {len(by_digest)} calibration pictures "
            f"are evaluation pictures too, such as {by_digest[shared[0]].name}; "
            "accuracy would be measured on what was calibrated with. Remove them"
        )


def _decodable(
    by_digest: dict[str, Picture], pipeline: ImagePipeline
) -> tuple[list[str], list[str], list[str]]:
    """Take the first `MAXIMUM` usable digests.

    Returns:
        Those, the near-constant among them, and the names of the broken that were
        met on the way.
    """
    usable: list[str] = []
    constant: list[str] = []
    broken: list[str] = []
    for digest in sorted(by_digest):
        if len(usable) == MAXIMUM:
            break
        picture = by_digest[digest]
        try:
            rgb = prepare(picture.path, pipeline)
        except PictureError:
            broken.append(picture.name)
            continue
        usable.append(digest)
        # Per channel: a red page is as blank as a grey one.
        if float(np.std(rgb, axis=(0, 1)).max()) < NEAR_CONSTANT:
            constant.append(digest)
    return usable, constant, broken


def _findings(
    dataset: Dataset,
    digests: Sequence[str],
    usable: Sequence[str],
    constant: Sequence[str],
    broken: Sequence[str],
    pipeline: ImagePipeline,
) -> list[str]:
    """Say what is weak but not wrong."""
    found = []
    if len(usable) < RECOMMENDED and not dataset.samples:
        found.append(
            f"calibration has {len(usable)} pictures; {RECOMMENDED} or more of your "
            "own are better"
        )
    duplicates = len(digests) - len(set(digests))
    if duplicates:
        found.append(
            f"{dataset.name}: {duplicates} calibration pictures are duplicates"
        )
    if constant:
        found.append(
            f"{dataset.name}: {len(constant)} calibration pictures are nearly one "
            "colour"
        )
    if broken:
        found.append(
            f"{dataset.name}: {len(broken)} calibration pictures cannot be decoded, "
            f"such as {broken[0]}"
        )
    table = normalisation_table(pipeline)
    low, high = float(table.min()), float(table.max())
    if max(abs(low), abs(high)) > PLAUSIBLE_RANGE:
        found.append(
            f"calibration tensors span {low:g} to {high:g}; unless the network "
            "rescales its input itself, mean and std are wrong"
        )
    return found
