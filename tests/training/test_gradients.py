"""Every rule against tf.GradientTape, alone and in whole networks."""

import numpy as np
import pytest

# Each takes keras.layers, which is slow to import and so is not, up here.
LAYERS = {
    "conv_1x1": lambda k: [k.Conv2D(5, 1)],
    "conv_even_kernel": lambda k: [k.Conv2D(5, (2, 4))],
    "conv_same": lambda k: [k.Conv2D(5, 3, padding="same")],
    "conv_stride_2_same": lambda k: [k.Conv2D(5, 3, strides=2, padding="same")],
    "conv_stride_2_valid": lambda k: [k.Conv2D(5, 3, strides=2)],
    "conv_stride_beyond_kernel": lambda k: [k.Conv2D(5, 2, strides=3)],
    "conv_uneven_strides": lambda k: [k.Conv2D(5, 3, strides=(2, 1))],
    "conv_no_bias": lambda k: [k.Conv2D(5, 3, use_bias=False)],
    "depthwise": lambda k: [k.DepthwiseConv2D(3)],
    "depthwise_stride_2_same": lambda k: [
        k.DepthwiseConv2D(3, strides=2, padding="same")
    ],
    "depthwise_multiplier": lambda k: [k.DepthwiseConv2D(2, depth_multiplier=3)],
    "max_pool": lambda k: [k.MaxPooling2D()],
    "max_pool_overlapping": lambda k: [k.MaxPooling2D(3, strides=2)],
    "max_pool_same": lambda k: [k.MaxPooling2D(3, strides=2, padding="same")],
    "max_pool_uneven": lambda k: [k.MaxPooling2D((3, 2), strides=(1, 2))],
    "average_pool": lambda k: [k.AveragePooling2D(2)],
    "average_pool_same": lambda k: [k.AveragePooling2D(3, strides=2, padding="same")],
    "global_average": lambda k: [k.GlobalAveragePooling2D()],
    "global_average_keepdims": lambda k: [k.GlobalAveragePooling2D(keepdims=True)],
    "relu": lambda k: [k.ReLU()],
    "relu6": lambda k: [k.Rescaling(9.0), k.ReLU(6.0)],
    "sigmoid": lambda k: [k.Activation("sigmoid")],
    "tanh": lambda k: [k.Activation("tanh")],
    "softmax": lambda k: [k.Softmax()],
    "batch_norm": lambda k: [
        k.ReLU(),
        k.Conv2D(5, 3, use_bias=False),
        k.BatchNormalization(),
    ],
    "batch_norm_bare": lambda k: [
        k.ReLU(),
        k.Conv2D(5, 3, use_bias=False),
        k.BatchNormalization(center=False, scale=False),
    ],
    "batch_norm_frozen": lambda k: [k.BatchNormalization(trainable=False)],
    "zero_padding": lambda k: [k.ZeroPadding2D(((1, 2), (0, 3)))],
    "reshape": lambda k: [k.Reshape((8, 9, 4))],
    "dense_on_pixels": lambda k: [k.Dense(6, activation="relu")],
    "conv_then_pool": lambda k: [k.Conv2D(5, 2), k.MaxPooling2D()],
    "conv_relu_pool_odd": lambda k: [
        k.Conv2D(5, 3, padding="same", activation="relu"),
        k.MaxPooling2D(),
    ],
}


def _layers(name):
    from keras import layers

    return LAYERS[name](layers)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_gradients_of_a_layer_are_tensorflows(nets, gradients, name):
    model = nets.around(*_layers(name))
    gradients.compare(model, nets.numbers((6, 9, 8, 3)), nets.labels(6, 5))


@pytest.mark.parametrize("name", ["lenet", "mobile", "branched", "relu_after_pool"])
def test_gradients_of_a_network_are_tensorflows(nets, gradients, name):
    model = getattr(nets, name)()
    classes = model.output_shape[-1]
    x = nets.numbers((12, *model.input_shape[1:]))
    gradients.compare(model, x, nets.labels(12, classes))


@pytest.mark.parametrize("name", ["max_pool", "max_pool_same", "conv_relu_pool_odd"])
def test_of_equal_values_the_same_one_gets_the_gradient(nets, gradients, name):
    # Few whole numbers make ties in nearly every window.
    model = nets.around(*_layers(name), first=False)
    for layer in model.layers:
        if layer.name.startswith("conv"):
            kernel = np.round(nets.numbers(layer.kernel.shape))
            layer.set_weights([kernel, np.zeros(layer.bias.shape)])
    if name != "conv_relu_pool_odd":
        from keras import Sequential, layers

        same = layers.Conv2D(3, 1)
        model = Sequential([model.inputs[0], same, *model.layers])
        same.set_weights([np.eye(3).reshape(1, 1, 3, 3), np.zeros(3)])
    x = np.random.default_rng(3).integers(0, 2, (6, 9, 8, 3)).astype(np.float32)
    gradients.compare(model, x, nets.labels(6, 5))


def test_gradients_of_mean_squared_error_are_tensorflows(nets, gradients):
    from keras import Input, Sequential, layers

    model = Sequential(
        [Input((7, 7, 2)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)]
    )
    gradients.compare(model, nets.numbers((5, 7, 7, 2)), nets.numbers((5, 3)), "mse")


def test_only_the_last_layers_learn_when_asked(nets, gradients):
    model = nets.lenet()
    x, y = nets.numbers((4, 28, 28, 1)), nets.labels(4, 10)
    _, ours = gradients.exported_gradients(model, x, y, trainable_last=2)
    _, theirs = gradients.tape_gradients(model, x, y)
    assert len(ours) == 4
    for name, gradient in ours.items():
        assert gradients.relative_error(gradient, theirs[name]) < 1e-5


def test_a_shared_layer_gets_the_sum_of_its_gradients(nets, gradients):
    from keras import Input, Model, layers

    shared = layers.Conv2D(3, 3, padding="same", activation="tanh")
    start = Input((6, 6, 3))
    x = layers.Flatten()(shared(shared(start)))
    model = Model(start, layers.Dense(4, activation="softmax")(x))
    gradients.compare(model, nets.numbers((5, 6, 6, 3)), nets.labels(5, 4))


def test_a_model_inside_a_model_is_unfolded(nets, gradients):
    from keras import Input, Sequential, layers

    inner = Sequential([Input((6, 6, 2)), layers.Conv2D(3, 3, activation="relu")])
    model = Sequential(
        [
            Input((6, 6, 2)),
            inner,
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    gradients.compare(model, nets.numbers((5, 6, 6, 2)), nets.labels(5, 4))


def test_rows_without_a_label_do_not_count(nets, gradients):
    for model in (nets.lenet(), nets.mobile()):
        classes = model.output_shape[-1]
        x = nets.numbers((8, *model.input_shape[1:]))
        y = nets.labels(8, classes)
        _, whole = gradients.exported_gradients(model, x[:5], y[:5])
        y[5:] = 0.0
        _, padded = gradients.exported_gradients(model, x, y)
        for name, gradient in whole.items():
            assert gradients.relative_error(padded[name], gradient) < 1e-5, name
