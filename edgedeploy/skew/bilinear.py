"""Bilinear interpolation in whole numbers, as the libraries on devices do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Taps(NamedTuple):
    """Which two source pixels make an output pixel, along one axis.

    Attributes:
        first: Index of the one, shape (count,).
        second: Index of the other.
        weight: Parts of the second; the first has what is left of `parts`.
        parts: What both weights sum to.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    weight: NDArray[np.int64]
    parts: int


def take_taps(positions: NDArray[np.int64], bits: int, size: int) -> Taps:
    """Split positions into pixels and weights; edges are repeated.

    Args:
        positions: Where to sample, in parts of a pixel, 2**bits parts each.
        bits: Precision.
        size: Pixels along the axis.
    """
    whole = positions >> bits
    return Taps(
        first=np.clip(whole, 0, size - 1),
        second=np.clip(whole + 1, 0, size - 1),
        weight=positions & ((1 << bits) - 1),
        parts=1 << bits,
    )


def blend(
    rgb: NDArray[np.uint8], columns: Taps, rows: Taps, *, rounding: int
) -> NDArray[np.uint8]:
    """Mix four pixels for each output pixel.

    Args:
        rgb: Shape (rows, columns, 3), uint8.
        columns: Taps along the columns.
        rows: Taps along the rows.
        rounding: Added before the division by the weights' sum: half of it rounds,
            0 cuts off.

    Returns:
        Shape (rows wanted, columns wanted, 3), uint8.
    """
    across = columns.weight.astype(np.int32)[None, :, None]
    down = rows.weight.astype(np.int32)[:, None, None]

    def mix_columns(line: NDArray[np.int64]) -> NDArray[Any]:
        part = rgb[line]
        first = part[:, columns.first].astype(np.int32)
        second = part[:, columns.second].astype(np.int32)
        return first * (columns.parts - across) + second * across

    upper, lower = mix_columns(rows.first), mix_columns(rows.second)
    total = upper * (rows.parts - down) + lower * down
    return ((total + rounding) // (columns.parts * rows.parts)).astype(np.uint8)
