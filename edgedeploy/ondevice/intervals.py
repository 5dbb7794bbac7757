"""Order statistics of timings, and the interval of a paired ratio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .contract import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

RESAMPLES = 1000


def percentiles(samples_ms: Sequence[float]) -> dict[str, float]:
    """Give p50_ms, p90_ms and p99_ms, interpolated linearly between samples.

    Raises:
        ContractError: If there are no samples.
    """
    if not len(samples_ms):
        raise ContractError("percentiles need at least one sample; received none")
    values = np.percentile(np.asarray(samples_ms, np.float64), (50, 90, 99))
    return {
        name: round(float(value), 4)
        for name, value in zip(("p50_ms", "p90_ms", "p99_ms"), values, strict=True)
    }


def paired_ratio(
    reference_ms: Sequence[float], variant_ms: Sequence[float], *, seed: int
) -> tuple[float, float, float]:
    """Estimate how many times faster a variant is than the reference.

    The two were timed in the same rounds, so the ratio is taken within each round,
    which cancels drift that slows both, and the median over the rounds resists
    interruptions. The interval is the percentile bootstrap's (Efron 1979): rounds are
    drawn again with replacement.

    Args:
        reference_ms: Times of the reference, one a round.
        variant_ms: Times of the variant in the same rounds.
        seed: Of the draws.

    Returns:
        (ratio, low, high): reference time / variant time with its 95 % interval.

    Raises:
        ContractError: If the rounds do not pair, or a time is not positive.
    """
    reference = np.asarray(reference_ms, np.float64)
    variant = np.asarray(variant_ms, np.float64)
    if reference.shape != variant.shape or reference.size == 0:
        raise ContractError(
            f"paired rounds expected; received {reference.size} and {variant.size}"
        )
    if not (np.all(reference > 0) and np.all(variant > 0)):
        raise ContractError("times must be positive")
    ratios = reference / variant
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, ratios.size, (RESAMPLES, ratios.size))
    medians = np.median(ratios[draws], axis=1)
    low, high = np.percentile(medians, (2.5, 97.5))
    return float(np.median(ratios)), float(low), float(high)
