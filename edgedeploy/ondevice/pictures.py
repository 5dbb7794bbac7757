"""Pictures: bytes to 8-bit sRGB, then to the contract's size.

Everything a phone's gallery or a scraped data set holds is either decoded to the
same RGB everywhere, or refused with a reason.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from .contract import ContractError, ImagePipeline, crop_box, resized_size
from .resample import resample_plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

# 128 Mi pixels: above the largest phone cameras (108 MP), below half a gigabyte.
MAX_PIXELS = 128 * 1024 * 1024
# Pillow warns at its own, lower limit and refuses at twice that; ours is exact.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

# Phones' MPO files open as JPEG; the name itself is unknown to Image.open.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif")

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# What Pillow's decoders raise on malformed bytes.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class PictureError(ContractError):
    """A picture cannot be decoded; the message names it and the reason."""


def prepare(source: str | Path | bytes, pipeline: ImagePipeline) -> NDArray[np.uint8]:
    """Decode a picture and bring it to the contract's size.

    Args:
        source: A path, or the bytes of a picture file.
        pipeline: The contract.

    Returns:
        Shape (height, width, 3), uint8, RGB.

    Raises:
        PictureError: If the picture cannot be decoded.
    """
    return fit(decode(source, pipeline), pipeline)


def decode(source: str | Path | bytes, pipeline: ImagePipeline) -> Image.Image:
    """Decode a picture to 8-bit sRGB, turned upright and without transparency.

    Args:
        source: A path, or the bytes of a JPEG, PNG, WebP, BMP or GIF file.
        pipeline: The contract; its orientation, alpha_over and icc are used.

    Returns:
        A Pillow image of mode RGB.

    Raises:
        PictureError: If the file is not a picture, truncated, or has more than
            `MAX_PIXELS` pixels.
    """
    name = "picture" if isinstance(source, bytes) else str(source)
    handle: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(handle, formats=FORMATS) as image:
            _check_size(name, image)
            image.load()
            return _to_srgb(image, pipeline)
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise PictureError(
            f"{name}: not a JPEG, PNG, WebP, BMP or GIF picture"
        ) from None
    except _DECODE_ERRORS as error:
        raise PictureError(f"{name}: cannot be decoded ({error})") from error


def _check_size(name: str, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        msg = (
            f"{name}: {image.width}x{image.height} pixels exceed the limit "
            f"of {MAX_PIXELS}"
        )
        raise PictureError(msg)


def fit(image: Image.Image, pipeline: ImagePipeline) -> NDArray[np.uint8]:
    """Crop and resize an RGB picture as the contract says.

    Args:
        image: Mode RGB, any size.
        pipeline: The contract.

    Returns:
        Shape (height, width, 3), uint8, RGB.

    Raises:
        PictureError: If resize_then_crop would make more than `MAX_PIXELS` pixels of
            it, as of a picture that is one pixel high.
    """
    size = (pipeline.width, pipeline.height)
    if pipeline.order == "crop_then_resize":
        box = crop_box(image.width, image.height, pipeline)
        if box != (0, 0, image.width, image.height):
            image = image.crop(box)
        return _resize(image, size, pipeline)
    whole = resized_size(*image.size, pipeline)
    if whole[0] * whole[1] > MAX_PIXELS:
        msg = (
            f"a picture of {image.width}x{image.height} pixels would be resized to "
            f"{whole[0]}x{whole[1]} before the crop, over the limit of {MAX_PIXELS}"
        )
        raise PictureError(msg)
    resized = _resize(image, whole, pipeline)
    top = (resized.shape[0] - pipeline.height) // 2
    left = (resized.shape[1] - pipeline.width) // 2
    return np.ascontiguousarray(
        resized[top : top + pipeline.height, left : left + pipeline.width]
    )


def _resize(
    image: Image.Image, size: tuple[int, int], pipeline: ImagePipeline
) -> NDArray[np.uint8]:
    kernel = _RESAMPLING[pipeline.kernel]
    if pipeline.kernel == "nearest" or image.size == size:
        # Pillow copies when the size is right already, so its kernels agree there.
        return np.asarray(image.resize(size, kernel))
    if pipeline.antialias:
        # Columns before rows, each rounded. By itself Pillow 13 takes rows first where
        # only the height shrinks, and older ones do not.
        return np.asarray(
            image.resize((size[0], image.height), kernel).resize(size, kernel)
        )
    return resample_plain(np.asarray(image), size, pipeline.kernel)


def _to_srgb(image: Image.Image, pipeline: ImagePipeline) -> Image.Image:
    """Bring any mode to RGB: colour profile, then transparency, then orientation."""
    profile = image.info.get("icc_profile") if pipeline.icc == "to_srgb" else None
    if pipeline.orientation == "exif":
        image = ImageOps.exif_transpose(image)
    colour, alpha = _split_alpha(_to_eight_bits(image))
    rgb = _apply_profile(colour, profile) if profile else colour
    if rgb.mode != "RGB":
        rgb = rgb.convert("RGB")
    if alpha is None:
        return rgb
    return Image.composite(rgb, Image.new("RGB", rgb.size, pipeline.alpha_over), alpha)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Keep the high byte of 16-bit grey, as Pillow itself does for 16-bit RGB."""
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray(np.clip(values >> 8, 0, 255).astype(np.uint8))
    if image.mode == "F":
        return Image.fromarray(np.clip(np.asarray(image), 0, 255).astype(np.uint8))
    return image


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Separate colour from transparency, however the file encodes it."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or (
        "transparency" in image.info
    ):
        full = image.convert("RGBA")
        return full.convert("RGB"), full.getchannel("A")
    if image.mode in ("P", "1", "HSV", "LAB", "YCbCr"):
        return image.convert("RGB"), None
    return image, None


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert to sRGB by the embedded profile; a broken profile is as good as none."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(source).startswith("sRGB"):
            return image
        converted = ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.PERCEPTUAL,
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        # Phones and old editors write profiles that do not fit the pixels; every
        # viewer shows such pictures unconverted.
        return image
    return image if converted is None else converted
