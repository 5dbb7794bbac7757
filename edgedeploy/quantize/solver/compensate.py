"""A bias that takes over the mean of what rounding changed.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
Correction".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
