import itertools

import numpy as np
import pytest

from edgedeploy.quantize.candidates import (
    Candidate,
    describe_frontier,
    widest_within,
)
from edgedeploy.quantize.layers import CONV, Layer
from edgedeploy.quantize.search import Closeness, Option

SIZES = {0: (800, 450, 400), 1: (300, 170, 150), 2: (500, 280, 250)}
COSTS = {0: (0.0, 0.03, 0.05), 1: (0.0, 0.001, 0.002), 2: (0.0, 0.006, 0.01)}
LAYERS = [
    Layer(operator=one, kind=CONV, source=0, weights=1, bias=2, rows=1, columns=1)
    for one in SIZES
]
OPTIONS = {
    one: tuple(
        Option(bits=bits, cost=cost, price=price)
        for bits, cost, price in zip((8, 4.5, 4), COSTS[one], SIZES[one], strict=True)
    )
    for one in SIZES
}
WAYS = {8: 0, 4.5: 1, 4: 2}


def size_of(bits):
    return 100 + sum(SIZES[one][WAYS[width]] for one, width in bits.items())


def cost_of(bits):
    return sum(COSTS[one][WAYS[width]] for one, width in bits.items())


@pytest.mark.parametrize("allowed", [1700, 1699, 1580, 1400, 1350, 1000, 900])
def test_what_a_size_allows_fits_and_nothing_wider_in_one_layer_would(allowed):
    bits = widest_within(LAYERS, OPTIONS, allowed, size_of)
    assert size_of(bits) <= allowed
    # Against every assignment: none that is cheaper and fits is left out by far.
    every = [
        dict(zip(SIZES, widths, strict=True))
        for widths in itertools.product((8, 4.5, 4), repeat=3)
    ]
    best = min(cost_of(one) for one in every if size_of(one) <= allowed)
    assert cost_of(bits) <= best + 0.0051


def test_all_8_bits_fit_where_they_may_and_nothing_fits_below_the_narrowest():
    assert set(widest_within(LAYERS, OPTIONS, 1700, size_of).values()) == {8}
    assert widest_within(LAYERS, OPTIONS, 899, size_of) is None


def candidate(size, drop):
    found = Closeness(expected_drop=drop, mean_kl=0.0, agreement=1.0)
    return Candidate(data=bytes(size), bits={0: 4}, closeness=found)


def test_the_frontier_leaves_out_what_is_larger_and_worse():
    made = [
        candidate(3_360_000, 0.0028),
        candidate(2_950_000, 0.0061),
        candidate(3_400_000, 0.0030),
        candidate(5_000_000, 0.0),
    ]
    assert describe_frontier(made, 0.003) == (
        "forecast, at most -0.30 points: 2.95 MB -0.61, 3.36 MB -0.28, 5.00 MB -0.00"
    )


def test_a_candidate_tells_its_deflated_size():
    noise = np.random.default_rng(1).bytes(1000)
    found = Closeness(expected_drop=0.0, mean_kl=0.0, agreement=1.0)
    one = Candidate(data=noise + bytes(9000), bits={0: 4, 1: 8}, closeness=found)
    assert 1000 <= one.to_dict()["deflated_bytes"] < 1100
    assert one.to_dict()["narrow_layers"] == 1
