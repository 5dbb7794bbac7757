"""Weights at any width, for looking at: linear grids and look-up tables.

Not every width has kernels. The codes are packed as a file would store them, so the
size is a real one; the weights are restored to float32, so the answers are too.

One bit: Rastegari et al. 2016, "XNOR-Net" (the sign times the mean). Tables: Han et al.
2016, "Deep Compression" (k-means of each tensor's weights); a table for some channels
each is what Core ML calls per grouped channel.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import QuantizationError
from edgedeploy.quantize.solver.clipping import clipped_steps
from edgedeploy.quantize.solver.grid import TINIEST_STEP

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINEAR, TABLE, GROUPED = "linear", "table", "grouped"
SCHEMES = (LINEAR, TABLE, GROUPED)
# Output channels that share a table in the scheme "grouped".
GROUP_CHANNELS = 16
# k-means of numbers in order settles quickly.
_ROUNDS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """A layer's weights at some width.

    Attributes:
        restored: What the codes stand for, float32, in the weights' shape.
        packed: Codes and steps or table, as bytes.
        for_kernels: Codes as wide as integer kernels take them (a byte, or half of
            one), and steps; empty where no kernel takes such weights.
    """

    restored: NDArray[np.float32]
    packed: bytes
    for_kernels: bytes = b""


def code_weights(weights: NDArray[Any], bits: int, scheme: str) -> Coded:
    """Write weights with some bits.

    Args:
        weights: Shape (rows, columns), finite.
        bits: 1 to 8.
        scheme: "linear" (a step a row), "table" (one table a tensor) or "grouped"
            (one table for every `GROUP_CHANNELS` rows).

    Raises:
        QuantizationError: If the width or the scheme is none of these.
    """
    if not 1 <= bits <= 8 or scheme not in SCHEMES:
        raise QuantizationError(
            f"weights are swept at 1 to 8 bits, {', '.join(SCHEMES)}; received {bits} "
            f"{scheme}"
        )
    matrix = np.asarray(weights, np.float32)
    if scheme == TABLE:
        return _by_table(matrix, bits)
    if scheme == GROUPED:
        return _by_tables(matrix, bits)
    return _by_sign(matrix) if bits == 1 else _by_steps(matrix, bits)


def pack_codes(codes: NDArray[Any], bits: int) -> bytes:
    """Pack unsigned codes without gaps, lowest bit first.

    Args:
        codes: Any shape, 0 to 2**bits - 1.
        bits: 1 to 8.
    """
    flat = np.asarray(codes, np.uint8).reshape(-1)
    planes = (flat[:, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(planes.reshape(-1), bitorder="little").tobytes()


def unpack_codes(data: bytes, bits: int, count: int) -> NDArray[np.uint8]:
    """Undo `pack_codes`.

    Raises:
        QuantizationError: If there are more or fewer bytes than that.
    """
    if len(data) != (bits * count + 7) // 8:
        raise QuantizationError(
            f"{count} codes of {bits} bits take {(bits * count + 7) // 8} bytes; "
            f"found {len(data)}"
        )
    raw = np.unpackbits(
        np.frombuffer(data, np.uint8), count=bits * count, bitorder="little"
    )
    weights = (1 << np.arange(bits)).astype(np.uint16)
    return np.asarray(raw.reshape(count, bits) @ weights, np.uint8)


def _by_sign(matrix: NDArray[np.float32]) -> Coded:
    steps = np.maximum(np.abs(matrix).mean(axis=1), TINIEST_STEP).astype(np.float32)
    positive = matrix >= 0
    restored = np.where(positive, steps[:, None], -steps[:, None])
    return Coded(
        restored=np.asarray(restored, np.float32),
        packed=pack_codes(positive, 1) + steps.tobytes(),
        for_kernels=pack_codes(positive, 4) + steps.tobytes(),
    )


def _by_steps(matrix: NDArray[np.float32], bits: int) -> Coded:
    even = np.ones(matrix.shape[1])
    # Two bits give -1, 0 and 1: the grid is symmetric.
    most = 2 ** (bits - 1) - 1
    if bits == 2:
        steps = _ternary_steps(matrix)
    else:
        steps = clipped_steps(matrix, even, bits).astype(np.float32)
    codes = np.clip(np.rint(matrix / steps[:, None]), -most, most)
    return Coded(
        restored=np.asarray(codes * steps[:, None], np.float32),
        packed=pack_codes(codes + most, bits) + steps.tobytes(),
        for_kernels=pack_codes(codes + most, 4 if bits <= 4 else 8) + steps.tobytes(),
    )


def _ternary_steps(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The step whose -1, 0 and 1 are nearest; a few shares of the largest are tried."""
    largest = np.maximum(np.abs(matrix).max(axis=1), TINIEST_STEP)
    best, steps = np.full(len(matrix), np.inf), largest.copy()
    for share in np.linspace(0.1, 1.0, 19):
        tried = largest * share
        codes = np.clip(np.rint(matrix / tried[:, None]), -1, 1)
        error = ((matrix - codes * tried[:, None]) ** 2).sum(axis=1)
        better = error < best
        best[better], steps[better] = error[better], tried[better]
    return np.asarray(steps, np.float32)


def _by_tables(matrix: NDArray[np.float32], bits: int) -> Coded:
    parts = [
        _by_table(matrix[first : first + GROUP_CHANNELS], bits)
        for first in range(0, len(matrix), GROUP_CHANNELS)
    ]
    return Coded(
        restored=np.concatenate([part.restored for part in parts]),
        packed=b"".join(part.packed for part in parts),
    )


def _by_table(matrix: NDArray[np.float32], bits: int) -> Coded:
    flat = matrix.reshape(-1)
    cells = _Cells(np.sort(flat).astype(np.float64))
    edges = cells.divide(2**bits)
    for _ in range(_ROUNDS):
        table = cells.means(edges)
        edges = cells.nearest(table)
    table = cells.means(edges)
    codes = np.searchsorted((table[1:] + table[:-1]) / 2, flat)
    values = table.astype(np.float32)
    return Coded(
        restored=values[codes].reshape(matrix.shape),
        packed=pack_codes(codes, bits) + values.tobytes(),
    )


class _Cells:
    """Numbers in order, divided into runs that share a value.

    Args:
        ordered: Shape (count,), float64, ascending.
    """

    def __init__(self, ordered: NDArray[np.float64]) -> None:
        self._ordered = ordered
        # Sums of squares lose their digits far from zero.
        self._middle = float(ordered.mean())
        centred = ordered - self._middle
        self._sums = np.concatenate([[0.0], np.cumsum(centred)])
        self._squares = np.concatenate([[0.0], np.cumsum(centred**2)])

    def divide(self, most: int) -> NDArray[np.int64]:
        """Divide the run with the largest error at its mean, until there are enough.

        Returns:
            Where the runs begin, and the end; fewer where fewer numbers differ.
        """
        heap = [self._cell(0, len(self._ordered))]
        while len(heap) < most and heap[0][0] < 0:
            _, first, last = heapq.heappop(heap)
            mean = self._middle + self._sum(first, last) / (last - first)
            cut = int(np.searchsorted(self._ordered[first:last], mean)) + first
            # All but equal numbers have a mean that is no more than the least.
            if not first < cut < last:
                heapq.heappush(heap, (0.0, first, last))
                continue
            heapq.heappush(heap, self._cell(first, cut))
            heapq.heappush(heap, self._cell(cut, last))
        firsts = sorted(first for _, first, _ in heap)
        return np.array([*firsts, len(self._ordered)], np.int64)

    def means(self, edges: NDArray[np.int64]) -> NDArray[np.float64]:
        """The mean of each run, ascending; runs that are empty are left out."""
        counts = np.diff(edges)
        sums = np.diff(self._sums[edges])[counts > 0]
        return np.asarray(self._middle + sums / counts[counts > 0], np.float64)

    def nearest(self, table: NDArray[np.float64]) -> NDArray[np.int64]:
        """Divide so that every number is in the run of the nearest value."""
        borders = np.searchsorted(self._ordered, (table[1:] + table[:-1]) / 2)
        return np.concatenate([[0], borders, [len(self._ordered)]]).astype(np.int64)

    def _sum(self, first: int, last: int) -> float:
        return float(self._sums[last] - self._sums[first])

    def _cell(self, first: int, last: int) -> tuple[float, int, int]:
        """A run with its squared error, negative so that the largest comes first."""
        if self._ordered[first] == self._ordered[last - 1]:
            return 0.0, first, last
        squares = float(self._squares[last] - self._squares[first])
        error = squares - self._sum(first, last) ** 2 / (last - first)
        return min(-error, 0.0), first, last
