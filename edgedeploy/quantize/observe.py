"""What a layer is given: sampled inputs of the float and the quantised network.

Only sums are kept, so memory does not grow with the number of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.quantize.layers import DENSE, DEPTHWISE, Layer

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(slots=True)
class Moments:
    """Means and second moments of a layer's inputs, centred.

    For depthwise layers every channel has its own: `channels` is then the leading axis.

    Attributes:
        mean: Float32's, shape (columns,) or (channels, columns).
        quantised_mean: The quantised network's, of the same shape.
        second: E[x'·x'ᵀ], shape (…, columns, columns), float64.
        cross: E[x·x'ᵀ], of the same shape.
        count: Samples that were added.
        pictures: Pictures that they came from.
    """

    mean: NDArray[np.float64]
    quantised_mean: NDArray[np.float64]
    second: NDArray[np.float64]
    cross: NDArray[np.float64]
    count: int
    pictures: int


class Samples:
    """Adds up one layer's moments, picture by picture.

    Args:
        layer: Whose inputs.
        positions: Pixels of a feature map that are sampled from each picture.
        seed: Of the sampling.
    """

    def __init__(self, layer: Layer, positions: int, seed: int) -> None:
        self._layer = layer
        self._positions = positions
        self._seed = seed
        self._number = 0
        self._sums = _Sums(layer)

    def add(
        self, before: NDArray[np.float32], after: NDArray[np.float32] | None = None
    ) -> None:
        """Add a picture.

        Args:
            before: The layer's input in the float32 network, with its batch axis.
            after: The same in the quantised one; None where nothing is quantised yet.
        """
        layer = self._layer
        random = np.random.default_rng([self._seed, self._number, layer.operator])
        self._number += 1
        places = _places(layer, before.shape, self._positions, random)
        x = _patches(layer, before, places)
        self._sums.add(x, x if after is None else _patches(layer, after, places))

    def moments(self) -> Moments:
        """Means and centred second moments of all that was added."""
        return self._sums.moments(self._number)


def _output_size(layer: Layer, axis: int, size: int) -> int:
    reach = (layer.kernel[axis] - 1) * layer.dilation[axis] + 1
    stride = layer.stride[axis]
    return -(-size // stride) if layer.same else (size - reach) // stride + 1


def _places(
    layer: Layer, shape: tuple[int, ...], positions: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Choose output pixels, shape (n, 2)."""
    if layer.kind == DENSE:
        return np.zeros((1, 2), np.int64)
    height, width = (_output_size(layer, a, shape[a + 1]) for a in (0, 1))
    count = min(positions, height * width)
    flat = random.choice(height * width, count, replace=False)
    return np.stack([flat // width, flat % width], axis=1)


def _patches(
    layer: Layer, values: NDArray[np.float32], places: NDArray[np.int64]
) -> NDArray[np.float32]:
    """What the kernel sees at some output pixels.

    Returns:
        Shape (n, columns); for depthwise (n, columns, channels).
    """
    if layer.kind == DENSE:
        return values.reshape(-1, layer.columns)
    tops, lefts = _padding(layer, values.shape)
    rows = places[:, :1] * layer.stride[0] - tops
    rows = rows + np.arange(layer.kernel[0]) * layer.dilation[0]
    columns = places[:, 1:] * layer.stride[1] - lefts
    columns = columns + np.arange(layer.kernel[1]) * layer.dilation[1]
    height, width = values.shape[1:3]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & (
        (columns >= 0) & (columns < width)
    )[:, None, :]
    patch = values[0][
        np.clip(rows, 0, height - 1)[:, :, None],
        np.clip(columns, 0, width - 1)[:, None, :],
    ]
    patch = patch * inside[..., None]
    if layer.kind == DEPTHWISE:
        return np.asarray(patch.reshape(len(places), layer.columns, layer.rows))
    return np.asarray(patch.reshape(len(places), layer.columns))


def _padding(layer: Layer, shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows above and columns left of the picture that SAME padding adds."""
    if not layer.same:
        return 0, 0
    added = []
    for axis in (0, 1):
        reach = (layer.kernel[axis] - 1) * layer.dilation[axis] + 1
        size = shape[axis + 1]
        total = (_output_size(layer, axis, size) - 1) * layer.stride[axis]
        added.append(max(0, total + reach - size) // 2)
    return added[0], added[1]


class _Sums:
    """Adds up one layer's moments."""

    def __init__(self, layer: Layer) -> None:
        lead = (layer.rows,) if layer.kind == DEPTHWISE else ()
        self._depthwise = layer.kind == DEPTHWISE
        self._count = 0
        columns = layer.columns
        self._x = np.zeros((*lead, columns))
        self._y = np.zeros((*lead, columns))
        self._yy = np.zeros((*lead, columns, columns), np.float32)
        self._xy: NDArray[np.float32] | None = None

    def add(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> None:
        """Add samples; `y` is `x` itself where nothing is quantised yet."""
        same = y is x
        if self._depthwise:
            x = np.moveaxis(x, 2, 0)
            y = x if same else np.moveaxis(y, 2, 0)
        self._count += x.shape[-2]
        self._x += x.sum(axis=-2)
        self._y += y.sum(axis=-2)
        turned = np.swapaxes(y, -1, -2)
        self._yy += turned @ y
        if not same:
            if self._xy is None:
                self._xy = np.zeros_like(self._yy)
            self._xy += np.swapaxes(x, -1, -2) @ y

    def moments(self, pictures: int) -> Moments:
        """Divide, and take the means off."""
        mean, other = self._x / self._count, self._y / self._count
        second = self._yy.astype(np.float64) / self._count
        second -= other[..., :, None] * other[..., None, :]
        cross = second
        if self._xy is not None:
            cross = self._xy.astype(np.float64) / self._count
            cross -= mean[..., :, None] * other[..., None, :]
        return Moments(
            mean=mean,
            quantised_mean=other,
            second=second,
            cross=cross,
            count=self._count,
            pictures=pictures,
        )
