"""Which pixels a network takes, told from what it does with them first."""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.adopt.found import Triple
from edgedeploy.adopt.ranges import RANGES

# Calibrated ends miss the true ones by a few steps of 255.
_OFF = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """Mean and deviation of the contract, and how they are known.

    Attributes:
        mean: On 0..255; None where nothing tells.
        std: The same.
        reason: How they are known; "" where they are not.
        assumed: Whether they are a guess.
    """

    mean: Triple | None = None
    std: Triple | None = None
    reason: str = ""
    assumed: bool = False


def of_arithmetic(scale: float, offset: float, reason: str) -> Normalisation:
    """Tell which pixels a network takes that begins with scale * x + offset.

    Args:
        scale: What it multiplies with.
        offset: What it adds.
        reason: Where that was read.

    Returns:
        Pixels of 0..255 where that gives the network numbers of a usual size, else
        pixels of 0..1; assumed where others are as plausible.
    """
    # Published networks compute on numbers up to 3 or so; Caffe's alone take 0..255
    # less a mean of about 110.
    takes_bytes = abs(scale) * 255 <= 20 or abs(offset) > 20
    std = 1.0 if takes_bytes else 255.0
    return Normalisation(
        mean=(0.0,) * 3,
        std=(std,) * 3,
        reason=f"{reason} (x * {scale:.5g} {offset:+.5g})",
        assumed=not _is_usual(scale, offset),
    )


def of_picture(last: str) -> Normalisation:
    """Guess which pixels a network takes from the last thing it does to a picture.

    Args:
        last: The operator or activation, in any file's word for it.

    Returns:
        0..1 after a sigmoid, -1..1 after a tangent, assumed; nothing else tells.
    """
    name = {"logistic": "0..1", "sigmoid": "0..1", "tanh": "-1..1"}.get(last.lower())
    if name is None:
        return Normalisation()
    return Normalisation(
        mean=RANGES[name].mean,
        std=RANGES[name].std,
        reason=f"its output ends in {last}, so it gives {name}, and takes the same",
        assumed=True,
    )


def _is_usual(scale: float, offset: float) -> bool:
    """Whether pixels of one range alone become numbers that networks compute on.

    The centre, what becomes 0, is a black pixel or about the mean of photos.
    """
    if scale <= 0:
        return False
    centre = -offset / scale
    of_bytes = 0.5 <= scale * 255 <= 8 and 0 <= centre <= 200
    caffe = scale == 1 and 90 <= centre <= 140
    # A scale of 1 or a centre of 0 would be a batch normalisation's as well.
    of_units = 1.5 <= scale <= 8 and 0.2 <= centre <= 0.8
    return of_bytes or caffe or of_units


def of_interval(low: float, high: float) -> Normalisation:
    """Tell which pixels a network takes whose float input is cut off at two ends.

    Args:
        low: The least number that it tells from others.
        high: The largest.

    Returns:
        The usual range of these ends, or else the one that puts black and white on
        them. Assumed, since the ends are those of the pictures of a calibration.
    """
    reason = f"its float input is quantised over {low:.3g}..{high:.3g}"
    for usual in RANGES.values():
        ends = (
            min(-m / s for m, s in zip(usual.mean, usual.std, strict=True)),
            max((255 - m) / s for m, s in zip(usual.mean, usual.std, strict=True)),
        )
        off = max(abs(low - ends[0]), abs(high - ends[1]))
        if off <= _OFF * (ends[1] - ends[0]):
            return Normalisation(
                mean=usual.mean, std=usual.std, reason=reason, assumed=True
            )
    std = 255 / (high - low)
    return Normalisation(
        mean=(-low * std,) * 3, std=(std,) * 3, reason=reason, assumed=True
    )
