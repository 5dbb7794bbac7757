"""What is put right after rounding: the outputs' gain, and their mean.

The bias takes over the mean of what rounding changed: Nagel et al. 2019, "Data-Free
Quantization Through Weight Equalization and Bias Correction".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What lies outside was no shrinking: a row that four bits cannot follow at all.
_PLAUSIBLE = (0.9, 1.2)


def corrected_bias(
    bias: NDArray[Any],
    weights: NDArray[Any],
    mean: NDArray[Any],
    quantised: NDArray[Any],
    quantised_mean: NDArray[Any],
) -> NDArray[np.float32]:
    """Move the bias so that the outputs' mean is float32's again.

    Args:
        bias: Shape (rows,).
        weights: Float32's, shape (rows, inputs).
        mean: Mean of float32's inputs, shape (inputs,).
        quantised: The weights that will be used, shape (rows, inputs).
        quantised_mean: Mean of the inputs that they will get, shape (inputs,).

    Returns:
        Shape (rows,), float32.
    """
    before = np.asarray(weights, np.float64) @ mean
    after = np.asarray(quantised, np.float64) @ quantised_mean
    return np.asarray(bias + before - after, np.float32)


def lost_gain(
    weights: NDArray[Any], quantised: NDArray[Any], moments: NDArray[Any]
) -> NDArray[np.float32]:
    """How much the outputs of each row have shrunk.

    A step that leaves the least error is smaller than what it stands for, as any
    regression is: the error is at right angles to the rounded outputs, not to
    float32's. Over fifty layers that makes a network unsure of itself; steps times
    this follow float32's outputs one to one, for a little more error of each layer.

    Args:
        weights: Float32's, shape (rows, inputs).
        quantised: The weights that will be used, shape (rows, inputs).
        moments: Second moments of the inputs, shape (inputs, inputs).

    Returns:
        Shape (rows,), float32, 0.9 to 1.2; 1 for rows that do nothing.
    """
    second = np.asarray(moments, np.float32)
    seen = second @ np.asarray(weights, np.float32).T
    own = np.einsum("ri,ir->r", weights, seen)
    shared = np.einsum("ri,ir->r", quantised, seen)
    gain = np.divide(own, shared, out=np.ones_like(own), where=shared > 0)
    return np.asarray(np.clip(gain, *_PLAUSIBLE), np.float32)
