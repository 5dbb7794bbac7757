"""Cameras: CSI through picamera2, USB through V4L2, or a recording of either."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .frames import FORMATS, RGB, CameraError, Frame, FrameSource, RecordedFrames
from .v4l2 import V4L2Camera, find_usb_camera

if TYPE_CHECKING:
    from .stop import StopRequest

CSI, USB, AUTO = "csi", "usb", "auto"
# libcamera's first frames are taken while exposure and white balance settle.
CSI_WARMUP_S = 1.0


class CsiCamera:
    """A camera on the board's ribbon connector, through picamera2.

    Args:
        width: Columns wanted, in pixels.
        height: Rows wanted.

    Raises:
        CameraError: If picamera2 is missing, or there is no such camera.
    """

    def __init__(self, width: int, height: int) -> None:
        self.name = CSI
        self._size = (width, height)
        self._warm = False
        library = _picamera2()
        try:
            self._camera: Any = library.Picamera2()
            # libcamera names formats by the order in a little-endian word: its
            # BGR888 is R, G, B in memory.
            self._camera.configure(
                self._camera.create_video_configuration(
                    main={"size": self._size, "format": "BGR888"}
                )
            )
            self._camera.start()
        # picamera2 and libcamera raise many types, IndexError without any camera.
        except Exception as error:
            raise CameraError(
                f"csi: picamera2 cannot start the camera ({_first_line(error)}); see "
                "rpicam-hello --list-cameras, and whether another program uses it"
            ) from error

    def read(self, stop: StopRequest) -> Frame | None:
        """Give a frame that was taken after the call, or None if `stop` is requested.

        Raises:
            CameraError: If picamera2 fails.
        """
        if not self._warm and stop.wait(CSI_WARMUP_S):
            return None
        self._warm = True
        try:
            array = self._camera.capture_array("main")
        except Exception as error:
            raise CameraError(
                f"csi: the camera gives no picture ({_first_line(error)})"
            ) from error
        height, width = array.shape[:2]
        return Frame(
            data=array.tobytes(),
            pixel_format=RGB,
            width=width,
            height=height,
            stride=3 * width,
        )

    def close(self) -> None:
        """Give the camera back."""
        self._camera.close()


def open_camera(
    name: str, pixel_format: str = AUTO, width: int = 640, height: int = 480
) -> FrameSource:
    """Open a camera.

    Args:
        name: "csi", "usb" for the first USB camera, "auto" for the first of both, a
            device file such as /dev/video0, or a file of recorded frames.
        pixel_format: "YUYV", "MJPG", or "auto"; a recording needs it named.
        width: Columns wanted; of a recording, those that it has.
        height: Rows wanted.

    Raises:
        CameraError: If it cannot be had; the message says what is missing.
    """
    if name == CSI:
        return CsiCamera(width, height)
    if name in (AUTO, USB):
        return _open_first(name, pixel_format, width, height)
    path = Path(name)
    if not path.is_file():
        return V4L2Camera(path, pixel_format, width, height)
    if pixel_format not in FORMATS:
        raise CameraError(
            f"{path}: a recording does not say what it holds; give --pixel-format "
            f"{' or '.join(FORMATS)} and --size"
        )
    return RecordedFrames(path, pixel_format, width, height)


def _open_first(name: str, pixel_format: str, width: int, height: int) -> FrameSource:
    reason = ""
    if name == AUTO:
        try:
            return CsiCamera(width, height)
        except CameraError as error:
            reason = f"; {error}"
    path = find_usb_camera()
    if path is None:
        raise CameraError(
            f"no USB camera among /dev/video*; plug one in, or name its file{reason}"
        )
    return V4L2Camera(path, pixel_format, width, height)


def _picamera2() -> Any:
    try:
        return importlib.import_module("picamera2")
    except ModuleNotFoundError as error:
        if error.name != "picamera2":
            raise CameraError(
                f"csi: picamera2 lacks the module {error.name}; sudo apt install "
                "--reinstall python3-picamera2"
            ) from error
        raise CameraError(
            "csi: needs picamera2; sudo apt install python3-picamera2 (this Python "
            f"is {sys.prefix}, which must see the system's packages)"
        ) from error
    # A NumPy that it was not built for shows as one of many errors.
    except Exception as error:
        raise CameraError(
            f"csi: picamera2 does not load ({_first_line(error)}); sudo apt install "
            "--reinstall python3-picamera2"
        ) from error


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
