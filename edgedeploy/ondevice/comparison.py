"""What came out, held against what the bundle promises: the self-test's measures."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from .delivered import BundleError
from .runtime import top_k

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .delivered import Bundle, DeliveredVariant, Expected, GoldenVector
    from .runtime import Model

TENSOR_TOLERANCE = 1e-6


def compare_rgb(vector: GoldenVector, rgb: NDArray[np.uint8]) -> None:
    """Hold a prepared picture against the promise.

    Args:
        vector: The promise.
        rgb: Shape (height, width, 3), uint8, RGB, after crop and resize.

    Raises:
        BundleError: If a pixel differs.
    """
    found = hashlib.sha256(rgb.tobytes()).hexdigest()
    if found != vector.rgb_sha256:
        raise BundleError(
            f"{vector.path.name}: RGB after crop and resize is another (expected "
            f"{vector.rgb_sha256[:16]}, found {found[:16]}); is Pillow altered?"
        )


def compare_tensor(vector: GoldenVector, tensor: NDArray[np.float32]) -> None:
    """Hold a normalised picture against the promised samples and mean.

    Args:
        vector: The promise.
        tensor: Of any shape, float32.

    Raises:
        BundleError: If a value is too far off.
    """
    flat = tensor.ravel()
    mean = float(flat.mean(dtype=np.float64))
    found = [("mean", vector.tensor_mean, mean)]
    for index, value in vector.tensor_samples:
        if index >= flat.size:
            raise BundleError(f"{vector.path.name}: the tensor has no value {index}")
        found.append((f"value {index}", value, float(flat[index])))
    for what, expected, received in found:
        allowed = TENSOR_TOLERANCE * max(1.0, abs(expected))
        # Written so that NaN fails.
        if not abs(received - expected) <= allowed:
            raise BundleError(
                f"{vector.path.name}: tensor {what} expected {expected!r}, "
                f"received {received!r}"
            )


def compare_signature(bundle: Bundle, variant: DeliveredVariant, model: Model) -> None:
    """Hold a loaded model against the contract.

    Args:
        bundle: What the contract says of pictures and classes.
        variant: What it says of this model.
        model: What was loaded.

    Raises:
        BundleError: If the tensors are others, or do not fit pictures or labels.
    """
    for what, promised, found in (
        ("input", variant.input, model.input),
        ("output", variant.output, model.output),
    ):
        same = promised.shape == found.shape and promised.dtype == found.dtype
        steps = (promised.scale, promised.zero_point)
        if not same or steps != (found.scale, found.zero_point):
            raise BundleError(
                f"{variant.path.name}: the contract's {what} is {promised}, "
                f"the model's {found}"
            )
    pipeline = bundle.pipeline
    if model.input.shape[1:] != (pipeline.height, pipeline.width, 3):
        raise BundleError(
            f"{variant.path.name}: the pipeline gives {pipeline.height}x"
            f"{pipeline.width}x3, the model takes {model.input.shape[1:]}"
        )
    if model.output.shape[-1] != bundle.outputs:
        raise BundleError(
            f"{variant.path.name}: {model.output.shape[-1]} outputs but "
            f"{len(bundle.labels)} labels"
        )


def compare_scores(
    expected: Expected, scores: NDArray[np.float32], tolerance: float, *, raw: bytes
) -> str:
    """Hold a network's answer against the one that was promised.

    Args:
        expected: The promise.
        scores: Shape (classes,), float32, real values.
        tolerance: Largest difference allowed; 0.0 means bit for bit.
        raw: The output tensor's bytes.

    Returns:
        What was found, for people.

    Raises:
        BundleError: If a score is too far off, or another class is the best without
            its score being a tie within the tolerance.
    """
    worst = 0.0
    for index, score in expected.output:
        if index >= len(scores):
            raise BundleError(f"class {index} expected; there are {len(scores)}")
        difference = abs(float(scores[index]) - score)
        worst = max(worst, difference)
        if not difference <= tolerance:
            raise BundleError(
                f"class {index} expected {score:.6g}, received "
                f"{float(scores[index]):.6g} (allowed difference {tolerance:.3g})"
            )
    _compare_unlisted(expected, scores, tolerance)
    digest = hashlib.sha256(raw).hexdigest()
    if tolerance == 0.0 and expected.raw_sha256 not in (None, digest):
        raise BundleError("outputs differ from those promised bit for bit")
    _compare_best(dict(expected.output), expected.top_k[0][0], scores, tolerance)
    if tolerance == 0.0:
        return "bit for bit"
    return f"largest difference {worst:.2g} of {tolerance:.2g} allowed"


def _compare_unlisted(
    expected: Expected, scores: NDArray[np.float32], tolerance: float
) -> None:
    """Classes that are not listed were below all that are."""
    rest = np.delete(scores, [index for index, _ in expected.output])
    limit = min(score for _, score in expected.output) + tolerance
    # float32 scores against a float64 limit: equal values must stay equal.
    if rest.size and not float(rest.max()) <= limit:
        raise BundleError(
            f"an unlisted class scores {float(rest.max()):.6g}; at most "
            f"{limit:.6g} expected"
        )


def _compare_best(
    expected: Mapping[int, float],
    best: int,
    scores: NDArray[np.float32],
    tolerance: float,
) -> None:
    found = top_k(scores, 1)[0]
    gap = expected[best] - expected.get(found, min(expected.values()))
    if found != best and not gap <= tolerance:
        raise BundleError(f"the best class is {found}; expected {best}")
