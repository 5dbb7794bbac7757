"""How many pictures it takes until a drop is decided."""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.intervals import Z95, score_bounds

# One-sided 80 % quantile of the normal distribution: four times in five.
_Z80 = 0.8416212335729143
# Beyond this the measured drop is as good as on the budget itself.
MAXIMUM = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturesNeeded:
    """Labelled pictures that decide a drop.

    Attributes:
        even: With as many, the interval decides one time in two; None where even
            `MAXIMUM` would not do.
        likely: With as many, four times in five; None in the same way.
    """

    even: int | None
    likely: int | None


def pictures_to_decide(
    losses: int, gains: int, pairs: int, budget: float
) -> PicturesNeeded:
    """Find how many labelled pictures tell whether a drop is within its budget.

    Decided is a drop whose whole 95 % interval (Tango 1998) lies on one side of the
    budget. The answers are taken to change as often as they did so far, and the true
    drop to be the measured one, but not under zero: quantisation does not mend a
    network, it was lucky with these pictures.

    The interval's end scatters by one standard error around where it is expected, so
    the numbers follow from moving it by 0 and by 0.84 standard errors.

    Args:
        losses: Pictures that the reference gets right and the variant wrong.
        gains: Pictures that the variant gets right and the reference wrong.
        pairs: Labelled pictures that both answered, at least 1.
        budget: Allowed drop, a fraction in [0, 1].

    Returns:
        The numbers of pictures, those at hand included.

    Raises:
        EvaluationError: If the counts are impossible.
    """
    if pairs < 1 or losses < 0 or gains < 0 or losses + gains > pairs:
        raise EvaluationError(
            f"impossible counts: {losses} losses, {gains} gains, {pairs} pairs"
        )
    discordant = losses + gains
    net = max(0, losses - gains)
    rates = ((discordant + net) / 2 / pairs, (discordant - net) / 2 / pairs)
    return PicturesNeeded(
        even=_smallest(rates, budget, Z95), likely=_smallest(rates, budget, Z95 + _Z80)
    )


def _smallest(rates: tuple[float, float], budget: float, z: float) -> int | None:
    """Bisect the number of pictures; more of them only narrow the interval."""
    low, high = 1, MAXIMUM
    if not _decides(rates, high, budget, z):
        return None
    while low < high:
        middle = (low + high) // 2
        if _decides(rates, middle, budget, z):
            high = middle
        else:
            low = middle + 1
    return low


def _decides(rates: tuple[float, float], pairs: int, budget: float, z: float) -> bool:
    low, high = score_bounds(rates[0] * pairs, rates[1] * pairs, pairs, z)
    return high <= budget or low > budget
