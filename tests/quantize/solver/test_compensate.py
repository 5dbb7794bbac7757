import numpy as np

from edgedeploy.quantize.solver.compensate import corrected_bias


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
