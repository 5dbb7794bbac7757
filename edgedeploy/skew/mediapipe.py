"""MediaPipe's image-to-tensor, as its image tasks run it on the CPU.

Follows mediapipe/calculators/tensor/image_to_tensor_converter_opencv.cc: the whole
picture is warped onto the tensor by cv::warpPerspective, bilinear, edges repeated.
The corners of picture and tensor are laid upon each other, but OpenCV counts from the
centres of pixels, so everything moves by half an output pixel to the upper left
against all other libraries here; and nothing is averaged when shrinking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.skew.bilinear import Taps, blend, take_taps

if TYPE_CHECKING:
    from numpy.typing import NDArray

# OpenCV's remap: positions are rounded to 1/32 pixel (INTER_BITS).
_BITS = 5


def image_to_tensor(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Bring a picture to the tensor's size; it is squashed, never cropped.

    Bit for bit what MediaPipe 1.2.2 hands to a model with a uint8 input.

    Args:
        rgb: Shape (rows, columns, 3), uint8.
        size: (width, height) of the tensor, in pixels.

    Returns:
        Shape (height, width, 3), uint8.
    """
    width, height = size
    rows, columns = rgb.shape[:2]
    across, down = _taps(width, columns), _taps(height, rows)
    return blend(rgb, across, down, rounding=across.parts * down.parts // 2)


def _taps(count: int, size: int) -> Taps:
    """Sample at the pixels' corners, as the four points of the warp say."""
    corners = np.arange(count) * (size / count)
    return take_taps(np.rint(corners * (1 << _BITS)).astype(np.int64), _BITS, size)
