import numpy as np
import pytest

from edgedeploy.evaluate.metrics import floored_kl
from edgedeploy.quantize.layers import CONV, DEPTHWISE, Layer
from edgedeploy.quantize.search import (
    Closeness,
    Option,
    assign_bits,
    can_be_narrow,
    closeness,
    divergence_for,
    next_allowance,
    softened_divergence,
    temperature_of,
    weight_of,
)


def _layer(operator, kind=CONV, kernel=(1, 1)):
    return Layer(
        operator=operator,
        kind=kind,
        source=0,
        weights=1,
        bias=2,
        rows=10,
        columns=10,
        kernel=kernel,
    )


LAYERS = tuple(_layer(number) for number in range(4))
COSTS = {0: 0.010, 1: 0.001, 2: 0.002, 3: 0.0}
SAVINGS = {0: 100, 1: 1, 2: 100, 3: 50}


def _options(costs):
    return {
        operator: (
            Option(bits=8, cost=0.0, price=200),
            Option(bits=4, cost=cost, price=200 - SAVINGS[operator]),
        )
        for operator, cost in costs.items()
    }


@pytest.mark.parametrize(
    ("allowed", "narrow"),
    [
        (0.0, {3}),
        (0.002, {2, 3}),
        (0.0031, {1, 2, 3}),
        (0.0125, {0, 2, 3}),
        (1.0, {0, 1, 2, 3}),
    ],
)
def test_what_saves_most_for_its_cost_comes_first(allowed, narrow):
    bits = assign_bits(LAYERS, _options(COSTS), allowed)
    assert {operator for operator, width in bits.items() if width == 4} == narrow
    assert set(bits.values()) <= {4, 8}


def test_layers_without_a_cost_stay_wide():
    assert assign_bits(LAYERS, {}, 1.0) == dict.fromkeys(range(4), 8)


def test_a_layer_that_helps_gives_nothing_to_spend_elsewhere():
    bits = assign_bits(LAYERS, _options({0: -5.0, 1: 0.1}), 0.05)
    assert (bits[0], bits[1]) == (4, 8)


def test_widths_between_are_taken_as_far_as_the_allowance_goes():
    ways = (
        Option(bits=8, cost=0.0, price=80),
        Option(bits=6, cost=0.001, price=60),
        Option(bits=5, cost=0.004, price=50),
        Option(bits=4, cost=0.016, price=40),
    )
    assert assign_bits(LAYERS[:1], {0: ways}, 0.0039) == {0: 6}
    assert assign_bits(LAYERS[:1], {0: ways}, 0.0041) == {0: 5}
    # Two alike: both are narrowed by one step before one of them by two.
    both = assign_bits(LAYERS[:2], {0: ways, 1: ways}, 0.0051)
    assert both == {0: 5, 1: 6}


def test_a_width_that_saves_nothing_is_left():
    ways = (Option(bits=8, cost=0.0, price=80), Option(bits=4, cost=0.0, price=80))
    assert assign_bits(LAYERS[:1], {0: ways}, 1.0) == {0: 8}


def test_depthwise_stays_wide():
    assert not can_be_narrow(_layer(0, DEPTHWISE))
    assert can_be_narrow(_layer(0, CONV, (3, 3)))
    assert can_be_narrow(_layer(0))


def test_expected_drop_counts_what_float32_thinks_of_the_new_answer():
    reference = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1]])
    variant = np.array([[0.6, 0.3, 0.1], [0.4, 0.5, 0.1]])
    found = closeness(reference, variant)
    # The second answer changes from 0.5 to 0.4; the first stays.
    assert found.expected_drop == pytest.approx(0.1 / 2)
    assert found.agreement == 0.5
    assert found.predicted_drop >= found.expected_drop


def test_divergence_is_the_evaluations():
    random = np.random.default_rng(1)
    reference, variant = (random.dirichlet(np.ones(20), 30) for _ in range(2))
    found = closeness(reference, variant).mean_kl
    assert found == pytest.approx(floored_kl(reference, variant), rel=1e-9)


@pytest.mark.parametrize(
    ("kl", "drop"), [(0.0, 0.0), (0.0023, 0.00298), (0.005, 0.009975), (9.0, 1.0)]
)
def test_forecast_grows_faster_than_the_divergence(kl, drop):
    found = Closeness(expected_drop=0.0, mean_kl=kl, agreement=1.0)
    assert found.predicted_drop == pytest.approx(drop, abs=1e-4)


@pytest.mark.parametrize("kl", [0.0, 0.001, 0.0037, 0.05])
def test_the_divergence_of_a_forecast_is_found_back(kl):
    forecast = Closeness(expected_drop=0.0, mean_kl=kl, agreement=1.0).predicted_drop
    assert divergence_for(forecast) == pytest.approx(kl, abs=1e-12)


def test_equal_answers_predict_no_drop():
    same = np.full((4, 3), 1 / 3)
    assert closeness(same, same).predicted_drop == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("reached", "expected"),
    [(0.02, 0.00475), (0.005, 0.019), (1.0, 0.0025), (0.0, 0.04), (1e-9, 0.04)],
)
def test_next_allowance_follows_the_ratio_within_limits(reached, expected):
    assert next_allowance([(0.01, reached)], 0.01) == pytest.approx(expected)


def test_next_allowance_lies_between_what_was_within_and_what_was_beyond():
    tried = [(0.016, 0.030), (0.004, 0.006), (0.009, 0.012)]
    assert next_allowance(tried, 0.010) == pytest.approx(0.006)
    assert next_allowance([*tried, (0.00401, 0.011)], 0.010) is None


def test_a_wider_trial_that_came_out_better_is_gone_on_from():
    # The larger allowance is within though the smaller was beyond.
    tried = [(0.004, 0.012), (0.008, 0.0095)]
    assert next_allowance(tried, 0.010) == pytest.approx(0.008)


def test_softening_gives_certain_pictures_a_say():
    # Two classes 0.999 to 0.001: their logits differ by ln 999. Draws differ with a
    # chance of 0.4 at p = (1 + sqrt(0.2)) / 2, whose logits differ by 0.962424.
    certain = np.array([[0.999, 0.001], [0.001, 0.999]])
    expected = np.log(999) / 0.962424
    assert temperature_of(certain) == pytest.approx(expected, rel=0.011)


def test_undecided_networks_are_taken_as_they_are():
    assert temperature_of(np.full((3, 4), 0.25)) == 1.0


def test_softened_divergence_is_that_of_divided_logits():
    random = np.random.default_rng(3)
    before, after = random.normal(size=(2, 7, 5)) * 4

    def softmax(logits):
        powers = np.exp(logits)
        return powers / powers.sum(axis=1, keepdims=True)

    p, q = softmax(before / 3), softmax(after / 3)
    expected = np.mean(np.sum(p * (np.log(p) - np.log(q)), axis=1))
    found = softened_divergence(softmax(before), softmax(after), 3.0)
    assert found == pytest.approx(expected, rel=1e-6)
    assert softened_divergence(p, p, 2.0) == 0.0


def test_undecided_pictures_count_more():
    assert weight_of(np.array([1.0, 0.0])) == pytest.approx(0.05)
    # 1 - (0.36 + 0.16) and a twentieth.
    assert weight_of(np.array([0.6, 0.4])) == pytest.approx(0.53)
