import numpy as np

from edgedeploy.quantize.solver.compensate import RIDGE, corrected_bias, refit_weights


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


def test_refit_undoes_scaled_inputs_but_for_the_ridge():
    # Inputs with variance 1 that arrive times 2, 1 and 0.5, and do not go together:
    # least squares divides each weight by its scale, the ridge pulls it back to 1.
    scales = np.array([2.0, 1.0, 0.5])
    fitted = refit_weights(np.ones((1, 3)), np.diag(scales**2), np.diag(scales))
    ridge = RIDGE * np.mean(scales**2)
    expected = (scales + ridge) / (scales**2 + ridge)
    np.testing.assert_allclose(fitted[0], expected, rtol=1e-12)
    assert 0.5 < fitted[0, 0] < 1.0 < fitted[0, 2] < 2.0


def test_refit_leaves_weights_of_inputs_that_never_vary():
    weights = np.ones((2, 3))
    zero = np.zeros((3, 3))
    np.testing.assert_array_equal(refit_weights(weights, zero, zero), weights)
