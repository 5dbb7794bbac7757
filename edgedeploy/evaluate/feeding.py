"""Pictures into an input tensor, in place.

What is written is what `contract.normalise` and `contract.quantise` give, bit for bit:
they tabulate the 256 values of a channel here, and any quicker way has to reproduce
that table before it is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.tensors import TensorInfo, encode_pictures

if TYPE_CHECKING:
    from numpy.typing import NDArray

Fill = Callable[["NDArray[np.uint8]", "NDArray[Any]"], None]


def tensor_filler(pipeline: ImagePipeline, tensor: TensorInfo) -> Fill:
    """Choose how pictures are written into a tensor.

    Args:
        pipeline: The contract.
        tensor: The model's input.

    Returns:
        A function of a picture, shape (height, width, 3), uint8, RGB, and of the
        tensor's memory, shape (1, height, width, 3) and of its dtype, which it fills.
    """
    table = _table(pipeline, tensor)
    order = (0, 1, 2) if pipeline.channels == "rgb" else (2, 1, 0)
    alike = order == (0, 1, 2) and bool((table == table[:, :1]).all())
    if table.dtype == np.uint8 and alike:
        if np.array_equal(table[:, 0], np.arange(256)):
            return _copy
        return _translate(table[:, 0].tobytes())
    if table.dtype == np.float32 and order == (0, 1, 2):
        mean, std = _float_constants(pipeline)
        # The same two float32 operations, so the same bits; but not assumed.
        values = np.arange(256, dtype=np.float32)[:, None]
        if ((values - mean) / std).tobytes() == table.tobytes():
            return _arithmetic(mean, std, pipeline.width)
    return _look_up(table, order)


def _table(pipeline: ImagePipeline, tensor: TensorInfo) -> NDArray[Any]:
    """Tabulate the tensor's values, shape (256, 3), by the tensor's channels."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    return np.ascontiguousarray(encode_pictures(ramp, pipeline, tensor))


def _float_constants(
    pipeline: ImagePipeline,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.array(pipeline.mean, np.float32), np.array(pipeline.std, np.float32)


def _copy(rgb: NDArray[np.uint8], target: NDArray[Any]) -> None:
    """Write where the table changes nothing: quantisation undoes normalisation."""
    target[0] = rgb


def _translate(table: bytes) -> Fill:
    """Look bytes up, twice as fast as NumPy's indexing."""

    def fill(rgb: NDArray[np.uint8], target: NDArray[Any]) -> None:
        found = np.frombuffer(rgb.tobytes().translate(table), np.uint8)
        target[0] = found.reshape(rgb.shape)

    return fill


def _arithmetic(
    mean: NDArray[np.float32], std: NDArray[np.float32], width: int
) -> Fill:
    """Subtract and divide whole rows, four times as fast as looking floats up."""
    # Rows as long as a picture's: NumPy's loop over three channels would be short.
    means, stds = np.tile(mean, width), np.tile(std, width)

    def fill(rgb: NDArray[np.uint8], target: NDArray[Any]) -> None:
        rows = target.reshape(rgb.shape[0], -1)
        rows[...] = rgb.reshape(rows.shape)
        np.subtract(rows, means, out=rows)
        np.divide(rows, stds, out=rows)

    return fill


def _look_up(table: NDArray[Any], order: tuple[int, ...]) -> Fill:
    """Look each channel up in its own column of the table."""
    columns = [np.ascontiguousarray(table[:, place]) for place in range(3)]

    def fill(rgb: NDArray[np.uint8], target: NDArray[Any]) -> None:
        for place, channel in enumerate(order):
            target[0, ..., place] = columns[place][rgb[..., channel]]

    return fill
