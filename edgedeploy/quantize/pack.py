"""Four-bit codes as .tflite files hold them: two a byte, the first in the low half."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import FormatError, QuantizationError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pack_int4(codes: NDArray[Any]) -> NDArray[np.uint8]:
    """Pack signed 4-bit codes; an odd one out is followed by zero.

    Layout: TensorFlow Lite's `PackInt4ValuesDenselyIntoInt8`.

    Args:
        codes: Any shape, in the file's order, -8 to 7.

    Returns:
        Bytes, shape (half as many, rounded up,), uint8.

    Raises:
        QuantizationError: If a code does not fit.
    """
    flat = np.asarray(codes).reshape(-1)
    if flat.size and not (flat.min() >= -8 and flat.max() <= 7):
        raise QuantizationError(
            f"4-bit codes are -8 to 7; received {flat.min()} to {flat.max()}"
        )
    nibbles = np.zeros(flat.size + flat.size % 2, np.uint8)
    nibbles[: flat.size] = flat.astype(np.int8).view(np.uint8) & 15
    return np.asarray(nibbles[0::2] | (nibbles[1::2] << 4), np.uint8)


def unpack_int4(data: bytes, count: int) -> NDArray[np.int8]:
    """Undo `pack_int4`.

    Args:
        data: The packed bytes.
        count: How many codes there are.

    Returns:
        Shape (count,), int8, -8 to 7.

    Raises:
        FormatError: If there are more or fewer bytes than that.
    """
    if len(data) != (count + 1) // 2:
        raise FormatError(
            f"{count} 4-bit codes take {(count + 1) // 2} bytes; found {len(data)}"
        )
    packed = np.frombuffer(data, np.uint8)
    nibbles = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[:count]
    return np.asarray((nibbles ^ 8).astype(np.int8) - 8, np.int8)
