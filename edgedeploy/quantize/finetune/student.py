"""What is trained of solved layers: steps, biases, and the weights of 8 bits.

Codes of few bits stand. Which of them rounds up is a choice of millions that a few
hundred pictures cannot make; steps and biases are few, and an 8-bit grid is so fine
that its weights can move freely and be rounded again. Learned steps: Esser et al.
2020, "Learned Step Size Quantization".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.quantize.solve import WIDE
from edgedeploy.quantize.solver.grid import largest_code, round_to_grid, shorten
from edgedeploy.quantize.write import SolvedLayer

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What a free weight moves by, as a share of its channel's root mean square, where a
# step moves by a share of itself and a bias by a share of its output's deviation.
_WEIGHTS_SHARE = 0.3
# A step that went further than this was led astray.
_FURTHEST = 0.5


class Student:
    """Solved layers with variables.

    Args:
        solved: The layers.
        widths: Bits of their grids, by operator number; weights of 8 move freely.
        scales: Standard deviation of each output channel, by operator number.
    """

    def __init__(
        self,
        solved: Sequence[SolvedLayer],
        widths: Mapping[int, float],
        scales: Mapping[int, NDArray[np.float32]],
    ) -> None:
        free = {operator for operator, width in widths.items() if width == WIDE}
        self._parts = [
            _Part(one, scales[one.layer.operator], free=one.layer.operator in free)
            for one in solved
        ]

    @property
    def variables(self) -> list[Any]:
        """All that is trained, TensorFlow variables."""
        return [variable for part in self._parts for variable in part.variables]

    def kernels(self) -> dict[int, tuple[Any, Any]]:
        """Weights, shape (rows, columns), and bias, by operator number."""
        return {part.solved.layer.operator: part.kernel() for part in self._parts}

    def solved(self) -> list[SolvedLayer]:
        """Give the layers as they are now, on their grids."""
        return [part.rounded() for part in self._parts]


class _Part:
    """One layer's variables, all 0 at the start."""

    def __init__(
        self, solved: SolvedLayer, scale: NDArray[np.float32], *, free: bool
    ) -> None:
        import tensorflow as tf

        self.solved = solved
        self._start = solved.weights()
        self._scale = scale if solved.layer.bias >= 0 else np.zeros_like(scale)
        size = np.sqrt(np.mean(np.square(self._start), axis=1, keepdims=True))
        self._size = (_WEIGHTS_SHARE * size).astype(np.float32)
        self._bias = tf.Variable(tf.zeros(solved.layer.rows))
        self._steps = None if free else tf.Variable(tf.zeros(solved.steps.shape))
        self._weights = tf.Variable(tf.zeros(self._start.shape)) if free else None

    @property
    def variables(self) -> list[Any]:
        found = (self._bias, self._steps, self._weights)
        return [variable for variable in found if variable is not None]

    def kernel(self) -> tuple[Any, Any]:
        import tensorflow as tf

        weights = tf.constant(self._start)
        if self._steps is not None:
            factor = 1.0 + tf.clip_by_value(self._steps, -_FURTHEST, _FURTHEST)
            if len(factor.shape) == 1:
                factor = factor[:, None]
            else:
                every = self.solved.layer.columns // int(factor.shape[1])
                factor = tf.repeat(factor, every, axis=1)
            weights = weights * factor
        if self._weights is not None:
            weights = weights + self._size * self._weights
        return weights, self.solved.bias + self._scale * self._bias

    def rounded(self) -> SolvedLayer:
        codes, steps = self.solved.codes, self.solved.steps
        bias = shorten(self.solved.bias + self._scale * self._bias.numpy())
        if self._steps is not None:
            factor = 1 + np.clip(self._steps.numpy(), -_FURTHEST, _FURTHEST)
            moved = shorten(np.asarray(steps * factor, np.float32))
            steps = moved if steps.ndim == 1 else _half(moved)
        if self._weights is not None:
            weights = self._start + self._size * self._weights.numpy()
            largest = np.abs(weights).max(axis=1)
            # A weight that grew beyond the grid widens it.
            reach = shorten(np.asarray(largest / largest_code(WIDE), np.float32))
            steps = np.maximum(steps, reach * np.float32(1.001))
            codes = round_to_grid(weights, steps, WIDE).astype(np.int8)
        return replace(self.solved, codes=codes, steps=steps, bias=bias)


def _half(steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round steps of blocks to the half precision that the file gives them."""
    return np.asarray(steps.astype(np.float16), np.float32)
