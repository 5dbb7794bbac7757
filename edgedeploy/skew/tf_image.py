"""`tf.image.resize`, which most training code calls.

Follows TensorFlow 2.21: pixel centres at half-integers; without antialias the kernel
keeps its width when shrinking (resize_bilinear), with it the kernel widens
(scale_and_translate). Nothing is rounded: the result is float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def resize(
    rgb: NDArray[np.uint8], size: tuple[int, int], *, antialias: bool = False
) -> NDArray[np.float32]:
    """Resize a picture as `tf.image.resize(image, (height, width), "bilinear")`.

    Args:
        rgb: Shape (rows, columns, 3), uint8.
        size: (width, height) wanted, in pixels.
        antialias: The function's argument of the same name.

    Returns:
        Shape (height, width, 3), float32, 0 to 255; within 0.01 of TensorFlow, whose
        positions are float32.
    """
    width, height = size
    down = _weights(rgb.shape[0], height, antialias)
    across = _weights(rgb.shape[1], width, antialias)
    values = np.tensordot(down, rgb.astype(np.float32), axes=(1, 0))
    # Shape (height, 3, width) before the axes are put back.
    return np.ascontiguousarray(
        np.tensordot(values, across, axes=(1, 1)).transpose(0, 2, 1), np.float32
    )


def _weights(size: int, count: int, antialias: bool) -> NDArray[np.float32]:
    """Give each output pixel's weights of the source pixels, shape (count, size)."""
    scale = size / count
    # The triangle's half width: that of the output's pixels, where those are larger.
    reach = max(scale, 1.0) if antialias else 1.0
    centres = (np.arange(count) + 0.5) * scale - 0.5
    if not antialias:
        # Edges are repeated; with antialias the weights are scaled to one instead.
        centres = np.clip(centres, 0, size - 1)
    distance = np.abs(np.arange(size)[None, :] - centres[:, None]) / reach
    weights = np.maximum(0.0, 1.0 - distance)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
