import numpy as np
import pytest

from edgedeploy.errors import FormatError, QuantizationError
from edgedeploy.quantize.pack import pack_int4, unpack_int4


def test_first_code_lies_in_the_low_half():
    # -8 is 0b1000 and 3 is 0b0011; the odd one out is followed by zero.
    assert pack_int4(np.array([3, -8, -1])).tolist() == [0x83, 0x0F]


@pytest.mark.parametrize("shape", [(0,), (1,), (16,), (3, 5), (2, 3, 4)])
def test_codes_come_back(shape):
    codes = np.random.default_rng(1).integers(-8, 8, shape)
    packed = pack_int4(codes)
    assert packed.dtype == np.uint8
    assert len(packed) == (codes.size + 1) // 2
    found = unpack_int4(packed.tobytes(), codes.size)
    np.testing.assert_array_equal(found, codes.reshape(-1))


@pytest.mark.parametrize("value", [8, -9, 100])
def test_codes_that_do_not_fit_are_refused(value):
    with pytest.raises(QuantizationError, match="-8 to 7"):
        pack_int4(np.array([0, value]))


def test_truncated_codes_are_an_error_of_the_format():
    with pytest.raises(FormatError, match="5 4-bit codes take 3 bytes; found 2"):
        unpack_int4(b"\0\0", 5)
