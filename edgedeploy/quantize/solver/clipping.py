"""Where to clip: the step that leaves the smallest weighted error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.quantize.solver.grid import round_to_grid, widest_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARES = tuple(np.linspace(0.35, 1.0, 27).tolist())


def clipped_steps(
    weights: NDArray[Any], importance: NDArray[Any], bits: int
) -> NDArray[np.float64]:
    """Choose each row's step by the error of plain rounding, weighted by the inputs.

    Args:
        weights: Shape (rows, inputs), real.
        importance: The inputs' mean squares, 0 or more; shape (inputs,), or
            (rows, inputs) where every row has inputs of its own.
        bits: Width of a code.

    Returns:
        Shape (rows,), float64, positive.
    """
    widest = widest_steps(weights, bits)
    best = np.full(len(weights), np.inf)
    steps = widest.copy()
    for share in SHARES:
        tried = widest * share
        left = weights - round_to_grid(weights, tried, bits) * tried[:, None]
        error = (left * left * importance).sum(axis=1)
        better = error < best
        best[better] = error[better]
        steps[better] = tried[better]
    return steps
