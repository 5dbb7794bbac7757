"""Intervals for fractions and for paired differences of fractions."""

from __future__ import annotations

import math

from edgedeploy.errors import EvaluationError

# Two-sided 95 % quantile of the normal distribution.
Z95 = 1.959963984540054


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a fraction (Wilson 1927, the score interval).

    Args:
        successes: 0 to trials.
        trials: At least 1.

    Returns:
        (low, high), fractions in [0, 1].

    Raises:
        EvaluationError: If there are no trials, or the counts are impossible.
    """
    if trials < 1:
        raise EvaluationError("an interval needs at least one picture; found 0")
    if not 0 <= successes <= trials:
        raise EvaluationError(f"impossible counts: {successes} of {trials}")
    share, square = successes / trials, Z95 * Z95
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    spread = share * (1 - share) / trials + square / (4 * trials * trials)
    half = Z95 * math.sqrt(spread) / (1 + square / trials)
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_drop_interval(losses: int, gains: int, pairs: int) -> tuple[float, float]:
    """95 % interval of a paired drop, (losses - gains) / pairs.

    Tango's score interval (Tango 1998, "Equivalence test and confidence interval for
    the difference in proportions for the paired-sample design"). Unlike a bootstrap
    it does not collapse to a point when the two sides never disagree.

    Args:
        losses: Pictures that the reference gets right and the variant wrong.
        gains: Pictures that the variant gets right and the reference wrong.
        pairs: All pictures that both answered, at least 1.

    Returns:
        (low, high), fractions in [-1, 1].

    Raises:
        EvaluationError: If the counts are impossible.
    """
    if pairs < 1 or losses < 0 or gains < 0 or losses + gains > pairs:
        raise EvaluationError(
            f"impossible counts: {losses} losses, {gains} gains, {pairs} pairs"
        )
    return score_bounds(losses, gains, pairs, Z95)


def score_bounds(
    losses: float, gains: float, pairs: float, z: float
) -> tuple[float, float]:
    """Drops that Tango's statistic puts z standard errors from what was seen.

    Args:
        losses: As in `paired_drop_interval`; an expected count need not be whole.
        gains: The same.
        pairs: At least losses + gains, and positive.
        z: Quantile of the normal distribution, positive; `Z95` for 95 %.

    Returns:
        (low, high), fractions in [-1, 1].
    """
    point = (losses - gains) / pairs
    low = _solve(losses, gains, pairs, -1.0, point, z)
    high = _solve(losses, gains, pairs, point, 1.0, -z)
    return low, high


def mcnemar_p(losses: int, gains: int) -> float:
    """Exact two-sided McNemar test: is one side better than the other?

    Args:
        losses: Discordant pictures in one direction.
        gains: Discordant pictures in the other.

    Returns:
        A p-value in [0, 1]; 1.0 where nothing disagrees.
    """
    total = losses + gains
    # Each binomial coefficient from the one before: thousands of them, one by one,
    # would take minutes.
    term = tail = 1
    for k in range(min(losses, gains)):
        term = term * (total - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / 2**total) if total else 1.0


def _solve(
    losses: float, gains: float, pairs: float, low: float, high: float, target: float
) -> float:
    """Find the drop at which the score statistic, which falls, is the target."""
    for _ in range(100):
        middle = (low + high) / 2
        if _score(losses, gains, pairs, middle) > target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _score(losses: float, gains: float, pairs: float, drop: float) -> float:
    """Tango's statistic for the hypothesis that the true drop is `drop`."""
    # The constrained maximum-likelihood estimate of the gains' probability.
    a = 2.0 * pairs
    b = -losses - gains + (2 * pairs - losses + gains) * drop
    c = -gains * drop * (1 - drop)
    gain = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = pairs * (2 * gain + drop * (1 - drop))
    distance = losses - gains - pairs * drop
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)
