"""Which networks take other sizes, and which only seem to."""

import numpy as np
import pytest

from edgedeploy.convert.flexible import make_flexible
from edgedeploy.errors import ConversionError
from edgedeploy.ondevice.shapes import parse_shapes

SIDE, CLASSES = 32, 4
SHAPES = parse_shapes("32,48x64")


@pytest.fixture(scope="module")
def layers():
    import keras

    keras.utils.set_random_seed(5)
    return keras.layers


def network(layers, *tail, classes=CLASSES):
    """Two convolutions, which leave a map of 8 x 8, and what follows."""
    import keras

    picture = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(picture)
    x = layers.Conv2D(6, 3, strides=2, padding="same")(x)
    for layer in tail:
        x = layer(x)
    return keras.Model(picture, x)


def dense(layers):
    return layers.Dense(CLASSES, activation="softmax", name="probabilities")


def pictures(width, height):
    random = np.random.default_rng(1)
    return random.uniform(-1, 1, (2, height, width, 3)).astype(np.float32)


def test_global_pooling_takes_every_size_and_answers_as_before(layers):
    model = network(layers, layers.GlobalAveragePooling2D(), dense(layers))
    flexible = make_flexible(model, SHAPES, (SIDE, SIDE))
    assert flexible.input_shape == (None, None, None, 3)
    small = pictures(SIDE, SIDE)
    assert np.array_equal(flexible(small), model(small))
    assert flexible(pictures(48, 64)).shape == (2, CLASSES)


def test_a_fully_convolutional_network_takes_every_size(layers):
    tail = (layers.Conv2D(CLASSES, 1), layers.GlobalAveragePooling2D())
    model = network(layers, *tail, layers.Softmax())
    flexible = make_flexible(model, SHAPES, (SIDE, SIDE))
    answers = np.asarray(flexible(pictures(48, 64)))
    assert np.allclose(answers.sum(axis=1), 1)


@pytest.mark.parametrize("kind", ["AveragePooling2D", "MaxPooling2D"])
def test_pooling_of_the_whole_map_becomes_global(layers, kind):
    import keras

    model = network(layers, getattr(layers, kind)(8), layers.Flatten(), dense(layers))
    flexible = make_flexible(model, SHAPES, (SIDE, SIDE))
    small, large = pictures(SIDE, SIDE), pictures(48, 64)
    assert np.allclose(flexible(small), model(small), rtol=0, atol=1e-6)
    # By hand: the mean or the maximum over the whole map of 12 x 16, then the dense.
    body = keras.Model(flexible.inputs[0], flexible.layers[2].output)
    features = np.asarray(body(large))
    assert features.shape == (2, 16, 12, 6)
    pooled = (features.mean if kind[0] == "A" else features.max)(axis=(1, 2))
    kernel, bias = model.layers[-1].get_weights()
    logits = pooled @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(flexible(large), expected, rtol=0, atol=1e-6)


def test_pooling_that_leaves_the_border_out_is_refused_by_name(layers):
    pool = layers.AveragePooling2D(7, name="almost")
    model = network(layers, pool, layers.Flatten(), dense(layers))
    with pytest.raises(ConversionError, match=r"almost .* 7 x 7 of a map of 8 x 8"):
        make_flexible(model, SHAPES, (SIDE, SIDE))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("Flatten", {}), ("Reshape", {"target_shape": (8 * 8 * 6,)}), ("Permute", None)],
)
def test_a_layer_that_fits_one_size_is_refused_by_name(layers, name, arguments):
    given = {"dims": (2, 1, 3)} if arguments is None else arguments
    layer = getattr(layers, name)(**given, name="culprit")
    after = (layers.GlobalAveragePooling2D(),) if arguments is None else ()
    model = network(layers, layer, *after, dense(layers))
    with pytest.raises(ConversionError, match=f"culprit .{name}."):
        make_flexible(model, SHAPES, (SIDE, SIDE))


def test_equally_many_values_in_another_arrangement_are_refused_too(layers):
    # 16x64 pictures flatten to as many values as 32x32: it would answer, wrongly.
    model = network(layers, layers.Flatten(name="culprit"), dense(layers))
    with pytest.raises(ConversionError, match="culprit"):
        make_flexible(model, parse_shapes("32,16x64"), (SIDE, SIDE))


def test_a_map_of_answers_is_refused(layers):
    model = network(layers, layers.Conv2D(CLASSES, 1), layers.Softmax())
    with pytest.raises(ConversionError, match="one vector of probabilities"):
        make_flexible(model, SHAPES, (SIDE, SIDE))


def test_pictures_too_small_for_a_layer_are_refused_with_its_name(layers):
    conv = layers.Conv2D(4, 5, name="wide")
    model = network(layers, conv, layers.GlobalAveragePooling2D(), dense(layers))
    # 12 pixels leave a map of 3, narrower than the 5 of the last convolution.
    with pytest.raises(ConversionError, match="12x12 are too small: layer wide"):
        make_flexible(model, parse_shapes("12,32"), (SIDE, SIDE))


def test_models_inside_models_and_sequential_ones_are_walked_through(layers):
    import keras

    inner = keras.Sequential(
        [layers.Input((16, 16, 8)), layers.Conv2D(5, 3, padding="same")], name="inner"
    )
    outer = keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3)),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            inner,
            layers.BatchNormalization(),
            layers.GlobalMaxPooling2D(),
            dense(layers),
        ]
    )
    flexible = make_flexible(outer, SHAPES, (SIDE, SIDE))
    small = pictures(SIDE, SIDE)
    assert np.allclose(flexible(small), outer(small), rtol=0, atol=1e-6)
    assert flexible(pictures(48, 64)).shape == (2, CLASSES)


def test_squeeze_and_excite_is_taken(layers):
    import keras

    picture = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 3)(picture)
    weight = layers.Dense(8, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    x = layers.Multiply()([x, layers.Reshape((1, 1, 8))(weight)])
    model = keras.Model(picture, dense(layers)(layers.GlobalAveragePooling2D()(x)))
    flexible = make_flexible(model, SHAPES, (SIDE, SIDE))
    assert flexible(pictures(48, 64)).shape == (2, CLASSES)
