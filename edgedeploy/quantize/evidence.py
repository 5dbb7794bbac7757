"""The calibration pictures' parts: those that solve, and those that choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgedeploy.errors import QuantizationError
from edgedeploy.ondevice.contract import ImagePipeline, normalise
from edgedeploy.quantize.search import (
    Closeness,
    closeness,
    softened_divergence,
    temperature_of,
)
from edgedeploy.quantize.views import views
from edgedeploy.quantize.wave import scores_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 7
# Views that solve, that choose, and of these the ones that judge a single layer.
_VIEWS = (320, 160, 96)
# A network of ten times the weights is given fewer, so that it ends in time.
_LARGE_VIEWS = (192, 64, 24)
# What judges should look like what will be classified: tight crops lose a third more.
_MILD = 0.85


def border_of(count: int) -> int:
    """How many of the calibration pictures solve; the others choose."""
    return max(1, count * 3 // 4)


class Evidence:
    """Views of the pictures, and what float32 answers to them.

    Attributes:
        solving: What solves the layers, each of shape (height, width, 3), normalised;
            the whole pictures come first.
        choosing: What candidates are chosen by; no picture of it solves.
        judging: Those of them that single layers are judged by.
    """

    def __init__(
        self,
        data: bytes,
        pictures: Sequence[NDArray[np.uint8]],
        pipeline: ImagePipeline,
        *,
        large: bool,
        threads: int,
    ) -> None:
        """Make views, and run float32 over them.

        Args:
            data: The float32 .tflite file's bytes.
            pictures: Prepared, each of shape (height, width, 3).
            pipeline: The contract.
            large: Whether the network has many weights, and so gets fewer views.
            threads: Threads of the interpreter.

        Raises:
            QuantizationError: If its outputs are no probabilities.
        """
        solve, choose, judge = _LARGE_VIEWS if large else _VIEWS
        border = border_of(len(pictures))
        self.solving = _normalised(pictures[:border], solve, pipeline)
        self.choosing = _normalised(pictures[border:], choose, pipeline, _MILD)
        self.judging = self.choosing[:judge]
        self._threads = threads
        self._whole = self.solving[:border]
        self._chosen_by = scores_of(data, self.choosing, threads)
        _check_probabilities(self._chosen_by)
        self._solved_by = scores_of(data, self._whole, threads)
        self._temperature = temperature_of(self._chosen_by)

    def closeness(self, data: bytes) -> Closeness:
        """Hold a candidate against float32, on the pictures that show it worse.

        Those that solved it flatter; where even they show more, the others are too few.

        Args:
            data: The candidate's bytes.
        """
        found = [
            closeness(reference, scores_of(data, pictures, self._threads))
            for reference, pictures in (
                (self._chosen_by, self.choosing),
                (self._solved_by, self._whole),
            )
        ]
        return max(found, key=lambda one: one.predicted_drop)

    def cost(self, data: bytes) -> float:
        """The softened divergence of a file with one changed layer, in nats."""
        # Not on the pictures that solved it: those would flatter the late layers.
        after = scores_of(data, self.judging, self._threads)
        before = self._chosen_by[: len(self.judging)]
        return softened_divergence(before, after, self._temperature)


def _check_probabilities(scores: NDArray[np.float32]) -> None:
    """Refuse embeddings and logits, of which no loss of top-1 can be predicted."""
    sums = scores.sum(axis=1)
    if scores.min() < 0 or np.abs(sums - 1).max() > 0.01:
        raise QuantizationError(
            "int4_mixed needs a network whose outputs are probabilities that sum to 1; "
            f"found sums from {sums.min():.3g} to {sums.max():.3g}. Let it end in a "
            "softmax, or leave the recipe out"
        )


def _normalised(
    pictures: Sequence[NDArray[np.uint8]],
    most: int,
    pipeline: ImagePipeline,
    smallest: float = 0.6,
) -> list[NDArray[np.float32]]:
    """Views of the pictures, each picture's first view before any second one."""
    count = max(1, -(-most // len(pictures)))
    made = list(views(pictures, count, SEED, smallest))
    ordered = [
        made[n] for first in range(count) for n in range(first, len(made), count)
    ]
    return [normalise(view, pipeline) for view in ordered[:most]]
