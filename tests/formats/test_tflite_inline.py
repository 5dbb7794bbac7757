import numpy as np
import pytest
from hand_made_models import CLASSES, make_model
from shifted_models import with_weights_behind

from edgedeploy.errors import FormatError
from edgedeploy.formats.tflite import summarize
from edgedeploy.formats.tflite_inline import inline_buffers
from edgedeploy.formats.tflite_layout import pack_model
from edgedeploy.ondevice.runtime import Model

WEIGHTS = np.arange(CLASSES * 12, dtype=np.float32).reshape(CLASSES, 12)


@pytest.fixture
def plain():
    return pack_model(make_model(weights=WEIGHTS))


def test_weights_behind_the_tables_come_back_inside(plain):
    shifted = with_weights_behind(plain)
    # The weights are the last bytes of the file, where no table holds them.
    assert shifted[-WEIGHTS.nbytes :] == WEIGHTS.tobytes()
    gathered = inline_buffers(shifted)
    picture = np.random.default_rng(0).random((1, 2, 2, 3), np.float32)
    expected = WEIGHTS @ picture.reshape(-1)
    np.testing.assert_allclose(Model(gathered).invoke(picture)[0], expected, rtol=1e-5)
    assert dict(summarize(gathered).weight_bytes)["float32"] == WEIGHTS.nbytes
    assert inline_buffers(gathered) is gathered


def test_a_model_without_any_is_left_alone(plain):
    assert inline_buffers(plain) is plain


@pytest.mark.parametrize("missing", [1, 100, WEIGHTS.nbytes])
def test_a_file_cut_off_in_its_weights_is_refused(plain, missing):
    with pytest.raises(FormatError, match="cut off"):
        inline_buffers(with_weights_behind(plain)[:-missing])


def test_no_cut_or_flipped_byte_escapes_as_another_error(plain):
    shifted = with_weights_behind(plain)
    random = np.random.default_rng(1)
    for _ in range(200):
        broken = bytearray(shifted[: random.integers(0, len(shifted) + 1)])
        if broken:
            broken[random.integers(len(broken))] ^= int(random.integers(1, 256))
        try:
            assert inline_buffers(bytes(broken))
        except FormatError:
            continue
