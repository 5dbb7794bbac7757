"""The ways of devices that pictures can be prepared by: one row each."""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePath:
    """How a device prepares pictures.

    Attributes:
        name: The user's handle.
        summary: What it does, in one line.
        follows: The source that is emulated, with its version.
        function: Name of the function of `skew.paths` that does it.
    """

    name: str
    summary: str
    follows: str
    function: str


PATHS: dict[str, DevicePath] = {
    path.name: path
    for path in (
        DevicePath(
            name="android",
            summary="the contract's crop, Bitmap.createScaledBitmap; EXIF is ignored",
            follows="Skia, milestone 144: SkBitmapProcState",
            function="prepare_android",
        ),
        DevicePath(
            name="android-exif",
            summary="as android, in an app that turns pictures as EXIF says",
            follows="Skia, milestone 144: SkBitmapProcState",
            function="prepare_android_exif",
        ),
        DevicePath(
            name="litert-support",
            summary="the largest square, then ResizeOp, bilinear; EXIF is ignored",
            follows="LiteRT support library 0.4.4",
            function="prepare_litert_support",
        ),
        DevicePath(
            name="litert-support-nearest",
            summary="as litert-support, but with NEAREST_NEIGHBOR",
            follows="LiteRT support library 0.4.4",
            function="prepare_litert_support_nearest",
        ),
        DevicePath(
            name="mediapipe",
            summary="squashed, bilinear, half a pixel off; EXIF and profiles ignored",
            follows="MediaPipe 1.2.2: image_to_tensor_converter_opencv",
            function="prepare_mediapipe",
        ),
        DevicePath(
            name="camera",
            summary="a frame of 640x480, YUV 4:2:0, BT.601 full range, then as android",
            follows="android.media.Image YUV_420_888, JFIF 1.02; Skia, milestone 144",
            function="prepare_camera",
        ),
        DevicePath(
            name="camera-unrotated",
            summary="as camera, in an app that forgets to turn the frame by 90 degrees",
            follows="android.media.Image YUV_420_888, JFIF 1.02; Skia, milestone 144",
            function="prepare_camera_unrotated",
        ),
        DevicePath(
            name="camera-limited",
            summary="as camera, but full-range frames are read as limited range",
            follows="android.media.Image YUV_420_888, ITU-R BT.601-7; Skia, m144",
            function="prepare_camera_limited",
        ),
        DevicePath(
            name="camera-bt709",
            summary="as camera, but BT.601 frames are read as BT.709",
            follows="android.media.Image YUV_420_888, ITU-R BT.709-6; Skia, m144",
            function="prepare_camera_bt709",
        ),
        DevicePath(
            name="camera-mirrored",
            summary="as camera, left and right swapped, as in a front camera's preview",
            follows="android.media.Image YUV_420_888, JFIF 1.02; Skia, milestone 144",
            function="prepare_camera_mirrored",
        ),
        DevicePath(
            name="pi",
            summary="the code of the Raspberry Pi bundle, which follows the contract",
            follows="edgedeploy's own code, and the Pillow that is installed here",
            function="prepare_pi",
        ),
        DevicePath(
            name="tf",
            summary="the contract's crop, tf.image.resize, bilinear; no EXIF, profiles",
            follows="TensorFlow 2.21: tf.image.resize",
            function="prepare_tf",
        ),
        DevicePath(
            name="tf-antialias",
            summary="as tf, but with antialias=True",
            follows="TensorFlow 2.21: tf.image.resize",
            function="prepare_tf_antialias",
        ),
    )
}


def find_path(name: str) -> DevicePath:
    """Look a device path up by its name.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in PATHS:
        raise InputError(
            f"device-pipeline must be one of {', '.join(PATHS)}; received {name!r}"
        )
    return PATHS[name]
