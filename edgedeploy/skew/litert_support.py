"""The image operators of the LiteRT support library for Android.

Follows org.tensorflow.lite.support.image.ops, version 0.4.4: ResizeOp hands over to
`Bitmap.createScaledBitmap`, and ResizeWithCropOrPadOp copies pixels unscaled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.skew.skia import scale_bitmap

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHODS = ("bilinear", "nearest")


def resize(
    rgb: NDArray[np.uint8], size: tuple[int, int], method: str = "bilinear"
) -> NDArray[np.uint8]:
    """Scale a picture as ResizeOp does; its sides keep no proportion.

    Args:
        rgb: Shape (rows, columns, 3), uint8.
        size: (width, height) wanted, in pixels.
        method: One of `METHODS`: BILINEAR or NEAREST_NEIGHBOR.

    Returns:
        Shape (height, width, 3), uint8.
    """
    return scale_bitmap(rgb, size, smooth=method == "bilinear")


def crop_or_pad(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Cut or surround a picture as ResizeWithCropOrPadOp does.

    Where the difference is odd, the smaller half comes first: the contract's own crop
    takes the larger, and so starts one pixel later.

    Args:
        rgb: Shape (rows, columns, 3), uint8.
        size: (width, height) wanted, in pixels.

    Returns:
        Shape (height, width, 3), uint8; black where there was no picture.
    """
    width, height = size
    out = np.zeros((height, width, 3), np.uint8)
    down, up = _overlap(rgb.shape[0], height)
    left, right = _overlap(rgb.shape[1], width)
    out[up, right] = rgb[down, left]
    return out


def _overlap(have: int, want: int) -> tuple[slice, slice]:
    """Find what is taken of the source, and where it goes."""
    if want > have:
        start = (want - have) // 2
        return slice(0, have), slice(start, start + have)
    start = (have - want) // 2
    return slice(start, start + want), slice(0, want)
