"""How many pictures decide: by hand, from the literature's formula, and by drawing."""

import numpy as np
import pytest

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.intervals import paired_drop_interval
from edgedeploy.evaluate.power import MAXIMUM, pictures_to_decide

Z95, Z80 = 1.959964, 0.841621


def test_without_a_disagreement_the_bound_alone_decides():
    # Tango's upper end is then z² / (n + z²): 0.008 = 3.8415 / (n + 3.8415), n = 476.3.
    assert pictures_to_decide(0, 0, 175, 0.008).even == 477
    # (1.96 + 0.8416)² = 7.849: n = 7.849 * (1 / 0.008 - 1) = 973.3.
    assert pictures_to_decide(0, 0, 175, 0.008).likely == 974


@pytest.mark.parametrize(
    ("losses", "gains", "pairs", "budget"),
    [(8, 8, 1000, 0.008), (30, 30, 1000, 0.01), (25, 20, 1000, 0.02)],
)
def test_agrees_with_the_normal_approximation(losses, gains, pairs, budget):
    # Miettinen 1968 for paired shares: n = z² (q - d²) / (budget - d)².
    drop, discordant = (losses - gains) / pairs, (losses + gains) / pairs
    spread = (discordant - drop**2) / (budget - drop) ** 2
    found = pictures_to_decide(losses, gains, pairs, budget)
    assert found.even == pytest.approx(Z95**2 * spread, rel=0.25)
    assert found.likely == pytest.approx((Z95 + Z80) ** 2 * spread, rel=0.25)
    # The score interval asks for a little more, never for less.
    assert found.even >= Z95**2 * spread


def test_a_good_int8_takes_about_a_thousand_pictures():
    # 98.4 % equally right, no true drop: 960 by the normal approximation.
    approximation = Z95**2 * 0.016 / 0.008**2
    assert round(approximation) == 960
    assert 960 <= pictures_to_decide(8, 8, 1000, 0.008).even <= 1200


def test_the_interval_decides_with_as_many_and_not_with_fewer():
    needed = pictures_to_decide(10, 10, 1000, 0.01).even
    rate = 10 / 1000
    for pairs, decided in ((needed + 60, True), (needed - 60, False)):
        count = round(rate * pairs)
        assert (paired_drop_interval(count, count, pairs)[1] <= 0.01) == decided


@pytest.mark.parametrize(("which", "share"), [("even", 0.5), ("likely", 0.8)])
def test_as_many_pictures_decide_as_often_as_promised(which, share):
    losses, gains, pairs, budget = 20, 15, 1000, 0.02
    needed = getattr(pictures_to_decide(losses, gains, pairs, budget), which)
    draws = np.random.default_rng(3).multinomial(
        needed, [losses / pairs, gains / pairs, 1 - (losses + gains) / pairs], 400
    )
    decided = [
        paired_drop_interval(int(lost), int(won), needed)[1] <= budget
        for lost, won, _ in draws
    ]
    # 400 draws leave ±5 points; the approximation itself is off by a few more.
    assert np.mean(decided) == pytest.approx(share, abs=0.08)


def test_a_drop_over_the_budget_is_decided_from_the_other_side():
    needed = pictures_to_decide(40, 10, 1000, 0.01).even
    assert needed is not None
    low, _ = paired_drop_interval(40 * needed // 1000, 10 * needed // 1000, needed)
    assert low == pytest.approx(0.01, abs=0.002)


def test_luck_is_not_taken_for_a_better_network():
    assert pictures_to_decide(2, 12, 1000, 0.008) == pictures_to_decide(
        7, 7, 1000, 0.008
    )


@pytest.mark.parametrize("budget", [0.0, 0.008])
def test_no_number_decides_a_drop_on_the_budget(budget):
    losses = round(1000 * budget)
    found = pictures_to_decide(losses, 0, 1000, budget)
    assert (found.even, found.likely) == (None, None)


def test_never_more_than_the_maximum():
    found = pictures_to_decide(14, 7, 1000, 0.008)
    assert all(n is None or n <= MAXIMUM for n in (found.even, found.likely))


@pytest.mark.parametrize("counts", [(-1, 0, 10), (0, -1, 10), (6, 5, 10), (0, 0, 0)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(EvaluationError, match="impossible counts"):
        pictures_to_decide(*counts, 0.008)
