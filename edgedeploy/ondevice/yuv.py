"""YUYV, the raw format of USB cameras, to RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .contract import ContractError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# BT.601 with limited range (ITU-R BT.601-7, section 2.5: luma 16..235, colour
# differences 16..240 around 128), solved for 8-bit RGB and scaled by 2**16:
#   R = 255/219 (Y-16)                                + 255/112 (1-0.299) (Cr-128)
#   G = 255/219 (Y-16) - 255/112 (1-0.114) 0.114/0.587 (Cb-128)
#                      - 255/112 (1-0.299) 0.299/0.587 (Cr-128)
#   B = 255/219 (Y-16) + 255/112 (1-0.114) (Cb-128)
_SHIFT = 16
_HALF = 1 << (_SHIFT - 1)
_LUMA = 76309
_RED_CR = 104597
_GREEN_CB = -25675
_GREEN_CR = -53279
_BLUE_CB = 132201


def convert_yuyv(
    data: bytes | memoryview, width: int, height: int, stride: int
) -> NDArray[np.uint8]:
    """Convert a YUYV (YUY2) frame to RGB by BT.601, limited range.

    Two pixels share four bytes, Y0 Cb Y1 Cr, and with them their colour.

    Args:
        data: At least stride * height bytes.
        width: Pixels in a row, even.
        height: Rows.
        stride: Bytes from one row to the next, at least 2 * width.

    Returns:
        Shape (height, width, 3), uint8, rounded half up and saturated.

    Raises:
        ContractError: If the size is impossible or the data too short.
    """
    if width < 2 or width % 2 or height < 1 or stride < 2 * width:
        raise ContractError(
            f"a YUYV frame has an even width and rows of at least two bytes a pixel; "
            f"received {width}x{height} with {stride} bytes a row"
        )
    if len(data) < stride * height:
        raise ContractError(
            f"a YUYV frame of {width}x{height} has {stride * height} bytes; "
            f"received {len(data)}"
        )
    rows = np.frombuffer(data, np.uint8, stride * height).reshape(height, stride)
    packed = rows[:, : 2 * width].reshape(height, width // 2, 4).astype(np.int32)
    # Shape (height, width / 2, 2): the two lumas of a pair; (…, 1): what they share.
    luma = (packed[..., 0::2] - 16) * _LUMA + _HALF
    cb, cr = packed[..., 1:2] - 128, packed[..., 3:4] - 128
    rgb = np.empty((height, width // 2, 2, 3), np.uint8)
    for channel, colour in enumerate(
        (_RED_CR * cr, _GREEN_CB * cb + _GREEN_CR * cr, _BLUE_CB * cb)
    ):
        rgb[..., channel] = np.clip((luma + colour) >> _SHIFT, 0, 255)
    return rgb.reshape(height, width, 3)
