import numpy as np
import pytest
from colour_networks import HEIGHT, WIDTH

from edgedeploy.adopt.found import input_range
from edgedeploy.adopt.look_tflite import look_tflite
from edgedeploy.adopt.outputs import judge_outputs
from edgedeploy.errors import FormatError, InputError
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
    with pytest.raises((FormatError, InputError), match=r"\S"):
        look_tflite(path)


def test_noise_is_an_error(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, 4000, np.uint8).tobytes()
    path = tmp_path / "noise.tflite"
    path.write_bytes(noise[:4] + b"TFL3" + noise[8:])
    with pytest.raises((FormatError, InputError), match=r"\S"):
        look_tflite(path)


@pytest.mark.parametrize(
    ("scale", "offset", "std"),
    [
        (1 / 255, 0.0, 1.0),  # Keras' Rescaling(1/255)
        (1 / 127.5, -1.0, 1.0),  # MobileNet's
        (1.0, -103.9, 1.0),  # Caffe's mean alone
        (1 / 58.4, -2.1, 1.0),  # ImageNet's on 0..255
        (2.0, -1.0, 255.0),  # 0..1 to -1..1
        (1 / 0.229, -2.1, 255.0),  # ImageNet's on 0..1
    ],
)
def test_first_arithmetic_tells_which_pixels_a_network_takes(scale, offset, std):
    assert input_range(scale, offset) == ((0.0,) * 3, (std,) * 3)


def test_rounded_probabilities_of_a_softmax_need_not_add_up():
    # 1000 classes of 1/1000 each are all 0 in steps of 1/256.
    def rounded(_noise):
        return np.zeros((1, 1000), np.float32)

    assert judge_outputs("n", (4, 4, 3), rounded, last="softmax") == "probabilities"
    assert judge_outputs("n", (4, 4, 3), rounded) == "logits"


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
