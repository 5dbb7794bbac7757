"""How alike two pictures are, for networks whose output is a picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import EvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PEAK = 255.0
# Wang et al. 2004, "Image Quality Assessment: From Error Visibility to Structural
# Similarity", section III.C: a Gaussian window of 11 by 11, sigma 1.5.
_RADIUS, _SIGMA = 5, 1.5
_K1, _K2 = 0.01, 0.03


def psnr(reference: NDArray[Any], picture: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio, 10 log10(255² / mean squared error).

    Args:
        reference: Shape (height, width, channels), on 0..255.
        picture: The same.

    Returns:
        Decibels; infinite for equal pictures.

    Raises:
        EvaluationError: If the shapes differ.
    """
    _check(reference, picture, 1)
    error = np.mean((np.asarray(reference, float) - np.asarray(picture, float)) ** 2)
    return math.inf if error == 0 else float(10 * np.log10(_PEAK**2 / error))


def ssim(reference: NDArray[Any], picture: NDArray[Any]) -> float:
    """Structural similarity (Wang et al. 2004), the mean over channels and places.

    Args:
        reference: Shape (height, width, channels), on 0..255, at least 11 by 11.
        picture: The same.

    Returns:
        Up to 1, which equal pictures have.

    Raises:
        EvaluationError: If the shapes differ, or the pictures are smaller.
    """
    _check(reference, picture, 2 * _RADIUS + 1)
    a, b = np.asarray(reference, float), np.asarray(picture, float)
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a = _blur(a * a) - mean_a**2
    variance_b = _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    c1, c2 = (_K1 * _PEAK) ** 2, (_K2 * _PEAK) ** 2
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    below = (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return float(np.mean(above / below))


def _blur(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh with the window, where it lies inside the picture alone."""
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    window = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    window /= window.sum()
    for axis in (0, 1):
        count = values.shape[axis] - 2 * _RADIUS
        values = sum(
            weight * np.take(values, range(first, first + count), axis=axis)
            for first, weight in enumerate(window)
        )
    return values


def _check(reference: NDArray[Any], picture: NDArray[Any], least: int) -> None:
    if reference.shape != picture.shape or reference.ndim != 3:
        raise EvaluationError(
            f"pictures of one shape (height, width, channels) are compared; received "
            f"{reference.shape} and {picture.shape}"
        )
    if min(reference.shape[:2]) < least:
        raise EvaluationError(
            f"pictures of {least}x{least} pixels or more are compared; received "
            f"{reference.shape[1]}x{reference.shape[0]}"
        )
