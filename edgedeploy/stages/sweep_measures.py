"""What a width does to a network's outputs: to answers, or to pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.likeness import psnr, ssim
from edgedeploy.evaluate.metrics import answers
from edgedeploy.evaluate.scorecard import scorecard
from edgedeploy.ondevice.contract import ImagePipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of a scorecard.
_FIGURES = (
    *("top1", "top1_ci95", "top1_drop", "top1_drop_ci95"),
    *("agreement_top1", "agreement_top1_ci95", "mean_kl"),
)
# Float networks overshoot a little; more means other numbers than the input's.
_OVERSHOOT, _TOLERATED = 8.0, 0.2


class Answers:
    """A classifier's: held against float32's and the truth.

    Args:
        reference: float32's scores, shape (pictures, …), flat after the first axis.
        truth: Classes, shape (pictures,); -1 where unknown.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, reference: NDArray[Any], truth: NDArray[np.int64]) -> None:
        self._reference = _flat(reference)
        self._truth = truth
        self._names = [str(row) for row in range(len(truth))]

    def figures(self, outputs: NDArray[Any]) -> dict[str, Any]:
        """Accuracy, agreement and divergence, as evaluation.json has them."""
        card = scorecard(self._names, self._truth, self._reference, _flat(outputs))
        return {field: card[field] for field in _FIGURES}

    def keep(self, outputs: NDArray[Any], name: str) -> list[Any]:
        """Class and confidence for every picture."""
        del name
        scores = _flat(outputs)
        return [
            [int(one), round(float(row[one]), 4)]
            for one, row in zip(answers(scores), scores, strict=True)
        ]


class Likeness:
    """Pictures: held against float32's, as they would be displayed.

    Args:
        reference: float32's outputs, shape (pictures, height, width, 3), uint8 or
            float32 in the numbers that the network's input has.
        pipeline: The contract, whose numbers these are.
        folder: Where PNG files of the shown outputs go.
        shown: Rows of the pictures that are shown.

    Raises:
        EvaluationError: If the outputs are no pictures.
    """

    def __init__(
        self,
        reference: NDArray[Any],
        pipeline: ImagePipeline,
        folder: Path,
        shown: Sequence[int],
    ) -> None:
        if reference.ndim != 4 or reference.shape[3] != 3:
            raise EvaluationError(
                "expected pictures of shape (1, height, width, 3); the network gives "
                f"{(1, *reference.shape[1:])}"
            )
        self._pipeline, self._folder, self._shown = pipeline, folder, shown
        self._reference = _pixels(reference, pipeline)
        self.notes = _doubts(reference, pipeline)

    def figures(self, outputs: NDArray[Any]) -> dict[str, Any]:
        """PSNR over all pictures, and the mean and the lowest SSIM."""
        pixels = _pixels(outputs, self._pipeline)
        # Pictures below each other are one tall picture.
        width = pixels.shape[2]
        ratio = psnr(
            self._reference.reshape(-1, width, 3), pixels.reshape(-1, width, 3)
        )
        alike = [ssim(a, b) for a, b in zip(self._reference, pixels, strict=True)]
        return {
            "psnr_db": _finite(ratio),
            "ssim": round(float(np.mean(alike)), 5),
            "lowest_ssim": round(min(alike), 5),
        }

    def keep(self, outputs: NDArray[Any], name: str) -> list[Any]:
        """Write the shown pictures; give each one's PSNR and SSIM."""
        from PIL import Image

        found = []
        for row in self._shown:
            before = self._reference[row]
            after = _pixels(outputs[row], self._pipeline)
            Image.fromarray(after).save(self._folder / f"{row}-{name}.png")
            found.append(
                {
                    "psnr_db": _finite(psnr(before, after)),
                    "ssim": round(ssim(before, after), 5),
                }
            )
        return found


def _flat(outputs: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(outputs.reshape(len(outputs), -1), np.float32)


def _pixels(outputs: NDArray[Any], pipeline: ImagePipeline) -> NDArray[np.uint8]:
    if outputs.dtype == np.uint8:
        return outputs
    return np.asarray(np.clip(np.rint(_scaled(outputs, pipeline)), 0, 255), np.uint8)


def _scaled(outputs: NDArray[Any], pipeline: ImagePipeline) -> NDArray[np.float32]:
    """Undo the contract's normalisation: RGB on 0..255."""
    rgb = outputs[..., ::-1] if pipeline.channels == "bgr" else outputs
    scaled = rgb * np.array(pipeline.std, np.float32)
    return np.asarray(scaled + np.array(pipeline.mean, np.float32), np.float32)


def _doubts(reference: NDArray[Any], pipeline: ImagePipeline) -> tuple[str, ...]:
    """Say where float32's own pictures do not look like ones on this scale."""
    if reference.dtype == np.uint8:
        return ()
    scaled = _scaled(reference, pipeline)
    outside = (scaled < -_OVERSHOOT) | (scaled > 255 + _OVERSHOOT)
    low, high = float(scaled.min()), float(scaled.max())
    if outside.mean() <= _TOLERATED and high - low > 2 * _OVERSHOOT:
        return ()
    return (
        f"read with the contract's mean and std, the network's outputs reach from "
        f"{low:.0f} to {high:.0f}, which is no picture on 0..255; set mean and std to "
        "those of its output, or let it give what it takes",
    )


def _finite(decibels: float) -> float | None:
    """Equal pictures have no ratio: JSON has no infinity."""
    return None if math.isinf(decibels) else round(decibels, 2)
