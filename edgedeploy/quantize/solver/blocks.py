"""Codes with a step for every few inputs of a row, rather than one for the row.

The same rounding as in `gptq`; the steps are refitted block by block, each while the
others stand (coordinate descent on the layer's output error).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.quantize.solver.clipping import clipped_steps
from edgedeploy.quantize.solver.gptq import (
    check_finite,
    damp,
    descend,
    nearest_plane,
    output_error,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The kernels of XNNPACK want multiples of 32; with 16 the runtime answers nonsense.
BLOCK = 32
# The smallest normal half-precision number, since the file's steps are of that kind.
SMALLEST_STEP = float(np.finfo(np.float16).tiny)
_PASSES = 2


def solve_blocks(
    weights: NDArray[Any], moments: NDArray[Any], bits: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Find codes and steps with a small error of the layer's output.

    Args:
        weights: Shape (rows, inputs), real and finite; inputs a multiple of `BLOCK`.
        moments: Shape (inputs, inputs), symmetric, positive semidefinite.
        bits: Width of a code, 3 to 8.

    Returns:
        Codes, shape (rows, inputs), int8; steps, shape (rows, inputs / BLOCK),
        float32, each a positive half-precision number.

    Raises:
        QuantizationError: If a value is not finite.
    """
    check_finite(weights, moments)
    damped = damp(moments)
    order = np.argsort(np.diag(damped), kind="stable")
    back = np.argsort(order, kind="stable")
    first = _first_steps(weights, np.diag(damped), bits)
    damped = damped[np.ix_(order, order)]
    factor = np.linalg.cholesky(damped).astype(np.float32)
    second = damped.astype(np.float32)
    wanted = np.ascontiguousarray(np.asarray(weights, np.float32)[:, order].T)
    home = order // BLOCK
    steps = first.T
    codes = nearest_plane(wanted, factor, steps[home], bits)
    for _ in range(_PASSES):
        steps = _refit(wanted, second, codes, steps, home)
        codes = descend(wanted, second, codes, steps[home], bits)
    # The plain start is kept where what came of it is no better.
    plain = nearest_plane(wanted, factor, first.T[home], bits)
    worse = output_error(wanted - codes * steps[home], second) > output_error(
        wanted - plain * first.T[home], second
    )
    codes[:, worse], steps[:, worse] = plain[:, worse], first.T[:, worse]
    return codes[back].T.astype(np.int8), np.ascontiguousarray(steps.T)


def spread(steps: NDArray[Any], columns: int) -> NDArray[Any]:
    """Give each column its step.

    Args:
        steps: Shape (rows,) or (rows, blocks).
        columns: How many there are.

    Returns:
        Shape (rows, 1) or (rows, columns).
    """
    if steps.ndim == 1:
        return steps[:, None]
    return np.repeat(steps, columns // steps.shape[1], axis=1)


def _first_steps(
    weights: NDArray[Any], importance: NDArray[Any], bits: int
) -> NDArray[np.float32]:
    rows, inputs = weights.shape
    each = np.tile(importance.reshape(-1, BLOCK), (rows, 1))
    steps = clipped_steps(np.reshape(weights, (-1, BLOCK)), each, bits)
    return half(steps.reshape(rows, inputs // BLOCK))


def half(steps: NDArray[Any]) -> NDArray[np.float32]:
    """Round steps to what the file holds: positive half-precision numbers."""
    largest = float(np.finfo(np.float16).max)
    inside = np.clip(steps, SMALLEST_STEP, largest)
    return np.asarray(inside.astype(np.float16), np.float32)


def _refit(
    wanted: NDArray[Any],
    moments: NDArray[Any],
    codes: NDArray[Any],
    steps: NDArray[Any],
    home: NDArray[Any],
) -> NDArray[np.float32]:
    """Fit one step after another by least squares while the codes stand."""
    fitted = steps.copy()
    errors = wanted - codes * fitted[home]
    for block in range(len(steps)):
        inside = np.flatnonzero(home == block)
        own = codes[inside]
        pull = np.einsum("ir,ir->r", own, moments[inside] @ errors)
        weight = np.einsum("ir,ir->r", own, moments[np.ix_(inside, inside)] @ own)
        change = np.divide(pull, weight, out=np.zeros_like(pull), where=weight > 0)
        moved = fitted[block] + change
        # A step that turns its sign would want other codes, not another step.
        moved = np.where(moved > SMALLEST_STEP, moved, fitted[block])
        fitted[block] = half(moved)
        errors[inside] = wanted[inside] - own * fitted[block]
    return fitted
