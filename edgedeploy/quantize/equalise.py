"""Scale the channels between layers, so that each layer's grid suits its inputs.

A layer has one step a row, so a weight that meets large inputs is rounded as coarsely
as one that meets small ones. Dividing an input's channel by t and multiplying its
weights by t changes no answer; each row of the layer before takes the division into its
own step. For rounding as the solver does it, a row's error is its squared step, which
grows with the sum of w² t², times the sum of d / t², where d are the squares of the
moments' Cholesky factor (Chen et al. 2025, "The Geometry of LLM Quantization"). The
logarithm of that product is convex in log t, so there is one best t. Scaling for the
inputs' sake: Lin et al. 2023, "AWQ: Activation-aware Weight Quantization".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.quantize.channels import Channels
from edgedeploy.quantize.layers import (
    DEPTHWISE,
    Layer,
    bias_of,
    copy_model,
    set_layer,
    weights_of,
)
from edgedeploy.quantize.observe import Moments
from edgedeploy.quantize.solver.gptq import check_finite, damp

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDS = 60
# Beyond it a channel hardly matters any more, and float32's range is no concern.
_FARTHEST = 64.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """Numbers that channels are divided by.

    Attributes:
        channels: Which channels go together.
        factors: One a group, shape (groups,), float64, positive; 1 where nothing
            changes.
    """

    channels: Channels
    factors: NDArray[np.float64]

    def of(self, tensor: int) -> NDArray[np.float64] | None:
        """One number a channel of a tensor; None where there is none to scale."""
        groups = self.channels.groups.get(tensor)
        return None if groups is None else self.factors[groups]


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What one layer would like: shares of its error, by input channel."""

    groups: NDArray[np.int64]
    inputs: NDArray[np.float64]
    weights: NDArray[np.float64]


def find_scaling(
    model: Any,
    layers: Sequence[Layer],
    moments: Mapping[int, Moments],
    channels: Channels,
) -> Scaling:
    """Find what to divide channels by, for the least error of all layers together.

    Args:
        model: The float32 `ModelT`.
        layers: Its layers.
        moments: Of their inputs, by operator number.
        channels: Which channels may be scaled, and which together.

    Raises:
        QuantizationError: If weights or inputs are not finite.
    """
    views = [
        view
        for layer in layers
        if (view := _view(model, layer, moments[layer.operator], channels)) is not None
    ]
    squares = np.ones(len(channels.free))
    least = np.maximum(channels.least, 1 / _FARTHEST) ** 2
    for _ in range(_ROUNDS):
        top, bottom = np.zeros_like(squares), np.zeros_like(squares)
        for view in views:
            given = view.inputs / squares[view.groups]
            taken = view.weights * squares[view.groups]
            np.add.at(top, view.groups, view.inputs / given.sum())
            np.add.at(bottom, view.groups, view.weights / taken.sum())
        moved = channels.free & (top > 0) & (bottom > 0)
        ratio = np.divide(top, bottom, out=np.ones_like(top), where=moved)
        # Where the derivative is 0; half-way, since layers pull at each other.
        squares = np.sqrt(squares * np.sqrt(ratio), out=squares, where=moved)
        squares = np.where(moved, np.clip(squares, least, _FARTHEST**2), squares)
    return Scaling(channels=channels, factors=np.sqrt(squares))


def scale_model(model: Any, layers: Sequence[Layer], scaling: Scaling) -> Any:
    """Divide channels, and let the layers around them make up for it.

    Args:
        model: The float32 `ModelT`; it is left as it was.
        layers: Its layers.
        scaling: By how much.

    Returns:
        A `ModelT` whose answers differ by float32's rounding.
    """
    scaled = copy_model(model)
    operators = model.subgraphs[0].operators
    for layer in layers:
        weights, bias = weights_of(model, layer), bias_of(model, layer)
        before = _by_column(layer, scaling)
        after = scaling.of(int(operators[layer.operator].outputs[0]))
        rows = np.ones(layer.rows) if after is None else after
        set_layer(scaled, layer, weights * before / rows[:, None], bias / rows)
    return scaled


def scale_moments(layer: Layer, moments: Moments, scaling: Scaling) -> Moments:
    """The moments of a layer's inputs once those are divided."""
    by = _by_column(layer, scaling)
    inverse = (1 / by).astype(np.float32)
    if layer.kind == DEPTHWISE:
        second = moments.second * inverse * inverse
    else:
        second = moments.second * inverse[0][:, None] * inverse[0]
        by = by[0]
    return Moments(mean=moments.mean / by, second=second, pictures=moments.pictures)


def _by_column(layer: Layer, scaling: Scaling) -> NDArray[np.float64]:
    """What a layer's inputs are divided by, to be held against its weights."""
    factors = scaling.of(layer.source)
    if factors is None:
        return np.ones((1, 1))
    if layer.kind == DEPTHWISE:
        return factors[:, None]
    if layer.columns % len(factors):
        return np.ones((1, layer.columns))
    return np.tile(factors, layer.columns // len(factors))[None, :]


def _view(
    model: Any, layer: Layer, moments: Moments, channels: Channels
) -> _View | None:
    groups = channels.groups.get(layer.source)
    # A depthwise weight's row is its channel: there is nothing to suit.
    if layer.kind == DEPTHWISE or groups is None or not channels.free[groups].any():
        return None
    weights = weights_of(model, layer)
    check_finite(weights, moments.second)
    seen = damp(moments.second).astype(np.float32)
    # Rows count by how their outputs vary, so that loud ones do not decide alone.
    loud = np.einsum("ri,ir->r", weights, seen @ weights.T)
    shares = weights / np.sqrt(np.where(loud > 0, loud, np.inf))[:, None]
    order = np.argsort(np.diag(seen), kind="stable")
    left = np.empty(layer.columns, np.float64)
    left[order] = np.diag(np.linalg.cholesky(seen[np.ix_(order, order)])) ** 2
    return _View(
        groups=groups,
        inputs=left.reshape(-1, len(groups)).sum(axis=0),
        weights=np.square(shares, dtype=np.float64)
        .sum(axis=0)
        .reshape(-1, len(groups))
        .sum(axis=0),
    )
