"""What a layer should compute when the layers before it are quantised already.

The bias takes over the mean (Nagel et al. 2019, "Data-Free Quantization Through Weight
Equalization and Bias Correction"), and the weights are refitted by least squares to
the inputs that the layer will really get (asymmetric calibration: Li et al. 2025,
"GPTAQ").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Towards the trained weights: a few hundred pictures must not remake a layer.
RIDGE = 0.1


def refit_weights(
    weights: NDArray[Any], moments: NDArray[Any], cross: NDArray[Any]
) -> NDArray[np.float64]:
    """Fit weights so that float32's outputs come out of the changed inputs.

    Minimises E|W·x - V·x'|² + ridge·|V - W|², with x float32's centred inputs and x'
    those of the network quantised so far.

    Args:
        weights: W, shape (rows, inputs).
        moments: E[x'·x'ᵀ], shape (inputs, inputs).
        cross: E[x·x'ᵀ], shape (inputs, inputs).

    Returns:
        V, shape (rows, inputs), float64.
    """
    wanted = np.asarray(weights, np.float64)
    regular = np.array(moments, np.float64)
    diagonal = np.diag_indices(len(regular))
    level = float(np.mean(regular[diagonal]))
    if level <= 0:
        return wanted
    regular[diagonal] += RIDGE * level
    change = wanted @ (np.asarray(cross, np.float64) - moments)
    return np.asarray(wanted + np.linalg.solve(regular, change.T).T)


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
