"""Camera frames: YUV 4:2:0 planes as Android hands them out, to RGB and back.

Layout: android.media.Image, format YUV_420_888: a plane of luma and two of colour
differences of half the size, each with bytes between rows and, for colour, between
pixels. Matrices: ITU-R BT.601-7 section 2.5 and BT.709-6 section 3; full range as in
JFIF 1.02, limited range (luma 16..235, colour 16..240) as in both recommendations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.ondevice.contract import ContractError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Share of red and of blue in the luma; green has the rest.
MATRICES = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
RANGES = ("full", "limited")
ROTATIONS = (0, 90, 180, 270)


@dataclass(frozen=True, slots=True, kw_only=True)
class YuvFrame:
    """One frame of YUV 4:2:0.

    Attributes:
        y: Luma, a byte a pixel.
        u: Blue difference, a value for two by two pixels.
        v: Red difference.
        width: Columns, even.
        height: Rows, even.
        y_row_stride: Bytes from one row of luma to the next.
        uv_row_stride: The same of the colour planes.
        uv_pixel_stride: Bytes from one colour value to the next: 1 where the planes
            are apart, 2 where they are interleaved (NV12, NV21).
    """

    y: bytes
    u: bytes
    v: bytes
    width: int
    height: int
    y_row_stride: int
    uv_row_stride: int
    uv_pixel_stride: int

    def __post_init__(self) -> None:
        """Refuse sizes that no frame has, and planes that are too short."""
        width, height = self.width, self.height
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise ContractError(
                f"a YUV 4:2:0 frame has even sides; received {width}x{height}"
            )
        if self.uv_pixel_stride < 1:
            raise ContractError(
                "colour values lie at least a byte apart; received a pixel stride of "
                f"{self.uv_pixel_stride}"
            )
        colour = (height // 2, width // 2, self.uv_row_stride, self.uv_pixel_stride)
        _check_plane("y", self.y, height, width, self.y_row_stride, 1)
        _check_plane("u", self.u, *colour)
        _check_plane("v", self.v, *colour)


def convert_frame(
    frame: YuvFrame, *, matrix: str = "bt601", levels: str = "full"
) -> NDArray[np.uint8]:
    """Turn a frame into RGB; the four pixels of a colour value share it.

    Args:
        frame: The planes.
        matrix: A key of `MATRICES`.
        levels: One of `RANGES`.

    Returns:
        Shape (height, width, 3), uint8, rounded half up and saturated.

    Raises:
        ContractError: If matrix or levels are unknown.
    """
    red, blue = _shares(matrix, levels)
    luma = _read_plane(frame.y, frame.height, frame.width, frame.y_row_stride, 1)
    half = (frame.height // 2, frame.width // 2)
    strides = (frame.uv_row_stride, frame.uv_pixel_stride)
    cb, cr = (
        np.repeat(np.repeat(_read_plane(plane, *half, *strides), 2, 0), 2, 1) - 128.0
        for plane in (frame.u, frame.v)
    )
    base = luma.astype(np.float64)
    if levels == "limited":
        base = (base - 16) * (255 / 219)
        cb, cr = cb * (255 / 224), cr * (255 / 224)
    rgb = np.empty((frame.height, frame.width, 3))
    rgb[..., 0] = base + 2 * (1 - red) * cr
    rgb[..., 2] = base + 2 * (1 - blue) * cb
    shared = 2 * (1 - red) * red * cr + 2 * (1 - blue) * blue * cb
    rgb[..., 1] = base - shared / (1 - red - blue)
    return _round(rgb)


def make_frame(
    rgb: NDArray[np.uint8],
    *,
    matrix: str = "bt601",
    levels: str = "full",
    pixel_stride: int = 2,
    padding: int = 0,
) -> YuvFrame:
    """Turn a picture into a frame, as a camera's image processor would.

    Args:
        rgb: Shape (rows, columns, 3), uint8; an odd last row or column is left out.
        matrix: A key of `MATRICES`.
        levels: One of `RANGES`.
        pixel_stride: 1 for planes that are apart, 2 for interleaved ones.
        padding: Bytes after each row that belong to no pixel.

    Returns:
        The frame; a colour value is the mean of its four pixels.

    Raises:
        ContractError: If the picture is less than two pixels wide or high, or a
            choice is unknown.
    """
    red, blue = _shares(matrix, levels)
    height, width = (side // 2 * 2 for side in rgb.shape[:2])
    values = rgb[:height, :width].astype(np.float64)
    luma = values @ np.array([red, 1 - red - blue, blue])
    cb = (values[..., 2] - luma) / (2 * (1 - blue))
    cr = (values[..., 0] - luma) / (2 * (1 - red))
    if levels == "limited":
        luma, cb, cr = luma * (219 / 255) + 16, cb * (224 / 255), cr * (224 / 255)
    colour = [_round(_halve(plane) + 128) for plane in (cb, cr)]
    row = width + padding
    uv_row = width // 2 * pixel_stride + padding
    return YuvFrame(
        y=_write_plane(_round(luma), row, 1),
        u=_write_plane(colour[0], uv_row, pixel_stride),
        v=_write_plane(colour[1], uv_row, pixel_stride),
        width=width,
        height=height,
        y_row_stride=row,
        uv_row_stride=uv_row,
        uv_pixel_stride=pixel_stride,
    )


def turn(
    rgb: NDArray[np.uint8], degrees: int, *, mirrored: bool = False
) -> NDArray[np.uint8]:
    """Turn a frame upright, as `ImageInfo.getRotationDegrees` of CameraX says.

    Args:
        rgb: Shape (rows, columns, 3), uint8.
        degrees: Clockwise, one of `ROTATIONS`.
        mirrored: Whether left and right are swapped after that, for front cameras.

    Returns:
        The picture, contiguous.

    Raises:
        ContractError: If the angle is another.
    """
    if degrees not in ROTATIONS:
        raise ContractError(
            f"a frame is turned by 0, 90, 180 or 270 degrees; received {degrees}"
        )
    turned = np.rot90(rgb, -(degrees // 90))
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


def _shares(matrix: str, levels: str) -> tuple[float, float]:
    if matrix not in MATRICES or levels not in RANGES:
        raise ContractError(
            f"a frame's colours are {' or '.join(MATRICES)}, {' or '.join(RANGES)}; "
            f"received {matrix!r}, {levels!r}"
        )
    return MATRICES[matrix]


def _check_plane(
    name: str, data: bytes, rows: int, columns: int, row_stride: int, stride: int
) -> None:
    # The last row ends with its last pixel: Android leaves out what would follow.
    line = (columns - 1) * stride + 1
    needed = (rows - 1) * row_stride + line
    if row_stride < line or len(data) < needed:
        raise ContractError(
            f"plane {name} of {columns}x{rows} values needs rows of at least {line} "
            f"bytes and {needed} bytes in all; received rows of {row_stride} and "
            f"{len(data)} bytes"
        )


def _read_plane(
    data: bytes, rows: int, columns: int, row_stride: int, stride: int
) -> NDArray[np.uint8]:
    return np.lib.stride_tricks.as_strided(
        np.frombuffer(data, np.uint8), (rows, columns), (row_stride, stride)
    )


def _write_plane(values: NDArray[np.uint8], row_stride: int, stride: int) -> bytes:
    rows, columns = values.shape
    plane = np.zeros((rows, row_stride), np.uint8)
    plane[:, : columns * stride : stride] = values
    return plane.tobytes()[: (rows - 1) * row_stride + (columns - 1) * stride + 1]


def _halve(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = plane.shape
    return np.asarray(plane.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3)))


def _round(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
