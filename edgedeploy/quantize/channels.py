"""Which channels of a network may be scaled without changing its answers.

What a layer gives can be divided by a number, channel by channel, where the layers that
read it multiply by the same: through ReLU, pooling, sums and joins nothing else changes
(Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
Correction"). ReLU6 cuts at 6, so there it holds for channels that provably never get
there, and stays below for as far as they are from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.quantize.layers import (
    DEPTHWISE,
    Layer,
    bias_of,
    operator_code,
    weights_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CUT = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """Channels that can be scaled only together are one group.

    Attributes:
        groups: The group of each channel, shape (channels,), int64, by tensor number.
        free: Whether a group may be scaled at all, shape (groups,).
        least: The smallest number that a group may be divided by, shape (groups,),
            float64; 0 where any will do.
    """

    groups: Mapping[int, NDArray[np.int64]]
    free: NDArray[np.bool_]
    least: NDArray[np.float64]


def group_channels(model: Any, layers: Sequence[Layer]) -> Channels:
    """Find the channels that can be scaled.

    Args:
        model: The float32 network, a `ModelT`.
        layers: Those whose weights can make up for it.
    """
    graph = _Graph(model, layers)
    for number, operator in enumerate(model.subgraphs[0].operators):
        graph.take(number, operator)
    return graph.channels()


class _Graph:
    """Walks the operators, and notes what each of them lets through."""

    def __init__(self, model: Any, layers: Sequence[Layer]) -> None:
        self._model = model
        self._tensors = model.subgraphs[0].tensors
        self._layers = {layer.operator: layer for layer in layers}
        self._ids: dict[int, NDArray[np.int64]] = {}
        count = 0
        for number, tensor in enumerate(self._tensors):
            if tensor.shape is not None and len(tensor.shape) > 1:
                size = int(tensor.shape[-1])
                self._ids[number] = np.arange(count, count + size)
                count += size
        self._free = np.ones(count, bool)
        self._least = np.zeros(count)
        self._ties: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        # Tensors that lie between 0 and 6.
        self._cut: set[int] = set()
        graph = model.subgraphs[0]
        self._hold([*graph.inputs, *graph.outputs])

    def take(self, number: int, operator: Any) -> None:
        """Note one operator."""
        sources, results = _tensors(operator.inputs), _tensors(operator.outputs)
        if number in self._layers:
            self._take_layer(self._layers[number], operator, results[0])
            return
        ties = self._passed(operator, sources, results)
        if ties is None:
            self._hold([*sources, *results])
            return
        self._ties += ties
        through = [t for t in sources if not self._constant(t)]
        if all(t in self._cut for t in through) and not self._sums(operator):
            self._cut.update(results)

    def channels(self) -> Channels:
        """Put together what is tied: a group is named by its lowest channel."""
        group = np.arange(len(self._free))
        while True:
            before = group.copy()
            for one, other in self._ties:
                lowest = np.minimum(group[one], group[other])
                group[one] = group[other] = lowest
            if (group == before).all():
                break
        free, least = np.ones(len(group), bool), np.zeros(len(group))
        np.logical_and.at(free, group, self._free)
        np.maximum.at(least, group, self._least)
        groups = {tensor: group[ids] for tensor, ids in self._ids.items()}
        return Channels(groups=groups, free=free, least=least)

    def _take_layer(self, layer: Layer, operator: Any, result: int) -> None:
        from ai_edge_litert.schema_py_generated import ActivationFunctionType as Kind

        activation = operator.builtinOptions.fusedActivationFunction
        mismatched = len(self._ids.get(layer.source, ())) != _inputs(layer)
        if mismatched or len(self._ids.get(result, ())) != layer.rows:
            self._hold([layer.source, result])
        elif activation == Kind.RELU6:
            self._cut.add(result)
            self._take_cut(layer, self._ids[result])
        elif activation not in (Kind.NONE, Kind.RELU):
            self._hold([result])

    def _take_cut(self, layer: Layer, ids: NDArray[np.int64]) -> None:
        """Free the channels that stay below 6 for whatever lies between 0 and 6."""
        most = np.full(layer.rows, np.inf)
        if layer.source in self._cut:
            weights = np.maximum(weights_of(self._model, layer), 0).astype(np.float64)
            most = bias_of(self._model, layer) + _CUT * weights.sum(axis=1)
        self._free[ids] &= most <= _CUT
        # A channel that is always 0 may be divided by anything.
        self._least[ids] = np.clip(most / _CUT, 0, 1)

    def _passed(
        self, operator: Any, sources: Sequence[int], results: Sequence[int]
    ) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]] | None:
        """What an operator ties together; None where scaling does not pass it."""
        from ai_edge_litert.schema_py_generated import ActivationFunctionType as Kind
        from ai_edge_litert.schema_py_generated import BuiltinOperator as Builtin

        if len(results) != 1:
            return None
        code = operator_code(self._model, operator)
        options, result = operator.builtinOptions, results[0]
        plain = getattr(options, "fusedActivationFunction", Kind.NONE)
        real = [t for t in sources if not self._constant(t)]
        if plain not in (Kind.NONE, Kind.RELU):
            return None
        if any(t not in self._ids for t in [*real, result]):
            return None
        own = self._ids[result]
        if code == Builtin.CONCATENATION:
            joined = np.concatenate([self._ids[t] for t in sources])
            last = options.axis in (-1, len(self._tensors[result].shape) - 1)
            whole = len(real) == len(sources) and last and len(joined) == len(own)
            return [(joined, own)] if whole else None
        if code == Builtin.ADD:
            shapes = {tuple(self._tensors[t].shape) for t in [*real, result]}
            alike = len(real) == 2 and len(shapes) == 1
            return [(self._ids[t], own) for t in real] if alike else None
        if code == Builtin.MEAN and self._averages_channels(sources):
            return None
        keeps = (
            *(Builtin.MAX_POOL_2D, Builtin.AVERAGE_POOL_2D, Builtin.MEAN),
            *(Builtin.RELU, Builtin.PAD, Builtin.RESHAPE),
        )
        same = len(real) == 1 and len(self._ids[real[0]]) == len(own)
        return [(self._ids[real[0]], own)] if code in keeps and same else None

    def _averages_channels(self, sources: Sequence[int]) -> bool:
        if len(sources) != 2:
            return True
        data = self._model.buffers[self._tensors[sources[1]].buffer].data
        raw = np.ascontiguousarray(data if data is not None else [], np.uint8)
        if not len(raw) or len(raw) % 4:
            return True
        last = len(self._tensors[sources[0]].shape) - 1
        return bool(np.isin(raw.view("<i4"), (-1, last)).any())

    def _sums(self, operator: Any) -> bool:
        from ai_edge_litert.schema_py_generated import BuiltinOperator as Builtin

        return bool(operator_code(self._model, operator) == Builtin.ADD)

    def _constant(self, tensor: int) -> bool:
        number = self._tensors[tensor].buffer
        return bool(self._model.buffers[number].data is not None)

    def _hold(self, tensors: Sequence[int]) -> None:
        for tensor in tensors:
            if int(tensor) in self._ids:
                self._free[self._ids[int(tensor)]] = False


def _inputs(layer: Layer) -> int:
    """How many channels a layer reads."""
    height, width = layer.kernel
    return layer.rows if layer.kind == DEPTHWISE else layer.columns // (height * width)


def _tensors(numbers: Any) -> list[int]:
    """An operator's tensors; the object API gives None for an empty list."""
    return [] if numbers is None else [int(t) for t in numbers if t >= 0]
