import copy

import numpy as np
import pytest

from edgedeploy.architectures import build
from edgedeploy.architectures.layers_model import build_layers_model
from edgedeploy.errors import WeightsError
from edgedeploy.fetch import Unreachable, fetch
from edgedeploy.specs import NpmSource
from edgedeploy.workspace import cache_folder


def layer(kind, name, inbound, **config):
    nodes = [[[source, 0, 0, {}] for source in inbound]] if inbound else []
    return {
        "class_name": kind,
        "name": name,
        "config": {"name": name, "data_format": "channels_last"} | config,
        "inbound_nodes": nodes,
    }


def make_topology():
    window = {"pool_size": [2, 2], "strides": [2, 2], "padding": "valid"}
    layers = [
        layer("InputLayer", "in", [], batch_input_shape=[None, 4, 4, 3]),
        layer(
            "Conv2D", "c", ["in"], filters=2, kernel_size=[1, 1], strides=[1, 1],
            padding="valid", dilation_rate=[1, 1], activation="linear", use_bias=False,
        ),
        layer("BatchNormalization", "b", ["c"], axis=3, epsilon=1e-3, scale=False,
              center=True),
        layer("Activation", "a", ["b"], activation="relu"),
        layer("MaxPooling2D", "m", ["a"], **window),
        layer("AveragePooling2D", "v", ["a"], **window),
        layer("Concatenate", "j", ["m", "v"], axis=3),
        layer("Flatten", "f", ["j"]),
        layer("Dropout", "o", ["f"], rate=0.5),
        layer("Dense", "d", ["o"], units=3, activation="softmax", use_bias=True),
    ]  # fmt: skip
    ends = {"input_layers": [["in", 0, 0]], "output_layers": [["d", 0, 0]]}
    return {
        "model_config": {"class_name": "Model", "config": {"layers": layers} | ends}
    }


def make_arrays():
    rng = np.random.default_rng(3)
    return {
        "c/kernel": rng.normal(size=(1, 1, 3, 2)).astype("f4"),
        "b/beta": rng.normal(size=2).astype("f4"),
        "b/moving_mean": rng.normal(size=2).astype("f4"),
        "b/moving_variance": rng.uniform(0.5, 2, 2).astype("f4"),
        "d/kernel": rng.normal(size=(16, 3)).astype("f4"),
        "d/bias": rng.normal(size=3).astype("f4"),
    }


def test_outputs_are_those_worked_out_with_numpy():
    arrays = make_arrays()
    images = np.random.default_rng(0).uniform(size=(2, 4, 4, 3)).astype("f4")
    x = images @ arrays["c/kernel"][0, 0]
    x = (x - arrays["b/moving_mean"]) / np.sqrt(arrays["b/moving_variance"] + 1e-3)
    x = np.maximum(x + arrays["b/beta"], 0)
    tiles = x.reshape(2, 2, 2, 2, 2, 2)
    x = np.concatenate([tiles.max((2, 4)), tiles.mean((2, 4))], 3).reshape(2, 16)
    logits = x @ arrays["d/kernel"] + arrays["d/bias"]
    wanted = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

    model = build_layers_model(make_topology(), arrays, name="small")
    np.testing.assert_allclose(model(images, training=False), wanted, atol=1e-6)
    assert model.inputs[0].name == "image"
    assert model.output_names == ["probabilities"]


def find(topology, name):
    layers = topology["model_config"]["config"]["layers"]
    return next(entry for entry in layers if entry["config"]["name"] == name)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("a", "class_name"), "Lambda", "Lambda"),
        (("c", "config", "data_format"), "channels_first", "channels_last"),
        (("c", "config", "filters"), 3, "c/kernel"),
        (("c", "config", "filters"), -1, "c/kernel"),
        (("c", "config", "padding"), "sideways", "rebuilt"),
        (("c", "config", "kernel_size"), 7, "rebuilt"),
        (("c", "config", "use_bias"), True, "c/bias"),
        (("b", "config", "axis"), 1, "axis"),
        (("b", "config", "scale"), True, "b/gamma"),
        (("b", "config", "center"), False, "b/beta"),
        (("a", "config", "activation"), "os.system", "rebuilt"),
        (("a", "inbound_nodes"), [[["nowhere", 0, 0, {}]]], "nowhere"),
        (("a", "inbound_nodes"), [], "rebuilt"),
        (("d", "config", "activation"), "linear", "softmax"),
        (("d", "config", "units"), 10**12, "d/kernel"),
        (("in", "config", "batch_input_shape"), None, "rebuilt"),
    ],
)
def test_topology_that_is_odd_is_refused(path, value, says):
    topology = copy.deepcopy(make_topology())
    target = find(topology, path[0])
    for key in path[1:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(WeightsError, match=says) as caught:
        build_layers_model(topology, make_arrays(), name="small")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("topology", [{}, {"model_config": 3}, {"model_config": {}}])
def test_topology_that_is_none_is_refused(topology):
    with pytest.raises(WeightsError):
        build_layers_model(topology, {}, name="small")


def test_weights_left_over_or_missing_are_named():
    extra = make_arrays() | {"x/kernel": np.zeros(1, "f4")}
    with pytest.raises(WeightsError, match="x/kernel"):
        build_layers_model(make_topology(), extra, name="small")
    arrays = make_arrays()
    del arrays["d/bias"]
    with pytest.raises(WeightsError, match="d/bias"):
        build_layers_model(make_topology(), arrays, name="small")


@pytest.mark.network
@pytest.mark.real
def test_real_content_safety_weights_build_inception_v3():
    source = NpmSource(
        package="nsfwjs@4.4.0",
        integrity="sha512-krC1fgeTLXtZwgdpKJ0jm7hqv0gTSRQQRL+FhOaxaJ9Wj92t42BO"
        "3csO2odwgTAgZgf2RvkwPtp0R8Aa7dc+MA==",
        member="package/dist/models/inception_v3",
    )
    try:
        folder = fetch(source, cache=cache_folder()).path
    except Unreachable as error:
        pytest.skip(f"no npm registry to be reached ({error}); connect to one")
    model = build("inception_v3", folder, "tfjs")
    assert model.input_shape == (None, 299, 299, 3)
    assert model.output_shape == (None, 5)
    # As many convolutions as the paper's body has, and the numbers in its layers.
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("Conv2D") == 94
    assert model.count_params() == 22_360_869
    # A flat grey picture is not a drawing, nor anything to be kept from anybody.
    grey = np.full((1, 299, 299, 3), 0.5, "f4")
    probabilities = model(grey, training=False).numpy()[0]
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert np.isfinite(probabilities).all()
