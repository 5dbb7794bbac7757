"""What is seen at the beginning of a Keras network."""

import pytest

from edgedeploy.adopt.look_keras import look_keras
from edgedeploy.errors import InputError

BYTES, UNIT = (1.0,) * 3, (255.0,) * 3


def save(folder, begin, *, activation="softmax", size=(8, 10)):
    import keras

    image = keras.Input((*size, 3))
    values = keras.layers.Flatten()(begin(image))
    outputs = keras.layers.Dense(3, activation=activation)(values)
    path = folder / "net.keras"
    keras.Model(image, outputs).save(path)
    return path


def rescaling(scale, offset):
    import keras

    return keras.layers.Rescaling(scale, offset)


def normalization():
    import keras

    return keras.layers.Normalization(mean=[120.0] * 3, variance=[3600.0] * 3)


@pytest.mark.parametrize(
    ("begin", "std"),
    [
        (lambda x: rescaling(1 / 255, 0.0)(x), BYTES),
        (lambda x: rescaling(2.0, -1.0)(x), UNIT),
        (lambda x: normalization()(x), BYTES),
        (lambda x: x / 127.5 - 1.0, BYTES),
    ],
    ids=["rescaling", "rescaling of 0..1", "normalization", "arithmetic"],
)
def test_beginning_tells_which_pixels_are_taken(tmp_path, begin, std):
    found = look_keras(save(tmp_path, begin), "keras_file", "keras")
    assert (found.mean, found.std) == ((0.0,) * 3, std)
    assert "begins with" in found.reason
    assert not found.assumed
    assert (found.width, found.height, found.classes) == (10, 8, 3)


def test_network_that_begins_at_once_tells_nothing(tmp_path):
    found = look_keras(save(tmp_path, lambda x: x), "keras_file", "keras")
    assert (found.mean, found.reason) == (None, "")


@pytest.mark.parametrize(
    ("activation", "outputs"), [("softmax", "probabilities"), (None, "logits")]
)
def test_answers_tell_logits(tmp_path, activation, outputs):
    path = save(tmp_path, lambda x: x, activation=activation)
    assert look_keras(path, "keras_file", "keras").outputs == outputs


def test_sigmoid_is_refused(tmp_path):
    path = save(tmp_path, lambda x: x, activation="sigmoid")
    with pytest.raises(InputError, match="independent answers"):
        look_keras(path, "keras_file", "keras")


@pytest.mark.parametrize("size", [(8, 10), (None, None)], ids=["fixed", "open"])
def test_sigmoid_as_an_operator_is_refused(tmp_path, size):
    import keras

    image = keras.Input((*size, 3))
    values = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(image))
    model = keras.Model(image, keras.ops.sigmoid(values))
    model.save(tmp_path / "operator.keras")
    with pytest.raises(InputError, match="independent answers"):
        look_keras(tmp_path / "operator.keras", "keras_file", "keras")


def test_sigmoid_inside_a_network_and_before_a_reshape_is_refused(tmp_path):
    import keras

    layers = keras.layers
    inner = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(3, "sigmoid")]
    )
    same = layers.Reshape((3,))
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, same(same(inner(image))))
    model.save(tmp_path / "nested.keras")
    with pytest.raises(InputError, match="independent answers"):
        look_keras(tmp_path / "nested.keras", "keras_file", "keras")


def test_sigmoid_of_a_saved_model_is_refused(tmp_path):
    import keras

    image = keras.Input((8, 8, 3))
    values = keras.layers.Dense(3)(keras.layers.Flatten()(image))
    model = keras.Model(image, keras.layers.Activation("sigmoid")(values))
    model.export(tmp_path / "net", verbose=False)
    with pytest.raises(InputError, match="independent answers"):
        look_keras(tmp_path / "net", "saved_model", "saved_model")


@pytest.mark.parametrize(
    ("begin", "reason"),
    [
        (lambda x: 1.0 - x, "x * -1 +1"),
        (lambda x: x - 0.0, "x * 1 +0"),
        (lambda x: 1.2 * x, "x * 1.2 +0"),
    ],
)
def test_unusual_beginning_is_called_a_guess(tmp_path, begin, reason):
    found = look_keras(save(tmp_path, begin), "keras_file", "keras")
    assert found.assumed
    assert reason in found.reason


def test_grey_network_is_refused(tmp_path):
    import keras

    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    model.save(tmp_path / "grey.keras")
    with pytest.raises(InputError, match=r"\(batch, height, width, 3\)"):
        look_keras(tmp_path / "grey.keras", "keras_file", "keras")


def test_saved_models_rescaling_is_told_by_its_operators(tmp_path):
    import keras

    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.export(tmp_path / "net", verbose=False)
    found = look_keras(tmp_path / "net", "saved_model", "saved_model")
    assert (found.mean, found.std) == ((0.0,) * 3, BYTES)
