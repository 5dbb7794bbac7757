"""Solve a network's layers, each for the inputs that float32 gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.quantize.layers import DENSE, DEPTHWISE, Layer, bias_of, weights_of
from edgedeploy.quantize.observe import Moments
from edgedeploy.quantize.solver.blocks import BLOCK, half, solve_blocks, spread
from edgedeploy.quantize.solver.clipping import clipped_steps
from edgedeploy.quantize.solver.compensate import corrected_bias, lost_gain
from edgedeploy.quantize.solver.gptq import damp, output_error, solve
from edgedeploy.quantize.solver.grid import round_to_grid, shorten
from edgedeploy.quantize.write import SolvedLayer

if TYPE_CHECKING:
    from numpy.typing import NDArray

NARROW, WIDE = 4, 8
# 4 bits, and 16 for every 32 weights.
BLOCKED = 4.5
# How strongly few pictures pull the second moments towards their diagonal. With 250
# views a layer of 1,152 inputs is pulled by 4 per cent, with 24 by a third.
_TRUST = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A solved layer.

    Attributes:
        solved: Its codes, steps and bias.
        error: Mean squared error of its outputs, summed over them.
    """

    solved: SolvedLayer
    error: float


def stored_bits(bits: float) -> int:
    """Bits that the file gives a code of some width."""
    return NARROW if bits <= BLOCKED else WIDE


def can_be_blocked(layer: Layer) -> bool:
    """Whether a layer may have a step for every 32 inputs: products alone may."""
    return layer.pointwise and layer.columns % BLOCK == 0


def solve_layer(
    reference: Any, layer: Layer, bits: float, moments: Moments
) -> Solution:
    """Solve one layer.

    Args:
        reference: The float32 network, a `ModelT`.
        layer: Which layer.
        bits: Width of its grid, 4 to 8; from 5 the file holds bytes, which deflate to
            about that width. 4.5 is 4 bits and a step for every 32 inputs.
        moments: Of its inputs.

    Raises:
        QuantizationError: If its weights or inputs are not finite.
    """
    weights, bias = weights_of(reference, layer), bias_of(reference, layer)
    if layer.kind == DEPTHWISE:
        # An input that never varies is still multiplied, and moves the bias.
        width = int(bits)
        steps = clipped_steps(weights, moments.second + 1e-6, width).astype(np.float32)
        codes = round_to_grid(weights, steps, width).astype(np.int8)
        left = weights - codes * steps[:, None]
        moved = np.asarray(bias + (left * moments.mean).sum(axis=1), np.float32)
        error = float((left * left * moments.second).sum())
    else:
        second = _trusted(moments, layer)
        if bits == BLOCKED:
            codes, steps = solve_blocks(weights, second, NARROW)
        else:
            codes, steps = solve(weights, second, int(bits))
        real = codes * spread(steps, layer.columns)
        error = float(output_error((weights - real).T, second).sum())
        if bits < WIDE:
            gain = lost_gain(weights, real, damp(second))
            steps = (steps.T * gain).T if bits != BLOCKED else half((steps.T * gain).T)
            real = codes * spread(steps, layer.columns)
        moved = corrected_bias(bias, weights, moments.mean, real, moments.mean)
    solved = SolvedLayer(
        layer=layer,
        bits=stored_bits(bits),
        codes=codes,
        steps=shorten(steps),
        bias=shorten(moved),
    )
    return Solution(solved=solved, error=max(error, 0.0))


def _trusted(moments: Moments, layer: Layer) -> NDArray[np.float64]:
    """Second moments, pulled towards their diagonal where pictures are few."""
    second = moments.second.astype(np.float64)
    if layer.kind == DENSE:
        # The mean of few pictures is uncertain, so it counts as variance too.
        second += np.outer(moments.mean, moments.mean) * 0.1
    pull = layer.columns / (layer.columns + _TRUST * moments.pictures)
    diagonal = np.diag_indices(len(second))
    kept = second[diagonal]
    second *= 1 - pull
    second[diagonal] = kept
    return second
