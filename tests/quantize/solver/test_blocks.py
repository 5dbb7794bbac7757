import numpy as np
import pytest

from edgedeploy.errors import QuantizationError
from edgedeploy.quantize.solver.blocks import BLOCK, solve_blocks, spread
from edgedeploy.quantize.solver.gptq import damp, output_error, solve


def _case(rows=12, inputs=96, seed=0):
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(inputs, inputs)) / np.sqrt(inputs)
    moments = mixing @ mixing.T + np.eye(inputs) * 0.1
    # Blocks of different size are what one step for a row cannot serve.
    sizes = np.repeat([1.0, 0.2, 0.05], inputs // 3)
    return random.normal(size=(rows, inputs)) * sizes, moments


def _error(weights, real, moments):
    return output_error((weights - real).T, damp(moments)).sum()


def test_a_step_for_every_block_leaves_less_error_than_one_for_the_row():
    weights, moments = _case()
    codes, steps = solve_blocks(weights, moments, 4)
    assert steps.shape == (12, 96 // BLOCK)
    blocked = _error(weights, codes * spread(steps, 96), moments)
    codes, steps = solve(weights, moments, 4)
    assert blocked < 0.8 * _error(weights, codes * spread(steps, 96), moments)


def test_steps_are_positive_half_precision_numbers():
    weights, moments = _case()
    weights[3] = 0
    weights[4] *= 1e-9
    codes, steps = solve_blocks(weights, moments, 4)
    np.testing.assert_array_equal(steps, steps.astype(np.float16))
    assert (steps > 0).all()
    assert not codes[3].any()
    assert codes.min() >= -8
    assert codes.max() <= 7


def test_weights_on_a_grid_of_blocks_are_found():
    random = np.random.default_rng(5)
    codes = random.integers(-7, 8, (4, 64))
    codes[:, [0, 32]] = 7
    steps = np.array([[0.5, 0.125]]).repeat(4, axis=0)
    found, sizes = solve_blocks(codes * spread(steps, 64), np.eye(64), 4)
    np.testing.assert_array_equal(found, codes)
    np.testing.assert_array_equal(sizes, steps)


def test_values_that_are_no_numbers_are_refused():
    weights, moments = _case()
    weights[0, 0] = np.nan
    with pytest.raises(QuantizationError, match="not finite"):
        solve_blocks(weights, moments, 4)
