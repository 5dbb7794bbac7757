"""The contracts that a network could have been trained with.

Published image classifiers differ in a handful of habits. Each is an axis here, and a
value of an axis is one habit; the contract that a model's file states is always among
the candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from edgedeploy.ondevice.contract import ImagePipeline, normalisation_table

RANGE, CHANNELS, CROP = "range", "channels", "crop"
FRACTION, KERNEL = "crop_fraction", "kernel"
# What is looked for together, since one wrong value can hide another.
MAIN_AXES = (RANGE, CHANNELS, CROP)
# What costs so little that it is looked for around the winner, one axis at a time.
FINE_AXES = (FRACTION, KERNEL)

# Normalisations on the scale 0..255, as (mean, std): of TensorFlow's models, of Keras'
# rescaling layer, of torchvision, of a network that normalises by itself, of Caffe.
_RANGES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "-1..1": ((127.5,) * 3, (127.5,) * 3),
    "0..1": ((0.0,) * 3, (255.0,) * 3),
    "ImageNet mean and deviation": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "0..255": ((0.0,) * 3, (1.0,) * 3),
    "ImageNet mean alone": ((123.68, 116.779, 103.939), (1.0,) * 3),
}
_CROPS: dict[str, dict[str, Any]] = {
    "center square": {"crop": "center_square"},
    # Whoever squashes takes the whole picture.
    "squashed": {"crop": "none", "crop_fraction": 1.0},
}
_FRACTIONS = (0.75, 0.8, 0.875, 0.95, 1.0)
_KERNELS = ("nearest", "box", "bilinear", "bicubic", "lanczos")
# Tables that differ by less than this share of their span are one habit: 127 and 128
# instead of 127.5 are the same range to any network.
_SAME_RANGE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A contract, and its value on each axis.

    Attributes:
        values: Value by axis, of the axes that this round is about.
        pipeline: The contract.
    """

    values: tuple[tuple[str, str], ...]
    pipeline: ImagePipeline

    @property
    def name(self) -> str:
        """The values, for people."""
        return ", ".join(value for _, value in self.values)

    def value(self, axis: str) -> str:
        """Give the value on an axis."""
        return dict(self.values)[axis]

    def differs_only_in(self, axis: str, other: Candidate) -> bool:
        """Whether two candidates are one but for an axis."""
        mine, others = dict(self.values), dict(other.values)
        return mine.pop(axis) != others.pop(axis) and mine == others


def main_candidates(stated: ImagePipeline) -> tuple[Candidate, ...]:
    """Give every combination of range, channel order, and crop.

    Args:
        stated: The contract of the model's file. Its kernel and crop fraction are
            kept, and its range replaces the one of the table that is as good as it.

    Returns:
        The candidates; `stated_values` tells which of them is the contract.
    """
    ranges = _ranges(stated)
    grid = product(ranges.items(), ("rgb", "bgr"), _crops(stated).items())
    return tuple(
        Candidate(
            values=((RANGE, span), (CHANNELS, channels), (CROP, crop)),
            pipeline=replace(stated, mean=mean, std=std, channels=channels, **geometry),
        )
        for (span, (mean, std)), channels, (crop, geometry) in grid
    )


def fine_candidates(winner: ImagePipeline) -> dict[str, tuple[Candidate, ...]]:
    """Vary crop fraction and kernel around a contract, one axis at a time.

    Args:
        winner: The best contract of the main axes.

    Returns:
        Candidates by axis; the winner is one of each.
    """
    fractions = sorted({*_FRACTIONS, winner.crop_fraction})
    kernels: dict[str, dict[str, Any]] = {
        _kernel_name(kernel, antialias): {"kernel": kernel, "antialias": antialias}
        for kernel in _KERNELS
        # Nearest has no neighbours to smooth over.
        for antialias in ((True,) if kernel == "nearest" else (True, False))
    }
    return {
        FRACTION: tuple(
            Candidate(
                values=((FRACTION, f"{fraction:g}"),),
                pipeline=replace(winner, crop_fraction=fraction),
            )
            for fraction in fractions
        ),
        KERNEL: tuple(
            Candidate(
                values=((KERNEL, name),),
                pipeline=replace(winner, **fields),
            )
            for name, fields in kernels.items()
        ),
    }


def stated_values(stated: ImagePipeline) -> dict[str, str]:
    """Tell a contract's value on each axis.

    Args:
        stated: The contract of the model's file.
    """
    return {
        RANGE: next(iter(_ranges(stated))),
        CHANNELS: stated.channels,
        CROP: next(iter(_crops(stated))),
        FRACTION: f"{stated.crop_fraction:g}",
        KERNEL: _kernel_name(stated.kernel, stated.antialias),
    }


def _ranges(stated: ImagePipeline) -> Mapping[str, tuple[Any, Any]]:
    """The contract's own range first, then the others."""
    own = (stated.mean, stated.std)
    same = [name for name, span in _RANGES.items() if _as_good_as(stated, span)]
    name = same[0] if same else f"mean {_triple(own[0])}, std {_triple(own[1])}"
    others = {key: span for key, span in _RANGES.items() if key not in same}
    return {name: own, **others}


def _crops(stated: ImagePipeline) -> Mapping[str, dict[str, Any]]:
    """The contract's own crop first, as it is, then the other."""
    own = "center square" if stated.crop == "center_square" else "squashed"
    others = {name: dict(fields) for name, fields in _CROPS.items() if name != own}
    return {own: {}, **others}


def _as_good_as(stated: ImagePipeline, span: tuple[Any, Any]) -> bool:
    mine = normalisation_table(stated)
    other = normalisation_table(replace(stated, mean=span[0], std=span[1]))
    distance = np.abs(mine - other).max() / (other.max() - other.min())
    return bool(distance < _SAME_RANGE)


def _kernel_name(kernel: str, antialias: bool) -> str:
    if kernel == "nearest":
        return kernel
    return kernel if antialias else f"{kernel} without antialias"


def _triple(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in values)
