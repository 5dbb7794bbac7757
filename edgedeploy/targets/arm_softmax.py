"""The quantised softmax as LiteRT computes it on 64-bit Arm.

Of all operators of the int8 classifiers that were compared, this alone gives other
bits on Arm than here: LiteRT's kernel for aarch64 (`SoftmaxInt8LUT` in TensorFlow
Lite's optimized_ops.h) takes exponentials from a table of 16-bit integers and scales
them in fixed point, the kernel of other processors computes in float32. About one
answer in fifty has a score that is one step off. Replayed here from the logits, which
are the same, the answers of an Arm processor are known to the bit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.formats.tflite_tail import QuantisedTensor, SoftmaxTail

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_16_BITS = 65_535
_LIMITS = {"uint8": (0, 255), "int8": (-128, 127)}


def arm64_outputs(logits: NDArray[Any], tail: SoftmaxTail) -> NDArray[Any] | None:
    """Compute a model's outputs on 64-bit Arm from its logits.

    Args:
        logits: Shape (batch, classes), uint8 or int8 as the tail says.
        tail: The softmax and what follows it.

    Returns:
        The same shape, in the output's dtype; None where a requantisation follows
        the softmax that is more than a change between uint8 and int8.
    """
    shift = tail.output.zero_point - tail.scores.zero_point
    offsets = {"uint8": 0, "int8": -128}
    plain = offsets[tail.output.dtype] - offsets[tail.scores.dtype]
    if tail.output.scale != tail.scores.scale or shift != plain:
        return None
    scores = arm64_softmax(
        logits, scale=tail.logits.scale, beta=tail.beta, output=tail.scores
    )
    return (scores + shift).astype(tail.output.dtype)


def arm64_softmax(
    logits: NDArray[Any], *, scale: float, beta: float, output: QuantisedTensor
) -> NDArray[np.int64]:
    """Compute LiteRT's quantised softmax for aarch64.

    Args:
        logits: Shape (batch, classes), uint8 or int8; their zero point cancels out.
        scale: Their quantisation step.
        beta: Their factor.
        output: How the scores are quantised.

    Returns:
        Shape (batch, classes), int64, within the output's dtype.
    """
    table = _exponentials(scale, beta)
    wide = logits.astype(np.int64)
    exponentials = table[255 + wide - wide.max(axis=1, keepdims=True)]
    sums = exponentials.sum(axis=1)
    low, high = _LIMITS[output.dtype]
    rows = [
        _scale(row, np.float32(total), np.float32(output.scale))
        for row, total in zip(exponentials, sums, strict=True)
    ]
    scores: NDArray[np.int64] = np.stack(rows) + output.zero_point
    clipped: NDArray[np.int64] = np.clip(scores, low, high)
    return clipped


def _exponentials(scale: float, beta: float) -> NDArray[np.int64]:
    """Table of exp(scale * beta * (index - 255)) in units of 1/65535, rounded."""
    step = np.float32(scale) * np.float32(beta)
    powers = np.exp(step * np.arange(-255, 1, dtype=np.float32), dtype=np.float32)
    # The product and the rounding are in double precision there, as here.
    rounded = np.floor(powers.astype(np.float64) * _MAX_16_BITS + 0.5)
    table: NDArray[np.int64] = np.minimum(rounded, _MAX_16_BITS).astype(np.int64)
    return table


def _scale(
    exponentials: NDArray[np.int64], total: np.float32, step: np.float32
) -> NDArray[np.int64]:
    """Multiply by 1 / (total * step) in fixed point, rounding twice as gemmlowp."""
    factor = np.float32(1.0) / (total * step)
    fraction, exponent = math.frexp(float(factor))
    multiplier = round(fraction * (1 << 31))
    if multiplier == 1 << 31:
        multiplier, exponent = multiplier // 2, exponent + 1
    shifted = exponentials << max(exponent, 0)
    # Saturating rounding doubling high multiply; nothing here is negative.
    doubled: NDArray[np.int64] = (shifted * multiplier + (1 << 30)) >> 31
    right = max(-exponent, 0)
    if right == 0:
        return doubled
    rounded: NDArray[np.int64] = (doubled + (1 << (right - 1))) >> right
    return rounded
