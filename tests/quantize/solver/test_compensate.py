import numpy as np

from edgedeploy.quantize.solver.compensate import corrected_bias, lost_gain


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


def test_steps_of_a_regression_get_their_gain_back():
    # Inputs of variances 4 and 1: shared = 1.0 * 4 * 0.8 + 0.5 * 1 * 0.6 = 3.5, own =
    # 4 + 0.25. The second row is followed too badly to be called shrunk.
    weights = np.array([[1.0, 0.5], [1.0, 0.5], [0.0, 0.0]])
    quantised = np.array([[0.8, 0.6], [0.1, 0.0], [0.0, 0.0]])
    gain = lost_gain(weights, quantised, np.diag([4.0, 1.0]))
    np.testing.assert_allclose(gain, [1.2, 1.2, 1.0], rtol=1e-6)
    near = lost_gain(weights[:1], np.array([[0.95, 0.5]]), np.diag([4.0, 1.0]))
    np.testing.assert_allclose(near, [4.25 / 4.05], rtol=1e-6)


def test_gain_of_weights_that_stayed_is_one():
    weights = np.random.default_rng(1).normal(size=(3, 5))
    np.testing.assert_allclose(lost_gain(weights, weights, np.eye(5)), 1.0, rtol=1e-6)
