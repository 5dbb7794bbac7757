import contextlib

import numpy as np
import pytest

from edgedeploy.errors import FormatError
from edgedeploy.formats.tflite_tail import QuantisedTensor, SoftmaxTail, softmax_tail
from edgedeploy.ondevice.runtime import Model
from edgedeploy.targets.arm_softmax import arm64_outputs, arm64_softmax

INT8 = QuantisedTensor(dtype="int8", scale=1 / 256, zero_point=-128)
UINT8 = QuantisedTensor(dtype="uint8", scale=1 / 256, zero_point=0)

# What LiteRT 2.3.0's aarch64 wheel answered under qemu 10.0 as cortex-a72 and as
# cortex-a76. In all but the last two rows the x86-64 wheel answers otherwise.
# (dtype, scale of the logits, logits, scores)
MEASURED = [
    (
        "int8", 0.0793895423412323,
        [-16, -55, 23, -63, -88],
        [-117, -127, 116, -128, -128],
    ),
    ("int8", 0.08, [-4, 16, 29, 29, -27], [-120, -91, -23, -23, -127]),
    ("int8", 0.08, [44, -20, 19, -12, -16], [93, -127, -98, -125, -126]),
    ("uint8", 0.2, [131, 158, 156, 88, 141, 106, 135], [1, 149, 100, 0, 5, 0, 2]),
    ("uint8", 0.2, [159, 75, 130, 125, 69, 131, 128], [254, 0, 1, 0, 0, 1, 1]),
    ("uint8", 0.2, [110, 122, 99, 148, 153, 118, 162], [0, 0, 0, 13, 35, 0, 209]),
    (
        "int8", 0.1,
        [-8, -47, -21, 2, -15, 4, -28, 49, -16, 16, -50, 25, 47, 18, -7, -28],
        [-128, -128, -128, -127, -128, -127, -128, -1,
         -128, -123, -128, -117, -24, -122, -128, -128],
    ),
    (
        "int8", 0.1,
        [-31, -80, -14, -7, -22, 21, -3, 0, -19, -46, 1, 25, 36, 5, -38, -10],
        [-128, -128, -127, -126, -128, -95, -125, -124,
         -127, -128, -123, -78, 21, -121, -128, -127],
    ),
    ("int8", 0.05, [-24, 7], [-83, 83]),
    ("int8", 0.05, [-50, 20], [-120, 120]),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "scale", "logits", "scores"), MEASURED)
def test_scores_are_those_that_an_arm_processor_gave(dtype, scale, logits, scores):
    output = INT8 if dtype == "int8" else UINT8
    found = arm64_softmax(
        np.array([logits], dtype), scale=scale, beta=1.0, output=output
    )
    assert found[0].tolist() == scores


def test_rows_do_not_touch_each_other():
    logits = np.array([row[2] for row in MEASURED[1:3]], np.int8)
    found = arm64_softmax(logits, scale=0.08, beta=1.0, output=INT8)
    assert found.tolist() == [row[3] for row in MEASURED[1:3]]


def test_scores_beyond_the_type_are_cut_off():
    # One class has probability 1, which is 256 steps; 255 is the largest.
    found = arm64_softmax(np.array([[0]], np.uint8), scale=0.1, beta=1.0, output=UINT8)
    assert found.tolist() == [[255]]


def tail(output, scores=INT8):
    return SoftmaxTail(
        beta=1.0,
        logits=QuantisedTensor(dtype="int8", scale=0.08, zero_point=3),
        scores=scores,
        output=output,
        without=b"",
    )


def test_int8_scores_become_uint8_outputs():
    found = arm64_outputs(np.array([MEASURED[1][2]], np.int8), tail(UINT8))
    assert found.dtype == np.uint8
    assert found[0].tolist() == [score + 128 for score in MEASURED[1][3]]


def test_another_scale_after_the_softmax_is_not_guessed():
    other = QuantisedTensor(dtype="uint8", scale=1 / 128, zero_point=0)
    assert arm64_outputs(np.array([[1, 2]], np.int8), tail(other)) is None


def test_tail_of_a_quantised_classifier_is_found(tiny_models):
    data = tiny_models["int8"].read_bytes()
    found = softmax_tail(data)
    assert (found.logits.dtype, found.output.dtype) == ("int8", "uint8")
    assert found.scores == INT8
    assert found.beta == 1.0
    assert len(found.without) == len(data)
    # The model that stops before it gives logits: their exact softmax is the model's.
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    whole, before = Model(data), Model(found.without)
    assert before.output.dtype == "int8"
    assert before.output.scale == pytest.approx(found.logits.scale)
    logits = before.real(before.invoke(picture))[0].astype(np.float64)
    powers = np.exp(logits - logits.max())
    scores = whole.real(whole.invoke(picture))[0]
    assert scores == pytest.approx(powers / powers.sum(), abs=1 / 256)


@pytest.mark.parametrize("recipe", ["float32", "dynamic_int8"])
def test_float_classifiers_have_none(tiny_models, recipe):
    assert softmax_tail(tiny_models[recipe].read_bytes()) is None


def test_damaged_models_are_refused_or_have_none(tiny_models):
    data = tiny_models["int8"].read_bytes()
    rng = np.random.default_rng(7)
    for length in (0, 4, 8, 100, len(data) // 2):
        with pytest.raises(FormatError):
            softmax_tail(data[:length])
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(8):
            changed[int(rng.integers(4, 4000))] = int(rng.integers(0, 256))
        # Nothing but this one error may come of it.
        with contextlib.suppress(FormatError):
            softmax_tail(bytes(changed))
