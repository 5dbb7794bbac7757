"""The grid that a weight's code lies on, with one step per output channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import QuantizationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What a step becomes where a channel is all zero: XNNPACK refuses a step of 0.
TINIEST_STEP = 1e-9
# From this width on the grid is symmetric.
_SYMMETRIC = 8


def largest_code(bits: int) -> int:
    """The largest code of a grid.

    Args:
        bits: Width of a code, 2 to 16.

    Raises:
        QuantizationError: If the width is none that a runtime has.
    """
    # A 2-bit convolution ends the runtime, and 1 bit has no symmetric grid.
    if not 3 <= bits <= 16:
        raise QuantizationError(
            f"weights take 3 to 16 bits on this grid; received {bits}"
        )
    return int(2 ** (bits - 1)) - 1


def smallest_code(bits: int) -> int:
    """The smallest code of a grid.

    Below 8 bits the number that has no negative is used too, as XNNPACK's 4-bit
    kernels take it: a tenth less error. 8 bits keep to the symmetric range that
    TensorFlow Lite's specification of int8 weights demands.

    Args:
        bits: Width of a code, 2 to 16.

    Raises:
        QuantizationError: If the width is none that a runtime has.
    """
    most = largest_code(bits)
    return -most - 1 if bits < _SYMMETRIC else -most


def round_to_grid(
    weights: NDArray[Any], steps: NDArray[Any], bits: int
) -> NDArray[np.int16]:
    """Round each weight to the nearest code.

    Args:
        weights: Shape (rows, inputs), real.
        steps: Shape (rows,), positive.
        bits: Width of a code.

    Returns:
        Codes, shape (rows, inputs), int16.
    """
    codes = np.rint(weights / steps[:, None])
    return np.asarray(np.clip(codes, smallest_code(bits), largest_code(bits)), np.int16)


def widest_steps(weights: NDArray[Any], bits: int) -> NDArray[np.float64]:
    """The steps that reach each row's largest weight, so that nothing is clipped.

    Args:
        weights: Shape (rows, inputs), real and finite.
        bits: Width of a code.

    Returns:
        Shape (rows,), float64, at least `TINIEST_STEP`.
    """
    largest = np.abs(weights).max(axis=1).astype(np.float64)
    return np.asarray(np.maximum(largest / largest_code(bits), TINIEST_STEP))


def shorten(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round numbers to 9 significant bits, so that a file of them deflates.

    That moves a number by 1 in 512 at most, far less than a code's own rounding; with
    8 bits the divergence of an 8-bit EfficientNet-Lite0 grew by two thirds.

    Args:
        values: Any shape, float32, finite and below 1e38.

    Returns:
        The same shape; what was not 0 stays so.
    """
    whole = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (whole + np.uint32(1 << 14)) & np.uint32(0xFFFF8000)
    return np.asarray(rounded.view(np.float32))
