"""Rounding that lets each weight make up for the errors of those before it.

GPTQ: Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative
Pre-trained Transformers". It is written here as Babai's nearest-plane rounding on the
Cholesky factor of the inputs' second moments, which gives the same codes without an
inverse (Chen et al. 2025, "The Geometry of LLM Quantization"). The passes afterwards
are coordinate descent on the same error (Behdin et al. 2023, "QuantEase").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import QuantizationError
from edgedeploy.quantize.solver.clipping import clipped_steps
from edgedeploy.quantize.solver.grid import TINIEST_STEP, largest_code, smallest_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Columns between two matrix products; the arithmetic is the same for any.
_BLOCK = 32
DAMPING = 0.1
# Shares of the step that plain rounding likes best; the compensated one likes others.
_FACTORS = (0.88, 0.94, 1.0, 1.06)
_PASSES = 4
_COARSE = 4


def solve(
    weights: NDArray[Any], moments: NDArray[Any], bits: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Find codes and steps with a small error of the layer's output.

    The error of a row is e·M·e, with e the difference of the weights and M the
    inputs' (centred) second moments.

    Args:
        weights: Shape (rows, inputs), real and finite.
        moments: Shape (inputs, inputs), symmetric, positive semidefinite.
        bits: Width of a code, 3 to 8.

    Returns:
        Codes, shape (rows, inputs), int8; steps, shape (rows,), float32, positive.

    Raises:
        QuantizationError: If a value is not finite.
    """
    check_finite(weights, moments)
    damped = damp(moments)
    order = np.argsort(np.diag(damped), kind="stable")
    back = np.argsort(order, kind="stable")
    damped = damped[np.ix_(order, order)]
    factor = np.linalg.cholesky(damped).astype(np.float32)
    second = damped.astype(np.float32)
    # One line a column of the weights, so that what is worked on lies together.
    wanted = np.ascontiguousarray(np.asarray(weights, np.float32)[:, order].T)
    start = clipped_steps(wanted.T, np.diag(second), bits).astype(np.float32)
    steps, codes = start, np.zeros_like(wanted)
    best = np.full(len(start), np.inf)
    # Finer grids clip little: the first step is as good as any.
    factors, passes = (_FACTORS, _PASSES) if bits <= _COARSE else ((1.0,), 1)
    for share in factors:
        tried = start * np.float32(share)
        found = nearest_plane(wanted, factor, tried, bits)
        error = output_error(wanted - found * tried, second)
        better = error < best
        best = np.where(better, error, best)
        codes = np.where(better, found, codes)
        steps = np.where(better, tried, steps)
    for _ in range(passes):
        steps = _refit(wanted, second, codes, steps)
        codes = descend(wanted, second, codes, steps, bits)
    return codes[back].T.astype(np.int8), steps


def check_finite(weights: NDArray[Any], moments: NDArray[Any]) -> None:
    """Refuse what cannot be solved.

    Raises:
        QuantizationError: If a value is not finite.
    """
    if not (np.isfinite(weights).all() and np.isfinite(moments).all()):
        raise QuantizationError(
            "a layer's weights or inputs are not finite; check the model's pipeline"
        )


def damp(moments: NDArray[Any]) -> NDArray[np.float64]:
    """Make second moments positive definite; inputs that are always 0 weigh little."""
    damped = np.array(moments, np.float64)
    diagonal = np.diag_indices(len(damped))
    level = float(np.mean(damped[diagonal]))
    # A layer whose inputs never vary: then plain rounding is all there is.
    damped[diagonal] += DAMPING * level if level > 0 else 1.0
    return damped


def output_error(
    difference: NDArray[Any], moments: NDArray[Any]
) -> NDArray[np.float64]:
    """Mean squared output error of each row.

    Args:
        difference: Of the weights, shape (inputs, rows).
        moments: Shape (inputs, inputs).

    Returns:
        Shape (rows,), float64.
    """
    product = moments @ difference
    return np.asarray(np.einsum("ir,ir->r", product, difference), np.float64)


def nearest_plane(
    wanted: NDArray[Any], factor: NDArray[Any], steps: NDArray[Any], bits: int
) -> NDArray[np.float32]:
    """Round the inputs from the last, each making up for those done.

    Args:
        wanted: The weights, shape (inputs, rows), float32.
        factor: Lower Cholesky factor of the moments, shape (inputs, inputs).
        steps: Shape (rows,) or (inputs, rows).
        bits: Width of a code.

    Returns:
        Codes, shape (inputs, rows), float32.
    """
    least, most = smallest_code(bits), largest_code(bits)
    each = np.broadcast_to(steps, wanted.shape)
    codes, errors = np.zeros_like(wanted), np.zeros_like(wanted)
    for high in range(len(wanted), 0, -_BLOCK):
        low = max(0, high - _BLOCK)
        due = factor[high:, low:high].T @ errors[high:]
        for one in range(high - 1, low - 1, -1):
            place = one - low
            inside = factor[one + 1 : high, one] @ errors[one + 1 : high]
            aim = wanted[one] + (due[place] + inside) / factor[one, one]
            codes[one] = np.clip(np.rint(aim / each[one]), least, most)
            errors[one] = wanted[one] - codes[one] * each[one]
    return codes


def descend(
    wanted: NDArray[Any],
    moments: NDArray[Any],
    codes: NDArray[Any],
    steps: NDArray[Any],
    bits: int,
) -> NDArray[np.float32]:
    """Choose every code anew while the others stand; the error never grows.

    Args:
        wanted: The weights, shape (inputs, rows), float32.
        moments: Shape (inputs, inputs), float32.
        codes: Where to start, shape (inputs, rows).
        steps: Shape (rows,) or (inputs, rows).
        bits: Width of a code.

    Returns:
        Codes, shape (inputs, rows), float32.
    """
    least, most = smallest_code(bits), largest_code(bits)
    each = np.broadcast_to(steps, wanted.shape)
    codes = codes.copy()
    errors = wanted - codes * steps
    for low in range(0, len(wanted), _BLOCK):
        high = min(len(wanted), low + _BLOCK)
        pull = moments[low:high] @ errors
        local = moments[low:high, low:high]
        before = errors[low:high].copy()
        for one in range(low, high):
            place = one - low
            moved = local[place, :place] @ (errors[low:one] - before[:place])
            others = (pull[place] + moved) / local[place, place] - errors[one]
            aim = wanted[one] + others
            codes[one] = np.clip(np.rint(aim / each[one]), least, most)
            errors[one] = wanted[one] - codes[one] * each[one]
    return codes


def _refit(
    wanted: NDArray[Any],
    moments: NDArray[Any],
    codes: NDArray[Any],
    steps: NDArray[Any],
) -> NDArray[np.float32]:
    """The best step for codes that stand: a least-squares fit of one number a row."""
    weighted = moments @ codes
    top = np.einsum("ir,ir->r", weighted, wanted)
    bottom = np.einsum("ir,ir->r", weighted, codes)
    fitted = np.divide(top, bottom, out=steps.copy(), where=bottom > 0)
    return np.asarray(np.where(fitted > TINIEST_STEP, fitted, steps), np.float32)
