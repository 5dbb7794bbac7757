"""Golden pictures: small lossless ones, and what they are once prepared."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from edgedeploy.errors import InputError
from edgedeploy.ondevice.contract import ImagePipeline, normalise
from edgedeploy.ondevice.pictures import PictureError, decode

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLED_VALUES = 32

# (width, height, transparent): wide, tall, one that has to be enlarged, and one with
# an alpha channel, so that each branch of the geometry is exercised.
SHAPES = (
    (320, 213, False),
    (180, 320, False),
    (97, 83, False),
    (320, 256, True),
)


def make_golden_pictures(pictures: Sequence[Path]) -> tuple[bytes, ...]:
    """Cut small lossless pictures of different shapes from given ones.

    Args:
        pictures: At least one; fewer than four are used again.

    Returns:
        At least four PNG files without ICC profile or EXIF; equal pictures give
        equal bytes with one version of Pillow.

    Raises:
        InputError: If there are none or one cannot be decoded.
    """
    if not pictures:
        raise InputError("golden vectors need at least one picture; received none")
    plain = ImagePipeline(width=1, height=1)
    encoded = []
    for number in range(max(len(pictures), len(SHAPES))):
        path = pictures[number % len(pictures)]
        width, height, transparent = SHAPES[number % len(SHAPES)]
        try:
            image = decode(path, plain)
        except PictureError as error:
            raise InputError(f"golden vectors: {error}") from error
        cut = _cover(image, width, height)
        if transparent:
            # Opaque at the left, clear at the right: every mixture occurs.
            ramp = np.linspace(255, 0, width).astype(np.uint8)
            cut.putalpha(Image.fromarray(np.tile(ramp, (height, 1))))
        buffer = io.BytesIO()
        # The highest level takes up to eight times as long, for a few percent.
        cut.save(buffer, format="PNG", compress_level=6)
        encoded.append(buffer.getvalue())
    return tuple(encoded)


def describe_tensor(rgb: NDArray[np.uint8], pipeline: ImagePipeline) -> dict[str, Any]:
    """Write down a prepared picture so that a device can check its own.

    Args:
        rgb: Shape (height, width, 3), uint8, RGB, of the contract's size.
        pipeline: The contract.

    Returns:
        {"rgb_sha256", "tensor_samples": [[flat index, value]], "tensor_mean"}.
    """
    flat = normalise(rgb, pipeline).ravel()
    count = min(SAMPLED_VALUES, flat.size)
    # Odd steps through the tensor meet all three channels.
    positions = [flat.size * number // count for number in range(count)]
    return {
        "rgb_sha256": hashlib.sha256(rgb.tobytes()).hexdigest(),
        "tensor_samples": [[index, float(flat[index])] for index in positions],
        "tensor_mean": float(flat.mean(dtype=np.float64)),
    }


def _cover(image: Image.Image, width: int, height: int) -> Image.Image:
    """Cut the centre of the wanted shape and scale it, without metadata."""
    if image.width * height >= image.height * width:
        box_h, box_w = image.height, max(1, image.height * width // height)
    else:
        box_w, box_h = image.width, max(1, image.width * height // width)
    left, top = (image.width - box_w) // 2, (image.height - box_h) // 2
    cut = image.crop((left, top, left + box_w, top + box_h))
    scaled = cut.resize((width, height), Image.Resampling.LANCZOS)
    return Image.fromarray(np.asarray(scaled))
