import numpy as np
import pytest
from colour_networks import HEIGHT, WIDTH

from edgedeploy.adopt.look_tflite import look_tflite
from edgedeploy.adopt.normalisation import of_arithmetic, of_interval, of_picture
from edgedeploy.adopt.outputs import is_picture, judge_outputs
from edgedeploy.adopt.tflite_ends import apply_number, first_arithmetic
from edgedeploy.errors import InputError
from edgedeploy.formats.metadata import embed
from edgedeploy.formats.tflite_layout import pack_model


def test_plain_file_tells_sizes_and_nothing_of_the_range(networks):
    found = look_tflite(networks / "plain.tflite")
    assert (found.width, found.height, found.classes) == (WIDTH, HEIGHT, 4)
    assert (found.layout, found.outputs) == ("float32", "probabilities")
    assert (found.mean, found.labels) == (None, ())


def test_outputs_that_do_not_add_up_are_logits(networks):
    assert look_tflite(networks / "logits.tflite").outputs == "logits"


def test_sigmoid_is_refused(networks):
    with pytest.raises(InputError, match=r"a sigmoid.*softmax over all classes"):
        look_tflite(networks / "sigmoid.tflite")


def test_quantised_input_tells_the_range(networks):
    found = look_tflite(networks / "int8.tflite")
    assert found.layout == "quantised"
    assert found.outputs == "probabilities"
    # -1..1 in 255 steps: (pixel - 127.5) / 127.5, its zero point a whole number.
    assert found.mean == pytest.approx((127.5,) * 3, abs=0.6)
    assert found.std == pytest.approx((127.5,) * 3, abs=0.1)


def test_metadata_tells_range_and_labels(networks, tmp_path):
    data = embed(
        (networks / "plain.tflite").read_bytes(),
        name="n",
        description="d",
        version="1",
        author="a",
        licence="MIT",
        labels=("red", "green", "blue", "grey"),
        mean=(1.0, 2.0, 3.0),
        std=(4.0, 5.0, 6.0),
    )
    (tmp_path / "known.tflite").write_bytes(data)
    found = look_tflite(tmp_path / "known.tflite")
    assert found.mean == (1.0, 2.0, 3.0)
    assert found.std == (4.0, 5.0, 6.0)
    assert found.labels == ("red", "green", "blue", "grey")


@pytest.mark.parametrize("share", [0.0, 0.4, 0.98])
def test_truncated_file_is_an_error(networks, tmp_path, share):
    data = (networks / "plain.tflite").read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=path.name):
        look_tflite(path)


def test_noise_is_an_error(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, 4000, np.uint8).tobytes()
    path = tmp_path / "noise.tflite"
    path.write_bytes(noise[:4] + b"TFL3" + noise[8:])
    with pytest.raises(InputError, match=path.name):
        look_tflite(path)


@pytest.mark.parametrize(
    ("scale", "offset", "std", "assumed"),
    [
        (1 / 255, 0.0, 1.0, False),  # Keras' Rescaling(1/255)
        (1 / 127.5, -1.0, 1.0, False),  # MobileNet's
        (1.0, -103.9, 1.0, False),  # Caffe's mean alone
        (1 / 58.4, -2.1, 1.0, False),  # ImageNet's on 0..255
        (2.0, -1.0, 255.0, False),  # 0..1 to -1..1
        (1 / 0.229, -2.1, 255.0, False),  # ImageNet's on 0..1
        (1.16, 0.015, 255.0, True),  # a batch normalisation of who knows what
        (-1.0, 1.0, 255.0, True),  # 1 - x
        (1.0, 0.0, 255.0, True),  # x - 0
    ],
)
def test_first_arithmetic_tells_which_pixels_a_network_takes(
    scale, offset, std, assumed
):
    takes = of_arithmetic(scale, offset, "seen")
    assert (takes.mean, takes.std) == ((0.0,) * 3, (std,) * 3)
    assert takes.assumed is assumed


@pytest.mark.parametrize(
    ("name", "number", "reverse", "expected"),
    [
        ("MUL", 2.0, False, (2.0, 0.0)),
        ("DIV", 4.0, False, (0.25, 0.0)),
        ("ADD", 3.0, True, (1.0, 3.0)),
        ("SUB", 3.0, False, (1.0, -3.0)),
        ("SUB", 0.0, False, (1.0, 0.0)),
        ("SUB", 1.0, True, (-1.0, 1.0)),
        ("DIV", 1.0, True, None),
        ("DIV", 0.0, False, None),
        ("MUL", 0.0, False, None),
    ],
)
def test_number_and_its_side_decide_what_arithmetic_is(name, number, reverse, expected):
    assert apply_number(name, number, reverse=reverse) == expected


@pytest.mark.parametrize(
    ("low", "high", "mean", "std"),
    [
        (-1.0, 0.99, 127.5, 127.5),
        (0.0, 0.998, 0.0, 255.0),
        (0.0, 254.7, 0.0, 1.0),
        (-3.0, 3.0, 127.5, 42.5),
    ],
)
def test_ends_of_a_calibrated_input_tell_the_range(low, high, mean, std):
    takes = of_interval(low, high)
    assert (takes.mean, takes.std) == ((mean,) * 3, (std,) * 3)
    assert takes.assumed


def test_calibrated_float_input_tells_its_range(networks):
    # Rescaled inside and calibrated on 0..255, with float inputs and outputs.
    found = look_tflite(networks / "float_ends.tflite")
    assert (found.layout, found.outputs) == ("quantised", "probabilities")
    assert (found.mean, found.std) == ((0.0,) * 3, (1.0,) * 3)
    assert found.assumed
    assert "quantised over 0..25" in found.reason


def test_quantised_constants_of_the_first_arithmetic_are_real_numbers(networks):
    data = (networks / "float_ends.tflite").read_bytes()
    scale, offset = first_arithmetic(data)
    # Rescaling(1 / 127.5, offset=-1), to a step of 8 bits.
    assert scale == pytest.approx(1 / 127.5, rel=0.01)
    assert offset == pytest.approx(-1, rel=0.01)


def test_rounded_probabilities_of_a_softmax_need_not_add_up():
    # 1000 classes of 1/1000 each are all 0 in steps of 1/256.
    def rounded(_noise):
        return np.zeros((1, 1000), np.float32)

    assert judge_outputs("n", (4, 4, 3), rounded, last="softmax") == "probabilities"
    assert judge_outputs("n", (4, 4, 3), rounded) == "logits"


def test_answers_within_one_that_do_not_add_up_are_a_sigmoids_unless_seen_otherwise():
    def independent(noise):
        return 1 / (1 + np.exp(-noise[:, 0, 0]))

    with pytest.raises(InputError, match="independent answers"):
        judge_outputs("n", (4, 4, 3), independent)
    assert judge_outputs("n", (4, 4, 3), independent, last="linear") == "logits"


def test_stored_size_of_an_open_input_is_taken(tmp_path, networks):
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf((networks / "plain.tflite").read_bytes(), 0)
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shapeSignature = [-1, -1, -1, 3]
    path = tmp_path / "open.tflite"
    path.write_bytes(pack_model(model))
    # The size that it was stored with is as good as any.
    found = look_tflite(path)
    assert (found.width, found.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("last", "mean", "std"),
    [("LOGISTIC", 0.0, 255.0), ("sigmoid", 0.0, 255.0), ("TANH", 127.5, 127.5)],
)
def test_the_end_of_a_network_that_gives_pictures_hints_at_its_range(last, mean, std):
    found = of_picture(last)
    assert (found.mean, found.std) == ((mean,) * 3, (std,) * 3)
    assert found.assumed
    assert last in found.reason


def test_no_other_end_hints_at_anything():
    assert of_picture("CONV_2D").mean is None


def test_a_picture_has_rows_columns_and_three_colours():
    assert is_picture((1, 64, 48, 3))
    assert is_picture((None, None, None, 3))
    assert not is_picture((1, 1000))
    assert not is_picture((1, 7, 7, 1280))
    assert not is_picture((1, 64, 3))
