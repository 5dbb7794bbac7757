"""Small pictures inside the page, as the network sees them."""

from __future__ import annotations

import base64
import dataclasses
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from edgedeploy.ondevice.contract import ContractError, ImagePipeline
from edgedeploy.ondevice.pictures import decode, fit

SIDE = 160
_QUALITY = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A picture to be shown, or the reason why it cannot be.

    Attributes:
        uri: A data URI of a JPEG of `SIDE` by `SIDE` pixels, or empty.
        reason: Why there is none, or empty.
    """

    uri: str = ""
    reason: str = ""


def make_thumbnail(path: Path | None, pipeline: ImagePipeline | None) -> Thumbnail:
    """Decode a picture and cut out the square that the network sees.

    Args:
        path: The picture, or None if it is not known where it is.
        pipeline: The contract, or None for the largest centred square.

    Returns:
        The thumbnail; a picture that cannot be decoded gives a reason instead.
    """
    if path is None:
        return Thumbnail(reason="picture not at hand")
    view = _square_view(pipeline)
    try:
        pixels = fit(decode(path, view), view)
    except ContractError:
        return Thumbnail(reason="picture cannot be read")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Thumbnail(uri=f"data:image/jpeg;base64,{encoded}")


def _square_view(pipeline: ImagePipeline | None) -> ImagePipeline:
    if pipeline is None or pipeline.crop != "center_square":
        return ImagePipeline(width=SIDE, height=SIDE)
    # resize_then_crop may cut to another shape than a square; the square is close.
    return dataclasses.replace(
        pipeline,
        width=SIDE,
        height=SIDE,
        order="crop_then_resize",
        kernel="bicubic",
        antialias=True,
    )
