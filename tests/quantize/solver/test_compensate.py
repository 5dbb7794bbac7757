import numpy as np

from edgedeploy.quantize.solver.compensate import corrected_bias, refit_weights


def test_bias_correction_is_exact_for_a_linear_layer():
    random = np.random.default_rng(0)
    x = random.normal(2.0, 1.0, size=(50, 6))
    changed = x + random.normal(0.5, 0.2, size=x.shape)
    weights, bias = random.normal(size=(4, 6)), random.normal(size=4)
    coarse = np.rint(weights)
    moved = corrected_bias(bias, weights, x.mean(0), coarse, changed.mean(0))
    before = (x @ weights.T + bias).mean(axis=0)
    after = (changed @ coarse.T + moved).mean(axis=0)
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_refit_changes_nothing_where_the_inputs_are_float32s():
    x = np.random.default_rng(1).normal(size=(100, 5))
    second = x.T @ x / 100
    weights = np.random.default_rng(2).normal(size=(3, 5))
    np.testing.assert_allclose(refit_weights(weights, second, second), weights)


def test_refit_undoes_a_scaled_input():
    random = np.random.default_rng(3)
    x = random.normal(size=(4000, 5))
    scales = np.array([0.5, 1.0, 2.0, 1.0, 1.5])
    changed = x * scales
    weights = random.normal(size=(3, 5))
    second, cross = changed.T @ changed / len(x), x.T @ changed / len(x)
    fitted = refit_weights(weights, second, cross)
    left = np.abs(fitted - weights / scales).max()
    # The ridge keeps it a little on the trained side.
    assert left < 0.15 * np.abs(weights - weights / scales).max()


def test_refit_leaves_weights_of_inputs_that_never_vary():
    weights = np.ones((2, 3))
    zero = np.zeros((3, 3))
    np.testing.assert_array_equal(refit_weights(weights, zero, zero), weights)
