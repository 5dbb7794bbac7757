"""Solve a network's layers, each for the inputs that float32 gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.quantize.layers import DENSE, DEPTHWISE, Layer, bias_of, weights_of
from edgedeploy.quantize.observe import Moments
from edgedeploy.quantize.solver.clipping import clipped_steps
from edgedeploy.quantize.solver.compensate import corrected_bias
from edgedeploy.quantize.solver.gptq import output_error, solve
from edgedeploy.quantize.solver.grid import round_to_grid
from edgedeploy.quantize.write import SolvedLayer

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


def solve_layer(reference: Any, layer: Layer, bits: int, moments: Moments) -> Solution:
    """Solve one layer.

    Args:
        reference: The float32 network, a `ModelT`.
        layer: Which layer.
        bits: Width of its grid, 4 to 8; from 5 the file holds bytes, which deflate to
            about that width.
        moments: Of its inputs.

    Raises:
        QuantizationError: If its weights or inputs are not finite.
    """
    weights, bias = weights_of(reference, layer), bias_of(reference, layer)
    if layer.kind == DEPTHWISE:
        # An input that never varies is still multiplied, and moves the bias.
        steps = clipped_steps(weights, moments.second + 1e-6, bits).astype(np.float32)
        codes = round_to_grid(weights, steps, bits).astype(np.int8)
        left = weights - codes * steps[:, None]
        moved = np.asarray(bias + (left * moments.mean).sum(axis=1), np.float32)
        error = float((left * left * moments.second).sum())
    else:
        second = _trusted(moments, layer)
        codes, steps = solve(weights, second, bits)
        real = codes * steps[:, None]
        moved = corrected_bias(bias, weights, moments.mean, real, moments.mean)
        error = float(output_error((weights - real).T, second).sum())
    solved = SolvedLayer(
        layer=layer, bits=4 if bits == 4 else 8, codes=codes, steps=steps, bias=moved
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
