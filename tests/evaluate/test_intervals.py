"""Intervals against published figures and a brute-force likelihood."""

import math

import numpy as np
import pytest

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.intervals import (
    mcnemar_p,
    paired_drop_interval,
    wilson_interval,
)

Z = 1.959963984540054


# Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I,
# method 3 (score without continuity correction).
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("successes", "trials"), [(0, 9), (9, 9), (3, 9), (1, 1)])
def test_wilson_ends_are_where_the_score_test_just_rejects(successes, trials):
    for bound in wilson_interval(successes, trials):
        if 0 < bound < 1:
            error = math.sqrt(bound * (1 - bound) / trials)
            assert abs(successes / trials - bound) / error == pytest.approx(Z)


def test_wilson_stays_within_0_and_1_and_is_symmetric():
    low, high = wilson_interval(0, 50)
    assert low == pytest.approx(0, abs=1e-15)
    assert wilson_interval(50, 50) == pytest.approx((1 - high, 1.0))


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 4), (5, 4)])
def test_wilson_of_impossible_counts_is_an_error(successes, trials):
    with pytest.raises(EvaluationError):
        wilson_interval(successes, trials)


def brute_force_score(losses, gains, pairs, drop):
    """Tango's statistic with the likelihood maximised over a fine grid.

    Cells of the paired table: lost q + drop, gained q, agreed 1 - 2 q - drop.
    """
    low, high = max(0.0, -drop), (1 - drop) / 2
    for _ in range(4):
        q = np.linspace(low, high, 4001)
        cells = np.stack([q + drop, q, 1 - 2 * q - drop])
        counts = np.array([losses, gains, pairs - losses - gains])[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(counts > 0, counts * np.log(np.maximum(cells, 0)), 0.0)
        best = int(np.argmax(terms.sum(axis=0)))
        low, high = q[max(0, best - 2)], q[min(len(q) - 1, best + 2)]
    variance = 2 * q[best] + drop - drop**2
    return (losses - gains - pairs * drop) / math.sqrt(pairs * variance)


@pytest.mark.parametrize(
    ("losses", "gains", "pairs"),
    [(9, 3, 32), (1, 0, 28), (5, 5, 200), (0, 7, 175), (40, 12, 1000), (30, 1, 40)],
)
def test_drop_interval_ends_where_the_likelihood_says(losses, gains, pairs):
    low, high = paired_drop_interval(losses, gains, pairs)
    assert brute_force_score(losses, gains, pairs, low) == pytest.approx(Z, abs=2e-3)
    assert brute_force_score(losses, gains, pairs, high) == pytest.approx(-Z, abs=2e-3)


@pytest.mark.parametrize("pairs", [1, 16, 175, 50_000])
def test_drop_interval_without_any_disagreement_has_a_closed_form(pairs):
    # The statistic is then -sqrt(n d / (1 - d)), so d = z^2 / (n + z^2).
    bound = Z**2 / (pairs + Z**2)
    assert paired_drop_interval(0, 0, pairs) == pytest.approx((-bound, bound))


def test_drop_interval_covers_the_true_drop_about_95_times_of_100():
    rng = np.random.default_rng(8)
    true_cells = (0.05, 0.03, 0.92)
    hits = 0
    for losses, gains, _ in rng.multinomial(200, true_cells, size=1000).tolist():
        low, high = paired_drop_interval(losses, gains, 200)
        hits += low <= 0.02 <= high
    # Standard error 0.7 points; Tango found 93 to 97 % in his simulations.
    assert 0.925 <= hits / 1000 <= 0.975


def test_drop_interval_turns_round_with_its_counts():
    low, high = paired_drop_interval(11, 4, 90)
    assert paired_drop_interval(4, 11, 90) == pytest.approx((-high, -low))


@pytest.mark.parametrize(("losses", "gains"), [(20, 0), (0, 20), (13, 7)])
def test_drop_interval_holds_the_point_and_stays_possible(losses, gains):
    low, high = paired_drop_interval(losses, gains, 20)
    assert -1 <= low <= (losses - gains) / 20 <= high <= 1


@pytest.mark.parametrize(
    ("losses", "gains", "pairs"), [(0, 0, 0), (-1, 0, 5), (0, -1, 5), (3, 3, 5)]
)
def test_drop_interval_of_impossible_counts_is_an_error(losses, gains, pairs):
    with pytest.raises(EvaluationError, match="impossible counts"):
        paired_drop_interval(losses, gains, pairs)


@pytest.mark.parametrize(
    ("losses", "gains", "p"),
    [
        (0, 0, 1.0),
        (5, 0, 2 / 32),  # 2 * (1/2)^5
        (0, 5, 2 / 32),
        (1, 6, 2 * (1 + 7) / 128),  # 2 * (C(7,0) + C(7,1)) / 2^7
        (2, 8, 2 * (1 + 10 + 45) / 1024),
        (3, 3, 1.0),  # the two tails overlap
    ],
)
def test_mcnemar_by_hand(losses, gains, p):
    assert mcnemar_p(losses, gains) == pytest.approx(p, rel=1e-12)


def test_mcnemar_sums_every_binomial_coefficient():
    total, fewer = 60, 21
    tail = sum(math.comb(total, k) for k in range(fewer + 1))
    assert mcnemar_p(fewer, total - fewer) == pytest.approx(2 * tail / 2**total)


@pytest.mark.timeout(60)
def test_mcnemar_answers_for_twenty_thousand_disagreements():
    # Normal approximation with continuity correction: z = (140 - 1) / sqrt(20000).
    z = 139 / math.sqrt(20_000)
    expected = math.erfc(z / math.sqrt(2))
    assert mcnemar_p(9_930, 10_070) == pytest.approx(expected, abs=1e-4)
