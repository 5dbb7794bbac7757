"""A USB camera through V4L2: the kernel's own interface, without any library.

Frames are captured into buffers that the driver shares with us (memory-mapped
streaming). The sequence of requests is that of the kernel's own manual: Linux Media
Infrastructure userspace API, Video for Linux API, "Streaming I/O (Memory Mapping)".
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import v4l2_abi as abi
from .frames import FORMATS, MJPG, YUYV, CameraError, Frame

if TYPE_CHECKING:
    from .stop import StopRequest
    from .v4l2_abi import PixelLayout

BUFFERS = 4
# A camera that exposes for a second in the dark still answers in time.
FRAME_TIMEOUT_S = 5.0
# Exposure and white balance settle during the first frames.
WARMUP_FRAMES = 5


class V4L2Camera:
    """A camera that streams YUYV or MJPG.

    Args:
        path: Its device file, such as /dev/video0.
        pixel_format: "YUYV", "MJPG", or "auto" for the first of them that it has.
        width: Columns wanted, in pixels; the driver takes the nearest it has.
        height: Rows wanted.

    Attributes:
        name: The device file.
        layout: What the driver agreed to.

    Raises:
        CameraError: If there is no such camera, or it is busy, or has no such format.
    """

    def __init__(
        self,
        path: Path,
        pixel_format: str = "auto",
        width: int = 640,
        height: int = 480,
    ) -> None:
        self.name = str(path)
        self._maps: list[mmap.mmap] = []
        self._fresh = False
        self._file = _open(path)
        try:
            self.layout = self._agree(pixel_format, width, height)
            self._start()
        except BaseException:
            self.close()
            raise

    def read(self, stop: StopRequest) -> Frame | None:
        """Give a frame that was taken after the call, or None if `stop` is requested.

        Raises:
            CameraError: If the camera was unplugged or gives nothing in time.
        """
        skip = 0 if self._fresh else WARMUP_FRAMES
        # What waits in the buffers was taken when the last frame was read.
        while self._dequeue() is not None:
            pass
        deadline = time.monotonic() + FRAME_TIMEOUT_S
        while not stop.requested:
            data = self._next(stop, deadline)
            if data is None:
                continue
            if skip:
                skip -= 1
                deadline = time.monotonic() + FRAME_TIMEOUT_S
                continue
            self._fresh = True
            return Frame(
                data=data,
                pixel_format=self.layout.pixel_format,
                width=self.layout.width,
                height=self.layout.height,
                stride=self.layout.stride,
            )
        return None

    def close(self) -> None:
        """Stop streaming and give the camera back."""
        # Closing the file ends streaming too; an unplugged camera refuses it.
        with contextlib.suppress(CameraError):
            self._stream(abi.STREAMOFF)
        for one in self._maps:
            one.close()
        self._maps.clear()
        os.close(self._file)

    def _next(self, stop: StopRequest, deadline: float) -> bytes | None:
        """Wait for the next whole frame; None if it was damaged or we are to stop."""
        left = deadline - time.monotonic()
        if not stop.wait_for(self._file, max(0.0, left)):
            if stop.requested:
                return None
            raise CameraError(
                f"{self.name}: no frame within {FRAME_TIMEOUT_S:.0f} s; is another "
                "program using the camera, or is it the wrong device file?"
            )
        return self._dequeue() or None

    def _dequeue(self) -> bytes | None:
        """Take a filled buffer and give it back: its bytes, none if damaged.

        Returns:
            None if no buffer is filled.
        """
        buffer = abi.pack_buffer(0)
        try:
            fcntl.ioctl(self._file, abi.DQBUF, buffer)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._lost(error) from error
        index, _, used, flags, *_ = abi.BUFFER.unpack(buffer)
        layout = self.layout
        whole = 1 if layout.pixel_format == MJPG else layout.stride * layout.height
        damaged = flags & abi.BUF_FLAG_ERROR or used < whole
        data = b"" if damaged else self._maps[index][:used]
        self._ask(abi.QBUF, abi.pack_buffer(index))
        return data

    def _agree(self, pixel_format: str, width: int, height: int) -> PixelLayout:
        capability = bytearray(abi.CAPABILITY.size)
        self._ask(abi.QUERYCAP, capability)
        if not _captures(capability):
            raise CameraError(f"{self.name}: this device does not capture video")
        offered = self._list_formats()
        usable = [name for name in FORMATS if name in offered]
        wanted = usable if pixel_format == "auto" else [pixel_format]
        for name in wanted:
            if name not in offered:
                continue
            asked = abi.pack_format(name, width, height)
            self._ask(abi.S_FMT, asked)
            layout = abi.unpack_format(asked)
            if self._fits(name, layout):
                return layout
        colours = " in BT.601 with limited range" if YUYV in wanted else ""
        more = f" and {len(offered) - 8} more" if len(offered) > 8 else ""
        raise CameraError(
            f"{self.name}: expected {' or '.join(wanted or FORMATS)}{colours}; the "
            f"camera offers {', '.join(offered[:8]) or 'nothing'}{more}"
        )

    def _fits(self, name: str, layout: PixelLayout) -> bool:
        """Whether the driver granted the format, with colours that we can convert."""
        if layout.pixel_format != name:
            return False
        if name == MJPG:
            return True
        return layout.is_bt601_limited and layout.stride >= 2 * layout.width

    def _list_formats(self) -> list[str]:
        names: list[str] = []
        # Drivers end the list with an error; the bound is for one that does not.
        for index in range(64):
            entry = bytearray(
                abi.FMTDESC.pack(
                    index, abi.BUF_TYPE_VIDEO_CAPTURE, 0, b"", 0, 0, 0, 0, 0
                )
            )
            try:
                fcntl.ioctl(self._file, abi.ENUM_FMT, entry)
            except OSError:
                break
            names.append(abi.unpack_fourcc(abi.FMTDESC.unpack(entry)[4]))
        return names

    def _start(self) -> None:
        asked = bytearray(
            abi.REQUESTBUFFERS.pack(
                *(BUFFERS, abi.BUF_TYPE_VIDEO_CAPTURE, abi.MEMORY_MMAP),
                *(0, 0, 0, 0, 0),
            )
        )
        self._ask(abi.REQBUFS, asked)
        count = abi.REQUESTBUFFERS.unpack(asked)[0]
        if count < 2:
            raise CameraError(f"{self.name}: the driver has memory for {count} frames")
        for index in range(count):
            buffer = abi.pack_buffer(index)
            self._ask(abi.QUERYBUF, buffer)
            offset, length = abi.BUFFER.unpack(buffer)[-4:-2]
            try:
                mapped = mmap.mmap(
                    self._file, length, prot=mmap.PROT_READ, offset=offset
                )
            except (OSError, ValueError) as error:
                raise CameraError(
                    f"{self.name}: a buffer of {length} bytes cannot be mapped "
                    f"({error})"
                ) from error
            self._maps.append(mapped)
            self._ask(abi.QBUF, abi.pack_buffer(index))
        self._stream(abi.STREAMON)

    def _stream(self, request: int) -> None:
        self._ask(request, bytearray(struct.pack("@i", abi.BUF_TYPE_VIDEO_CAPTURE)))

    def _ask(self, request: int, argument: bytearray) -> None:
        try:
            fcntl.ioctl(self._file, request, argument)
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> CameraError:
        if error.errno == errno.ENOTTY:
            return CameraError(f"{self.name}: not a video device")
        if error.errno == errno.EBUSY:
            return CameraError(f"{self.name}: another program uses this camera")
        if error.errno == errno.ENODEV:
            return CameraError(f"{self.name}: the camera was unplugged")
        return CameraError(f"{self.name}: the driver refuses ({error.strerror})")


def find_usb_camera(devices: Path = Path("/dev")) -> Path | None:
    """Find the first USB camera with a format that we can use.

    A Raspberry Pi has many more video devices (decoders, the CSI receiver, the image
    processor); these capture too, but never give a frame on their own.

    Args:
        devices: Where the device files are.
    """
    # video10 comes after video9.
    for path in sorted(devices.glob("video*"), key=lambda p: (len(p.name), p.name)):
        with contextlib.suppress(CameraError):
            file = _open(path)
            try:
                capability = bytearray(abi.CAPABILITY.size)
                fcntl.ioctl(file, abi.QUERYCAP, capability)
            except OSError:
                continue
            finally:
                os.close(file)
            # The manual promises this prefix for devices on USB.
            bus = abi.CAPABILITY.unpack(capability)[2]
            if bus.startswith(b"usb-") and _captures(capability):
                return path
    return None


def _captures(capability: bytes | bytearray) -> bool:
    _, _, _, _, whole, device, *_ = abi.CAPABILITY.unpack(capability)
    # One driver serves several files; the second number is this file's own.
    own = device if whole & abi.CAP_DEVICE_CAPS else whole
    return bool(own & abi.CAP_VIDEO_CAPTURE and own & abi.CAP_STREAMING)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise CameraError(
            f"{path}: no such device file; is the camera plugged in?"
        ) from error
    except PermissionError as error:
        raise CameraError(
            f"{path}: no permission; add the user to the group video"
        ) from error
    except OSError as error:
        raise CameraError(f"{path}: cannot be opened ({error.strerror})") from error
