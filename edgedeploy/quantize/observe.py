"""What a layer is given: sampled inputs of the float network, over many pictures.

Only sums are kept, so memory does not grow with the number of pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import QuantizationError
from edgedeploy.quantize.layers import DENSE, DEPTHWISE, Layer
from edgedeploy.quantize.wave import cut, prepared

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Pixels of one feature map that are looked at; neighbours say much the same.
POSITIONS = 64
# Depthwise weights keep 8 bits, for which rough statistics will do.
_DEPTHWISE_POSITIONS = 6
# Pictures between two matrix products: one large product is faster than many small.
_TOGETHER = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Means and second moments of a layer's inputs.

    Attributes:
        mean: Shape (columns,), or (channels, columns) for depthwise layers, whose
            channels have inputs of their own; float64.
        second: Centred, shape (columns, columns), float32; for depthwise layers the
            variances alone, shape (channels, columns).
        pictures: Pictures that they came from; fewer where some count more than others.
    """

    mean: NDArray[np.float64]
    second: NDArray[np.float32]
    pictures: float


def observe_network(
    model: Any,
    layers: Sequence[Layer],
    pictures: Sequence[NDArray[np.float32]],
    *,
    threads: int,
    seed: int,
    tick: Callable[[], None],
    weigh: Callable[[NDArray[np.float32]], float] = lambda _: 1.0,
) -> dict[int, Moments]:
    """Run pictures through a network and add up what its layers are given.

    Args:
        model: The float32 `ModelT`; it is left as it was.
        layers: Its layers.
        pictures: Normalised, each of shape (height, width, 3).
        threads: Threads of the interpreter.
        seed: Of the sampling.
        tick: Called after each picture.
        weigh: Tells from a picture's scores how much it counts, positive.

    Returns:
        Moments by operator number; layers that see the same share theirs.

    Raises:
        QuantizationError: If the runtime cannot run the network.
    """
    graph = model.subgraphs[0]
    image = int(graph.inputs[0])
    groups: dict[Layer | tuple[object, ...], Layer] = {}
    for layer in layers:
        groups.setdefault(_sight(layer), layer)
    sums = {sight: _Sums(layer) for sight, layer in groups.items()}
    sources = sorted({layer.source for layer in layers} - {image})
    results = [*sources, *(int(number) for number in graph.outputs)]
    interpreter = prepared(cut(model, graph.operators, [image], results), threads)
    output = results[-1]
    weights = []
    for number, picture in enumerate(pictures):
        try:
            interpreter.set_tensor(image, picture[None])
            interpreter.invoke()
            seen = {one: interpreter.get_tensor(one) for one in sources}
            weights.append(weigh(interpreter.get_tensor(output).reshape(-1)))
        except (ValueError, RuntimeError) as error:
            raise QuantizationError(
                f"LiteRT cannot run the network ({error})"
            ) from error
        seen[image] = picture[None]
        for sight, layer in groups.items():
            random = np.random.default_rng([seed, number, layer.operator])
            values = seen[layer.source]
            places = _places(layer, values.shape, random)
            sums[sight].add(_patches(layer, values, places), weights[-1])
        tick()
    # As many alike as would be equally uncertain (Kish's effective sample size).
    count = sum(weights) ** 2 / sum(weight * weight for weight in weights)
    made = {sight: one.moments(count) for sight, one in sums.items()}
    return {layer.operator: made[_sight(layer)] for layer in layers}


def _sight(layer: Layer) -> tuple[object, ...]:
    """What decides which inputs a layer sees."""
    kind = layer.kind
    return (
        *(kind, layer.source, layer.columns, layer.kernel),
        *(layer.stride, layer.dilation, layer.same),
    )


def _output_size(layer: Layer, axis: int, size: int) -> int:
    reach = (layer.kernel[axis] - 1) * layer.dilation[axis] + 1
    stride = layer.stride[axis]
    return -(-size // stride) if layer.same else (size - reach) // stride + 1


def _places(
    layer: Layer, shape: tuple[int, ...], random: np.random.Generator
) -> NDArray[np.int64]:
    """Choose output pixels, shape (n, 2)."""
    if layer.kind == DENSE:
        return np.zeros((1, 2), np.int64)
    height, width = (_output_size(layer, a, shape[a + 1]) for a in (0, 1))
    positions = _DEPTHWISE_POSITIONS if layer.kind == DEPTHWISE else POSITIONS
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
    """Adds up the moments of what one or more layers see."""

    def __init__(self, layer: Layer) -> None:
        columns = layer.columns
        self._depthwise = layer.kind == DEPTHWISE
        lead = (layer.rows,) if self._depthwise else ()
        self._count = 0.0
        self._sum = np.zeros((*lead, columns))
        shape = (layer.rows, columns) if self._depthwise else (columns, columns)
        self._squares = np.zeros(shape, np.float32)
        self._waiting: list[NDArray[np.float32]] = []

    def add(self, patches: NDArray[np.float32], weight: float) -> None:
        """Add samples, shape (n, columns); depthwise (n, columns, channels)."""
        self._count += weight * len(patches)
        total = weight * patches.sum(axis=0, dtype=np.float64)
        self._sum += total.T if self._depthwise else total
        self._waiting.append(patches * np.float32(math.sqrt(weight)))
        if len(self._waiting) == _TOGETHER:
            self._add_up()

    def _add_up(self) -> None:
        x = np.concatenate(self._waiting)
        self._waiting = []
        if self._depthwise:
            self._squares += np.einsum("nkc,nkc->ck", x, x)
        else:
            self._squares += x.T @ x

    def moments(self, pictures: float) -> Moments:
        """Divide, and take the means off."""
        if self._waiting:
            self._add_up()
        mean = self._sum / self._count
        second = self._squares
        second /= np.float32(self._count)
        off = mean * mean if self._depthwise else np.multiply.outer(mean, mean)
        second -= off.astype(np.float32)
        if self._depthwise:
            np.maximum(second, 0, out=second)
        return Moments(mean=mean, second=second, pictures=pictures)
