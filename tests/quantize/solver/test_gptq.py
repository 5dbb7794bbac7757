import itertools

import numpy as np
import pytest

from edgedeploy.errors import QuantizationError
from edgedeploy.quantize.solver.clipping import clipped_steps
from edgedeploy.quantize.solver.gptq import damp, solve
from edgedeploy.quantize.solver.grid import largest_code, round_to_grid


def _inputs(columns, seed, samples=400):
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(columns, columns))
    return random.normal(size=(samples, columns)) @ mixed


def _error(difference, moments):
    return float(np.trace(difference @ moments @ difference.T))


@pytest.mark.parametrize("seed", range(6))
def test_solver_is_near_the_best_of_all_codes(seed):
    random = np.random.default_rng(seed)
    x = _inputs(4, seed)
    moments = damp(x.T @ x / len(x))
    weights = random.normal(size=(3, 4))
    codes, steps = solve(weights, x.T @ x / len(x), 3)
    every = np.array(list(itertools.product(range(-4, 4), repeat=4)))
    for row in range(3):
        tried = weights[row] - every * steps[row]
        best = np.einsum("ni,ij,nj->n", tried, moments, tried).min()
        found = weights[row] - codes[row] * steps[row]
        # Coordinate descent may stop beside the optimum, which rounding misses by far.
        assert found @ moments @ found <= 2.0 * best + 1e-9


def test_solver_beats_plain_rounding_where_inputs_go_together():
    x = _inputs(48, 1)
    moments = x.T @ x / len(x)
    weights = np.random.default_rng(2).normal(size=(20, 48))
    plain = clipped_steps(weights, np.diag(moments), 4)
    rounded = round_to_grid(weights, plain, 4) * plain[:, None]
    codes, steps = solve(weights, moments, 4)
    solved = codes * steps[:, None]
    assert _error(weights - solved, moments) < 0.5 * _error(weights - rounded, moments)


def test_solver_with_unrelated_inputs_rounds_to_nearest():
    weights = np.random.default_rng(3).normal(size=(5, 9))
    codes, steps = solve(weights, np.eye(9), 4)
    expected = np.clip(np.rint(weights / steps[:, None]), -8, 7)
    np.testing.assert_array_equal(codes, expected)


def test_weights_on_the_grid_are_found_exactly():
    random = np.random.default_rng(4)
    true = random.integers(-7, 8, size=(6, 30))
    true[:, 0] = 7
    x = _inputs(30, 5)
    codes, steps = solve(true * 0.25, x.T @ x / len(x), 4)
    np.testing.assert_allclose(codes * steps[:, None], true * 0.25, atol=1e-5)


def test_dead_channels_and_dead_inputs_get_positive_steps_and_zero_codes():
    weights = np.random.default_rng(6).normal(size=(3, 8))
    weights[1] = 0
    moments = np.diag([1.0, 0, 1, 1, 0, 1, 1, 1])
    codes, steps = solve(weights, moments, 4)
    assert (steps > 0).all()
    assert np.isfinite(steps).all()
    # XNNPACK refuses what is below the smallest normal number.
    assert (steps >= np.finfo(np.float32).tiny).all()
    assert not codes[1].any()


def test_inputs_that_never_vary_still_give_codes():
    weights = np.random.default_rng(7).normal(size=(2, 3))
    codes, steps = solve(weights, np.zeros((3, 3)), 8)
    np.testing.assert_allclose(codes * steps[:, None], weights, atol=0.02)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(value):
    with pytest.raises(QuantizationError, match="not finite"):
        solve(np.full((2, 2), value), np.eye(2), 4)
    with pytest.raises(QuantizationError, match="not finite"):
        solve(np.ones((2, 2)), np.full((2, 2), value), 4)


@pytest.mark.parametrize("bits", [1, 2, 17])
def test_widths_that_end_the_runtime_are_refused(bits):
    with pytest.raises(QuantizationError, match=f"received {bits}"):
        largest_code(bits)


def test_same_input_same_codes():
    x = _inputs(20, 8)
    weights = np.random.default_rng(9).normal(size=(4, 20))
    first, second = (solve(weights, x.T @ x, 4) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
