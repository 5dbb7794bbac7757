"""Channels whose weights are too small for their bias, given one weight that is not.

An integer kernel adds the bias in steps of (step of the input x step of the weights),
as 32-bit numbers. LiteRT's quantizer takes a channel's step from its largest weight, so
a channel of zeros, or nearly, loses its bias: the number does not fit in 32 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgedeploy.errors import QuantizationError
from edgedeploy.quantize.layers import (
    Layer,
    bias_of,
    set_layer,
    weight_layers,
    weights_of,
)

_WEIGHT_CODES, _INPUT_CODES = 127, 255
# A bias becomes a number of this size, and what the weight adds to it is at most
# 127 * 255 of these, 0.003 % of the bias.
_BIAS_CODES = 2.0**30

# Least and greatest value of each tensor, by its name.
Ranges = Mapping[str, tuple[float, float]]


def lift_dead_channels(model: Any, ranges: Ranges) -> int:
    """Raise the largest weight of each such channel until its bias fits.

    Args:
        model: A float32 `ModelT` whose tensors have names; it is changed.
        ranges: What was seen while it was calibrated.

    Returns:
        How many channels were changed.

    Raises:
        FormatError: If a layer contradicts itself.
    """
    try:
        layers = weight_layers(model)
    except QuantizationError:
        # Nothing has weights of its own, so nothing has dead ones.
        return 0
    return sum(_lift(model, layer, ranges) for layer in layers)


def _lift(model: Any, layer: Layer, ranges: Ranges) -> int:
    graph = model.subgraphs[0]
    target = int(graph.operators[layer.operator].outputs[0])
    known = [ranges.get(_name(graph, tensor)) for tensor in (layer.source, target)]
    if known[0] is None or known[1] is None:
        return 0
    source_step, target_step = (_step(one) for one in known if one is not None)
    weights, bias = weights_of(model, layer), bias_of(model, layer)
    # Below the output's step a bias changes nothing; the kernels want a step there too.
    least = np.maximum(np.abs(bias), target_step)
    needed = _WEIGHT_CODES * least / (source_step * _BIAS_CODES)
    largest = np.abs(weights).argmax(axis=1)
    rows = np.flatnonzero(np.abs(weights[np.arange(layer.rows), largest]) < needed)
    if not len(rows):
        return 0
    signs = np.where(weights[rows, largest[rows]] < 0, -1, 1)
    weights[rows, largest[rows]] = signs * needed[rows]
    set_layer(model, layer, weights, bias)
    return len(rows)


def _name(graph: Any, tensor: int) -> str:
    return bytes(graph.tensors[tensor].name).decode(errors="replace")


def _step(ends: tuple[float, float]) -> float:
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    return max(high - low, 1e-6) / _INPUT_CODES
