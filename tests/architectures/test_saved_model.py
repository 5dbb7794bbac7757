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


def test_operator_that_writes_files_is_refused_and_not_run(tmp_path):
    import tensorflow as tf

    marker = tmp_path / "ran"

    def write(x):
        tf.io.write_file(str(marker), "here")
        return {"scores": tf.reduce_mean(x, (1, 2))}

    save_signature(tmp_path / "evil", write, (None, 4, 4, 3))
    with pytest.raises(WeightsError, match=r"WriteFile touch files.*--trust"):
        build("saved_model", tmp_path / "evil", "saved_model")
    assert not marker.exists()


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
