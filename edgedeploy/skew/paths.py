"""The ways of devices from a picture file to the network's 8-bit picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.ondevice import pictures
from edgedeploy.ondevice.contract import ImagePipeline, crop_box, resized_size
from edgedeploy.ondevice.pictures import MAX_PIXELS, PictureError
from edgedeploy.skew import camera, litert_support, mediapipe, tf_image
from edgedeploy.skew.skia import scale_bitmap

if TYPE_CHECKING:
    from numpy.typing import NDArray

Source = str | Path | bytes
Resize = Callable[["NDArray[np.uint8]", tuple[int, int]], "NDArray[np.uint8]"]

# What CameraX's ImageAnalysis hands out unless an app asks for another size.
_FRAME = (640, 480)


def prepare_android(source: Source, pipeline: ImagePipeline) -> NDArray[np.uint8]:
    """Prepare a picture as an Android app: BitmapFactory, crop, createScaledBitmap.

    BitmapFactory does not look at EXIF; colours leave a Bitmap through getPixels as
    sRGB, whatever the contract does with profiles, and transparent ones as black.

    Args:
        source: A path, or the bytes of a picture file.
        pipeline: The contract.

    Returns:
        Shape (height, width, 3), uint8, RGB.

    Raises:
        PictureError: If the picture cannot be decoded.
    """
    return _fit(_decode(source, pipeline), pipeline, scale_bitmap)


def prepare_android_exif(source: Source, pipeline: ImagePipeline) -> NDArray[np.uint8]:
    """The same with EXIF's orientation applied first; see `prepare_android`."""
    return _fit(_decode(source, pipeline, turned=True), pipeline, scale_bitmap)


def prepare_litert_support(
    source: Source, pipeline: ImagePipeline
) -> NDArray[np.uint8]:
    """ResizeWithCropOrPadOp to the largest square, then ResizeOp.

    That is the order of the library's own examples, which know no crop fraction. Where
    the contract does not crop, neither does this. See `prepare_android`.
    """
    return _support(source, pipeline, "bilinear")


def prepare_litert_support_nearest(
    source: Source, pipeline: ImagePipeline
) -> NDArray[np.uint8]:
    """The same with the nearest pixel; see `prepare_litert_support`."""
    return _support(source, pipeline, "nearest")


def prepare_mediapipe(source: Source, pipeline: ImagePipeline) -> NDArray[np.uint8]:
    """Squash a picture as MediaPipe's image tasks do; see `prepare_android`.

    A Bitmap's values are taken as they are, so those of another colour space than
    sRGB are not converted.
    """
    rgb = _decode(source, pipeline, icc="ignore")
    return mediapipe.image_to_tensor(rgb, (pipeline.width, pipeline.height))


def prepare_camera(source: Source, pipeline: ImagePipeline) -> NDArray[np.uint8]:
    """Send a picture through a camera frame; see `prepare_android`.

    The picture takes the place of the scene: reduced to a frame of at most 640x480,
    on a sensor that is mounted a quarter turn off, as in most phones.
    """
    return _film(source, pipeline)


def prepare_camera_unrotated(
    source: Source, pipeline: ImagePipeline
) -> NDArray[np.uint8]:
    """The same without turning the frame back; see `prepare_camera`."""
    return _film(source, pipeline, turned=False)


def prepare_camera_limited(
    source: Source, pipeline: ImagePipeline
) -> NDArray[np.uint8]:
    """The same read with the wrong range of values; see `prepare_camera`."""
    return _film(source, pipeline, levels="limited")


def prepare_camera_bt709(source: Source, pipeline: ImagePipeline) -> NDArray[np.uint8]:
    """The same read with the wrong matrix; see `prepare_camera`."""
    return _film(source, pipeline, matrix="bt709")


def prepare_camera_mirrored(
    source: Source, pipeline: ImagePipeline
) -> NDArray[np.uint8]:
    """The same with left and right swapped; see `prepare_camera`."""
    return _film(source, pipeline, mirrored=True)


def prepare_pi(source: Source, pipeline: ImagePipeline) -> NDArray[np.uint8]:
    """Prepare a picture as the Raspberry Pi bundle does: by the contract."""
    return pictures.prepare(source, pipeline)


def prepare_tf(source: Source, pipeline: ImagePipeline) -> NDArray[np.uint8]:
    """Crop, then `tf.image.resize`; rounded to 8 bits. See `prepare_android`.

    `tf.io.decode_image` takes the stored values: neither EXIF nor profiles count.
    """
    return _fit(_decode(source, pipeline, icc="ignore"), pipeline, _resize_tf)


def prepare_tf_antialias(source: Source, pipeline: ImagePipeline) -> NDArray[np.uint8]:
    """The same, antialiased; see `prepare_tf`."""

    def resize(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        return _resize_tf(rgb, size, antialias=True)

    return _fit(_decode(source, pipeline, icc="ignore"), pipeline, resize)


def _decode(
    source: Source,
    pipeline: ImagePipeline,
    *,
    turned: bool = False,
    icc: str = "to_srgb",
) -> NDArray[np.uint8]:
    own = replace(
        pipeline,
        icc=icc,
        orientation="exif" if turned else "ignore",
        alpha_over=(0, 0, 0),
    )
    return np.asarray(pictures.decode(source, own))


def _fit(
    rgb: NDArray[np.uint8], pipeline: ImagePipeline, resize: Resize
) -> NDArray[np.uint8]:
    """Follow the contract's geometry with another way of resizing."""
    size = (pipeline.width, pipeline.height)
    height, width = rgb.shape[:2]
    if pipeline.order == "crop_then_resize":
        left, top, right, bottom = crop_box(width, height, pipeline)
        return resize(rgb[top:bottom, left:right], size)
    whole = resized_size(width, height, pipeline)
    if whole[0] * whole[1] > MAX_PIXELS:
        raise PictureError(
            f"a picture of {width}x{height} pixels would be resized to "
            f"{whole[0]}x{whole[1]} before the crop, over the limit of {MAX_PIXELS}"
        )
    resized = resize(rgb, whole)
    top, left = (whole[1] - size[1]) // 2, (whole[0] - size[0]) // 2
    return np.ascontiguousarray(resized[top : top + size[1], left : left + size[0]])


def _support(source: Source, pipeline: ImagePipeline, method: str) -> NDArray[np.uint8]:
    rgb = _decode(source, pipeline)
    if pipeline.crop == "center_square":
        side = min(rgb.shape[:2])
        rgb = litert_support.crop_or_pad(rgb, (side, side))
    return litert_support.resize(rgb, (pipeline.width, pipeline.height), method)


def _film(
    source: Source,
    pipeline: ImagePipeline,
    *,
    turned: bool = True,
    mirrored: bool = False,
    matrix: str = "bt601",
    levels: str = "full",
) -> NDArray[np.uint8]:
    # A scene knows no file: it stands upright, and its colours are what they are.
    own = replace(pipeline, orientation="exif", icc="to_srgb")
    scene = pictures.decode(source, own)
    long, short = _FRAME
    limit = (long, short) if scene.width >= scene.height else (short, long)
    scene.thumbnail(limit)
    rgb = np.asarray(scene)
    if min(rgb.shape[:2]) < 2:
        raise PictureError(
            f"a picture of {scene.width}x{scene.height} pixels is too narrow for a "
            "camera frame"
        )
    frame = camera.make_frame(camera.turn(rgb, 270), padding=32)
    seen = camera.convert_frame(frame, matrix=matrix, levels=levels)
    shown = camera.turn(seen, 90 if turned else 0, mirrored=mirrored)
    return _fit(shown, pipeline, scale_bitmap)


def _resize_tf(
    rgb: NDArray[np.uint8], size: tuple[int, int], *, antialias: bool = False
) -> NDArray[np.uint8]:
    values = tf_image.resize(rgb, size, antialias=antialias)
    rounded: NDArray[np.uint8] = np.floor(values + 0.5).clip(0, 255).astype(np.uint8)
    return rounded
