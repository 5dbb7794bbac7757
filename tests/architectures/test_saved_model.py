"""A SavedModel's folder: wrapped, or refused before anything in it runs."""

import numpy as np
import pytest

from edgedeploy.architectures import build
from edgedeploy.errors import WeightsError


@pytest.fixture(scope="module")
def network():
    import keras

    keras.utils.set_random_seed(4)
    image = keras.Input((6, 8, 3), name="image")
    x = keras.layers.Flatten()(image)
    return keras.Model(image, keras.layers.Dense(4, activation="softmax")(x))


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "net"
    network.export(folder, verbose=False)
    return folder


def test_network_answers_as_before(network, exported):
    image = np.random.default_rng(0).normal(size=(2, 6, 8, 3)).astype("f4")
    loaded = build("saved_model", exported, "saved_model")
    assert loaded.input_shape == (None, 6, 8, 3)
    np.testing.assert_allclose(
        loaded.predict(image, verbose=0), network.predict(image, verbose=0), atol=1e-6
    )


def save_signature(folder, function, shape):
    import tensorflow as tf

    module = tf.Module()
    module.call = tf.function(function, [tf.TensorSpec(shape, tf.float32)])
    tf.saved_model.save(module, str(folder), signatures=module.call)


def write_file(marker, x):
    import tensorflow as tf

    tf.io.write_file(str(marker / "ran"), "here")
    return x


def print_to_file(marker, x):
    import tensorflow as tf

    tf.print("here", output_stream=f"file://{marker}/ran")
    return x


def dump_for_debugging(marker, x):
    import tensorflow as tf

    return tf.raw_ops.DebugIdentityV2(
        input=x,
        tfdbg_context_id="a",
        op_name="x",
        output_slot=0,
        tensor_debug_mode=2,
        debug_urls=[f"file://{marker}"],
    )


def save_tensor(marker, x):
    import tensorflow as tf

    tf.raw_ops.SaveV2(
        prefix=str(marker / "ran"),
        tensor_names=["a"],
        shape_and_slices=[""],
        tensors=[tf.constant([1.0])],
    )
    return x


@pytest.mark.parametrize(
    ("act", "operator"),
    [
        (write_file, "WriteFile"),
        (print_to_file, "PrintV2"),
        (dump_for_debugging, "DebugIdentityV2"),
        (save_tensor, "SaveV2"),
    ],
)
def test_operator_that_writes_files_is_refused_and_not_run(tmp_path, act, operator):
    import tensorflow as tf

    marker = tmp_path / "marker"
    marker.mkdir()

    def answer(x):
        return {"scores": tf.reduce_mean(act(marker, x), (1, 2))}

    save_signature(tmp_path / "evil", answer, (None, 4, 4, 3))
    before = list(marker.rglob("*"))
    with pytest.raises(WeightsError, match=rf"\b{operator}\b.*--trust"):
        build("saved_model", tmp_path / "evil", "saved_model")
    assert list(marker.rglob("*")) == before


def test_saver_that_the_model_calls_itself_is_refused(exported):
    from edgedeploy.architectures.safe_operators import find_unsafe
    from edgedeploy.architectures.saved_model import read_graph

    graph = read_graph(exported)
    assert find_unsafe(graph) == ()
    (saver,) = (
        one.signature.name
        for one in graph.graph_def.library.function
        if any(node.op == "SaveV2" for node in one.node_def)
    )
    graph.object_graph_def.concrete_functions[saver].SetInParent()
    assert "SaveV2" in find_unsafe(graph)


def test_operators_that_are_allowed_exist():
    from tensorflow.python.framework import op_def_registry

    from edgedeploy.architectures.safe_operators import COMPUTING, SAVING

    unknown = {name for name in COMPUTING | SAVING if op_def_registry.get(name) is None}
    assert unknown == set()


def test_signature_of_two_outputs_is_an_error(tmp_path):
    save_signature(tmp_path / "two", lambda x: {"a": x, "b": x}, (None, 4, 4, 3))
    with pytest.raises(WeightsError, match=r"one input .*serving_default"):
        build("saved_model", tmp_path / "two", "saved_model")


def test_folder_without_a_model_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match="not a SavedModel"):
        build("saved_model", tmp_path, "saved_model")


def test_damaged_description_is_an_error(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x0f" * 200)
    with pytest.raises(WeightsError, match="not a SavedModel"):
        build("saved_model", tmp_path, "saved_model")
