"""Frames: what a camera gives, whichever camera it is, and recordings of them."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .contract import ContractError
from .pictures import PictureError, decode
from .yuv import convert_yuyv

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL import Image

    from .contract import ImagePipeline
    from .stop import StopRequest

# V4L2's names of the pixel formats; "RGB3" is 24-bit RGB.
YUYV, MJPG, RGB = "YUYV", "MJPG", "RGB3"
FORMATS = (YUYV, MJPG)


class CameraError(ContractError):
    """A camera cannot be had or gives no pictures; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture as a camera gives it.

    Attributes:
        data: The bytes: packed pixels, or a JPEG file.
        pixel_format: `YUYV`, `MJPG` or `RGB`.
        width: Columns; of a JPEG as agreed with the camera.
        height: Rows.
        stride: Bytes from one row to the next; 0 for JPEG.
    """

    data: bytes
    pixel_format: str
    width: int
    height: int
    stride: int

    def rgb(self, pipeline: ImagePipeline) -> NDArray[np.uint8] | Image.Image:
        """Bring the frame to RGB.

        Args:
            pipeline: The contract; for JPEG it says what a profile or orientation
                inside it does.

        Returns:
            Shape (height, width, 3), uint8, or a Pillow image of mode RGB.

        Raises:
            PictureError: If the bytes are no such frame.
        """
        if self.pixel_format == MJPG:
            return decode(self.data, pipeline)
        try:
            if self.pixel_format == YUYV:
                return convert_yuyv(self.data, self.width, self.height, self.stride)
            rows = np.frombuffer(self.data, np.uint8, self.stride * self.height)
            rows = rows.reshape(self.height, self.stride)[:, : 3 * self.width]
            return rows.reshape(self.height, self.width, 3)
        except ValueError as error:
            raise PictureError(f"frame: {error}") from error


class FrameSource(Protocol):
    """Whatever gives frames: a camera of either kind, or a recording."""

    name: str

    def read(self, stop: StopRequest) -> Frame | None:
        """Give the next frame that is taken from now on.

        Returns:
            None at a recording's end, or when `stop` is requested.

        Raises:
            CameraError: If there is none.
        """

    def close(self) -> None:
        """Give the camera back."""


class RecordedFrames:
    """Frames that were written one after the other, without any header between them.

    `v4l2-ctl --stream-mmap --stream-to=FILE` writes such files, for raw formats and
    for MJPG alike.

    Args:
        path: The file.
        pixel_format: One of `FORMATS`.
        width: Columns of each frame, in pixels.
        height: Rows.

    Raises:
        CameraError: If the file cannot be read or holds no whole number of frames.
    """

    def __init__(self, path: Path, pixel_format: str, width: int, height: int) -> None:
        self.name = str(path)
        self._format, self._size = pixel_format, (width, height)
        try:
            with path.open("rb") as file:
                # Recordings are large; the pages come and go as frames are read.
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise CameraError(f"{path}: no recording ({error})") from error
        if pixel_format == MJPG:
            self._parts = split_jpegs(self._bytes, self.name)
        else:
            self._parts = self._split_raw(2 * width * height)

    def read(self, stop: StopRequest) -> Frame | None:
        """Give the next frame, or None at the end.

        Raises:
            CameraError: If what follows is no frame.
        """
        part = None if stop.requested else next(self._parts, None)
        if part is None:
            return None
        width, height = self._size
        return Frame(
            data=self._bytes[part[0] : part[1]],
            pixel_format=self._format,
            width=width,
            height=height,
            stride=0 if self._format == MJPG else 2 * width,
        )

    def close(self) -> None:
        """Close the file."""
        self._bytes.close()

    def _split_raw(self, size: int) -> Iterator[tuple[int, int]]:
        if len(self._bytes) % size:
            raise CameraError(
                f"{self.name}: {len(self._bytes)} bytes are no whole number of "
                f"{self._format} frames of {size} bytes; is --size right?"
            )
        return ((at, at + size) for at in range(0, len(self._bytes), size))


def split_jpegs(data: bytes | mmap.mmap, name: str) -> Iterator[tuple[int, int]]:
    """Find JPEG files that follow each other.

    The markers are walked by their lengths (ITU-T T.81, annex B), since a thumbnail
    inside a segment has an end marker of its own.

    Args:
        data: The files; zero bytes between them are passed over.
        name: Of the file, for messages.

    Yields:
        (first byte, byte after the last) of each.

    Raises:
        CameraError: If something else lies between them, or the last is cut short.
    """
    at = 0
    while at < len(data):
        if data[at] == 0:
            # Drivers pad buffers.
            at += 1
            continue
        end = _find_jpeg_end(data, at)
        if end is None:
            raise CameraError(f"{name}: no complete JPEG frame at byte {at}")
        yield at, end
        at = end


def _find_jpeg_end(data: bytes | mmap.mmap, start: int) -> int | None:
    if data[start : start + 2] != b"\xff\xd8":
        return None
    at = start + 2
    while at + 1 < len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # Any number of fill bytes may come before a marker.
            at += 1
        elif marker == 0xD9:
            return at + 2
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            if length < 2:
                return None
            at += 2 + length
            if marker == 0xDA:
                at = _skip_entropy_coded(data, at)
    return None


def _skip_entropy_coded(data: bytes | mmap.mmap, at: int) -> int:
    """Find the marker after a scan; 0xFF 0x00 and restart markers belong to it."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return len(data)
        if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7:
            return at
        at += 2
