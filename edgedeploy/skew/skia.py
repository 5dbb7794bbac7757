"""Android's `Bitmap.createScaledBitmap`, which draws through Skia on the CPU.

Follows Skia's SkBitmapProcState (src/core, milestone 144): for the platform's own
32-bit format it samples with weights of 1/16 pixel and cuts off instead of rounding,
so the result is coarser than bilinear interpolation elsewhere. Nothing is averaged
when shrinking: Android's Canvas asks for no mipmaps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.skew.bilinear import blend, take_taps

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Weights have four bits: SkBitmapProcState packs index, weight, index into 32 bits.
_WEIGHT_BITS = 4
# Pixels between two exact positions: what its buffer of 512 bytes holds of them. In
# between the position is a sum of steps, and its error grows.
_RUN = 127
# Positions are fixed-point numbers with so many bits after the point.
_FRACTION = 32
# So much is taken off without a filter, in the same unit: 1/65536 of a pixel, which
# makes a position on the edge of two pixels belong to the first.
_EDGE = 1 << 16


def scale_bitmap(
    rgb: NDArray[np.uint8], size: tuple[int, int], *, smooth: bool = True
) -> NDArray[np.uint8]:
    """Scale a picture as `Bitmap.createScaledBitmap(src, width, height, filter)`.

    Bit for bit what skia-python 144.1 draws in the platform's own 32-bit format.
    Skia takes another path for pictures with a side over 16,383 pixels; that is not
    emulated.

    Args:
        rgb: Shape (rows, columns, 3), uint8.
        size: (width, height) wanted, in pixels.
        smooth: The method's `filter`: bilinear, or the nearest pixel.

    Returns:
        Shape (height, width, 3), uint8.
    """
    width, height = size
    rows, columns = rgb.shape[:2]
    if not smooth:
        across = _positions(width, columns, _RUN) - _EDGE >> _FRACTION
        down = _positions(height, rows, 1) - _EDGE >> _FRACTION
        picked = rgb[
            np.clip(down, 0, rows - 1)[:, None], np.clip(across, 0, columns - 1)
        ]
        return np.ascontiguousarray(picked)
    half, shift = 1 << (_FRACTION - 1), _FRACTION - _WEIGHT_BITS
    across = _positions(width, columns, _RUN) - half >> shift
    # Each row starts anew, so its position is exact.
    down = _positions(height, rows, 1) - half >> shift
    return blend(
        rgb,
        take_taps(across, _WEIGHT_BITS, columns),
        take_taps(down, _WEIGHT_BITS, rows),
        rounding=0,
    )


def _positions(count: int, size: int, run: int) -> NDArray[np.int64]:
    """Find the centres of the output pixels in the source, as fixed-point numbers.

    The matrix and its inverse are float32, as in SkMatrix.
    """
    scale = np.float32(count) / np.float32(size)
    inverse = np.float32(1) / scale
    step = int(np.float64(inverse) * (1 << _FRACTION))
    pixels = np.arange(count, dtype=np.int64)
    start = pixels // run * run
    centre = (start.astype(np.float32) + np.float32(0.5)) * inverse
    return (centre.astype(np.float64) * (1 << _FRACTION)).astype(np.int64) + (
        pixels - start
    ) * step
