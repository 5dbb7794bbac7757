import numpy as np

from edgedeploy.quantize.solver.grid import TINIEST_STEP, shorten


def test_shortened_numbers_keep_9_bits():
    # 1 + 2**-8 has 9 significant bits; half a last bit is rounded away from 0.
    given = np.array([1 + 2**-8, 1 + 2**-9, -1 - 2**-10, 0.0, 3.0], np.float32)
    expected = np.array([1 + 2**-8, 1 + 2**-8, -1.0, 0.0, 3.0], np.float32)
    np.testing.assert_array_equal(shorten(given), expected)


def test_shortened_numbers_are_near_and_never_become_zero():
    random = np.random.default_rng(0)
    given = (random.normal(size=1000) * 10.0 ** random.integers(-9, 9, 1000)).astype(
        np.float32
    )
    short = shorten(given)
    assert np.abs(short / given - 1).max() <= 2**-9
    np.testing.assert_array_equal(shorten(short), short)
    assert shorten(np.array([TINIEST_STEP], np.float32))[0] > 0


def test_short_half_precision_numbers_still_are_some():
    halves = np.array([0.1, 6.1e-5, 60000.0], np.float16).astype(np.float32)
    short = shorten(halves)
    np.testing.assert_array_equal(short, short.astype(np.float16))
