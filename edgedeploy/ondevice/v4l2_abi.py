"""The part of V4L2's binary interface that capture needs: structures and requests.

Layouts and numbers are those of linux/videodev2.h, in this machine's own sizes of
pointers and longs; request numbers follow asm-generic/ioctl.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# enum v4l2_buf_type, enum v4l2_memory
BUF_TYPE_VIDEO_CAPTURE = 1
MEMORY_MMAP = 1
# v4l2_capability.capabilities
CAP_VIDEO_CAPTURE = 0x00000001
CAP_STREAMING = 0x04000000
CAP_DEVICE_CAPS = 0x80000000
# v4l2_buffer.flags
BUF_FLAG_ERROR = 0x00000040
# v4l2_pix_format.priv: the fields after it are meant.
PIX_FMT_PRIV_MAGIC = 0xFEEDCAFE
FIELD_NONE = 1

# driver[16], card[32], bus_info[32], version, capabilities, device_caps, reserved[3]
CAPABILITY = struct.Struct("@16s32s32s6I")
# index, type, flags, description[32], pixelformat, mbus_code, reserved[3]
FMTDESC = struct.Struct("@3I32s5I")
# width, height, pixelformat, field, bytesperline, sizeimage, colorspace, priv, flags,
# ycbcr_enc, quantization, xfer_func
PIX_FORMAT = struct.Struct("@12I")
# count, type, memory, capabilities, flags, reserved[3]
REQUESTBUFFERS = struct.Struct("@4I4B")
# index, type, bytesused, flags, field, timestamp, timecode, sequence, memory, m,
# length, reserved2, request_fd; m is a union of the size of a long.
BUFFER = struct.Struct("@5I2l16s2IL3I0l")
# type, then a union of 200 bytes that holds pointers and is aligned as one.
_FORMAT_HEAD = struct.calcsize("@I0P")
FORMAT_SIZE = struct.calcsize("@I0P200s0P")
_INT_SIZE = struct.calcsize("@i")

_WRITE, _READ = 1, 2


def _request(direction: int, number: int, size: int) -> int:
    """Compose an ioctl number: direction, size of the argument, 'V', number."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


QUERYCAP = _request(_READ, 0, CAPABILITY.size)
ENUM_FMT = _request(_READ | _WRITE, 2, FMTDESC.size)
S_FMT = _request(_READ | _WRITE, 5, FORMAT_SIZE)
REQBUFS = _request(_READ | _WRITE, 8, REQUESTBUFFERS.size)
QUERYBUF = _request(_READ | _WRITE, 9, BUFFER.size)
QBUF = _request(_READ | _WRITE, 15, BUFFER.size)
DQBUF = _request(_READ | _WRITE, 17, BUFFER.size)
STREAMON = _request(_WRITE, 18, _INT_SIZE)
STREAMOFF = _request(_WRITE, 19, _INT_SIZE)


@dataclass(frozen=True, kw_only=True)
class PixelLayout:
    """What a driver agreed to, from `struct v4l2_pix_format`.

    Attributes:
        width: Columns.
        height: Rows.
        pixel_format: FourCC, such as "YUYV".
        stride: Bytes from one row to the next; drivers give 0 for compressed formats.
        size_bytes: Of a whole frame, at most.
        colorspace: enum v4l2_colorspace.
        ycbcr_enc: enum v4l2_ycbcr_encoding.
        quantization: enum v4l2_quantization.
    """

    width: int
    height: int
    pixel_format: str
    stride: int
    size_bytes: int
    colorspace: int
    ycbcr_enc: int
    quantization: int

    @property
    def is_bt601_limited(self) -> bool:
        """Whether `convert_yuyv` gives this layout's true colours.

        What a driver leaves at "default" follows from the colour space, as by
        V4L2_MAP_YCBCR_ENC_DEFAULT and V4L2_MAP_QUANTIZATION_DEFAULT: Rec. 709, DCI-P3,
        BT.2020 and SMPTE 240M have encodings of their own, and JPEG is full range.
        """
        encoding = self.ycbcr_enc or (0 if self.colorspace in (2, 3, 10, 12) else 1)
        quantization = self.quantization or (1 if self.colorspace == 7 else 2)
        return encoding == 1 and quantization == 2


def pack_fourcc(name: str) -> int:
    """Give the number of a FourCC, by v4l2_fourcc(): the first letter is lowest."""
    return int.from_bytes(name.encode("ascii"), "little")


def unpack_fourcc(value: int) -> str:
    """Give the letters of a FourCC; others than ASCII become question marks."""
    return value.to_bytes(4, "little").decode("ascii", "replace").replace("\ufffd", "?")


def pack_format(pixel_format: str, width: int, height: int) -> bytearray:
    """Make the `struct v4l2_format` that asks for a format and a size."""
    asked = bytearray(FORMAT_SIZE)
    struct.pack_into("@I", asked, 0, BUF_TYPE_VIDEO_CAPTURE)
    PIX_FORMAT.pack_into(
        asked,
        _FORMAT_HEAD,
        *(width, height, pack_fourcc(pixel_format), FIELD_NONE, 0, 0, 0),
        *(PIX_FMT_PRIV_MAGIC, 0, 0, 0, 0),
    )
    return asked


def unpack_format(granted: bytes | bytearray) -> PixelLayout:
    """Read the `struct v4l2_format` that a driver has filled in."""
    width, height, fourcc, _, stride, size, colorspace, _, _, ycbcr, quantization, _ = (
        PIX_FORMAT.unpack_from(granted, _FORMAT_HEAD)
    )
    return PixelLayout(
        width=width,
        height=height,
        pixel_format=unpack_fourcc(fourcc),
        stride=stride,
        size_bytes=size,
        colorspace=colorspace,
        ycbcr_enc=ycbcr,
        quantization=quantization,
    )


def pack_buffer(index: int) -> bytearray:
    """Make the `struct v4l2_buffer` that names one mapped buffer."""
    return bytearray(
        BUFFER.pack(
            *(index, BUF_TYPE_VIDEO_CAPTURE, 0, 0, 0, 0, 0, bytes(16)),
            *(0, MEMORY_MMAP, 0, 0, 0, 0),
        )
    )
