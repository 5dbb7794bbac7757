"""The usual normalisations, to choose from where a file does not tell its own."""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.adopt.found import Triple
from edgedeploy.architectures import ONNX, TORCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A normalisation by a name that people use.

    Attributes:
        name: The answer to the question.
        mean: On 0..255.
        std: The same.
    """

    name: str
    mean: Triple
    std: Triple


RANGES = {
    one.name: one
    for one in (
        Range(name="-1..1", mean=(127.5,) * 3, std=(127.5,) * 3),
        Range(name="0..1", mean=(0.0,) * 3, std=(255.0,) * 3),
        Range(name="0..255", mean=(0.0,) * 3, std=(1.0,) * 3),
        Range(
            name="imagenet",
            mean=(123.675, 116.28, 103.53),
            std=(58.395, 57.12, 57.375),
        ),
    )
}


def usual_range(architecture: str) -> Range:
    """What is most usual where a kind of file comes from.

    Args:
        architecture: Of the TOML.
    """
    torch = architecture in (ONNX, TORCH)
    return RANGES["imagenet" if torch else "-1..1"]
