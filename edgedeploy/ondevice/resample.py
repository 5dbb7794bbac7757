"""Resizing without antialiasing: the kernel keeps its width when shrinking.

Pillow always widens the kernel; networks trained with tf.image.resize's default
want it narrow. Pixel centres lie at half-integers, as in both.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _box(x: float) -> float:
    return 1.0 if -0.5 < x <= 0.5 else 0.0


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _cubic(x: float) -> float:
    """Keys' cubic with a = -0.5 (Keys 1981), as in Pillow and tf.image.resize."""
    x = abs(x)
    if x < 1.0:
        return (1.5 * x - 2.5) * x * x + 1.0
    if x < 2.0:
        return ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return 0.0


def _lanczos3(x: float) -> float:
    if x == 0.0:
        return 1.0
    if abs(x) >= 3.0:
        return 0.0
    t = math.pi * x
    return 3.0 * math.sin(t) * math.sin(t / 3.0) / (t * t)


_KERNELS = {
    "box": (_box, 1),
    "bilinear": (_triangle, 1),
    "bicubic": (_cubic, 2),
    "lanczos": (_lanczos3, 3),
}


def resample_plain(
    rgb: NDArray[np.uint8], size: tuple[int, int], kernel: str
) -> NDArray[np.uint8]:
    """Resize a picture with a kernel of fixed width.

    Args:
        rgb: Shape (rows, columns, 3), uint8.
        size: (width, height) wanted, in pixels.
        kernel: "box", "bilinear", "bicubic" or "lanczos".

    Returns:
        Shape (height, width, 3), uint8, rounded half up and saturated.
    """
    width, height = size
    values: NDArray[Any] = rgb.astype(np.float64)
    values = _along_rows(values, height, kernel)
    values = _along_rows(values.transpose(1, 0, 2), width, kernel).transpose(1, 0, 2)
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


def _along_rows(values: NDArray[Any], count: int, kernel: str) -> NDArray[Any]:
    """Resample the first axis to `count` rows, weights renormalised at the borders."""
    function, support = _KERNELS[kernel]
    rows = values.shape[0]
    out = np.zeros((count, *values.shape[1:]))
    for target in range(count):
        centre = (target + 0.5) * rows / count - 0.5
        first = math.floor(centre) - support + 1
        taps = [
            (row, function(row - centre))
            for row in range(first, first + 2 * support)
            if 0 <= row < rows
        ]
        total = sum(weight for _, weight in taps)
        for row, weight in taps:
            out[target] += values[row] * (weight / total)
    return out
