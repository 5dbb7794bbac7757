import itertools

import numpy as np
import pytest

from edgedeploy.errors import QuantizationError
from edgedeploy.quantize.palette import code_weights, pack_codes, unpack_codes


def test_codes_are_packed_lowest_bit_first():
    # 1, 2, 3 with two bits each: 01 10 11, from the right.
    assert pack_codes(np.array([1, 2, 3]), 2) == bytes([0b00111001])


@pytest.mark.parametrize("bits", range(1, 9))
def test_packed_codes_come_back(bits):
    codes = np.random.default_rng(bits).integers(0, 2**bits, 37)
    found = unpack_codes(pack_codes(codes, bits), bits, 37)
    np.testing.assert_array_equal(found, codes)


def test_truncated_codes_are_refused():
    with pytest.raises(QuantizationError, match="take 5 bytes; found 4"):
        unpack_codes(b"1234", 3, 13)


@pytest.mark.parametrize("scheme", ["linear", "table", "grouped"])
def test_more_bits_are_never_worse(scheme):
    weights = np.random.default_rng(1).normal(size=(8, 200))
    errors = [
        float(np.mean((code_weights(weights, bits, scheme).restored - weights) ** 2))
        for bits in range(1, 9)
    ]
    assert errors == sorted(errors, reverse=True)


def test_one_bit_is_the_sign_times_the_mean():
    coded = code_weights(np.array([[1.0, -3.0, 2.0, -2.0]]), 1, "linear")
    assert coded.restored.tolist() == [[2.0, -2.0, 2.0, -2.0]]
    assert len(coded.packed) == 1 + 4


def test_two_bits_are_minus_one_zero_and_one():
    coded = code_weights(np.array([[2.0, -2.0, 0.1, 0.0]]), 2, "linear")
    assert coded.restored.tolist() == [[2.0, -2.0, 0.0, 0.0]]


def test_a_table_finds_the_values_there_are():
    weights = np.array([[-1.0, 0.5, 0.5, 3.0], [3.0, -1.0, 7.0, 7.0]])
    coded = code_weights(weights, 2, "table")
    np.testing.assert_allclose(coded.restored, weights)
    assert len(coded.packed) == 2 + 4 * 4


def test_channels_in_groups_have_tables_of_their_own():
    # 16 channels of 1 and 2, then 4 of 30 and 40: a bit is enough for each group.
    weights = np.array([[1.0, 2.0]] * 16 + [[30.0, 40.0]] * 4)
    coded = code_weights(weights, 1, "grouped")
    np.testing.assert_allclose(coded.restored, weights)
    # 32 codes and 8 codes of a bit, and two tables of two float32 numbers.
    assert len(coded.packed) == 4 + 8 + 1 + 8
    whole = code_weights(weights, 1, "table").restored
    assert set(whole.reshape(-1).tolist()) == {1.5, 35.0}


def test_a_table_is_no_longer_than_what_it_tabulates():
    coded = code_weights(np.array([[1.0, 2.0, 5.0]]), 8, "table")
    assert coded.restored.tolist() == [[1.0, 2.0, 5.0]]
    assert len(coded.packed) == 3 + 3 * 4


def test_a_tensor_of_zeros_stays_zero_with_two_bits_or_more():
    for bits in range(2, 9):
        assert not code_weights(np.zeros((2, 3)), bits, "linear").restored.any()
        assert not code_weights(np.zeros((2, 3)), bits, "table").restored.any()


@pytest.mark.parametrize(("bits", "scheme"), [(0, "linear"), (9, "table"), (4, "k")])
def test_what_cannot_be_swept_is_refused(bits, scheme):
    with pytest.raises(QuantizationError, match="1 to 8 bits"):
        code_weights(np.ones((1, 1)), bits, scheme)


def least_error(numbers, entries):
    """The smallest squared error of any table, by trying every division."""
    ordered, best = sorted(numbers), np.inf
    for cuts in itertools.combinations(range(1, len(ordered)), entries - 1):
        runs = np.split(np.array(ordered), cuts)
        best = min(best, sum(float(((run - run.mean()) ** 2).sum()) for run in runs))
    return best


def test_tables_come_near_the_best_there_is():
    random = np.random.default_rng(5)
    ratios = []
    for _ in range(30):
        # Heavy tails, as weights have them.
        numbers = random.standard_t(3, 12)
        coded = code_weights(numbers[None], 2, "table")
        error = float(((coded.restored - numbers) ** 2).sum())
        ratios.append(error / least_error(numbers, 4))
    assert min(ratios) > 0.999
    # k-means ends where no weight wants to move, which is not always the best.
    assert np.median(ratios) < 1.05
    assert np.mean(ratios) < 1.15


def test_a_few_large_weights_do_not_take_the_table_from_the_many():
    random = np.random.default_rng(6)
    weights = random.normal(0, 0.01, (1, 1500))
    weights[0, :100] = random.normal(0, 1, 100)
    coded = code_weights(weights, 6, "table")
    # 64 steps over the whole range would miss by 1/12 of a step squared.
    step = np.ptp(weights) / 63
    assert np.mean((coded.restored - weights) ** 2) < step**2 / 12 / 4
