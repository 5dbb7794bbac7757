"""Small Keras models, one for each rule and some whole networks."""

import numpy as np


def labels(rows, classes, seed=0):
    picks = np.random.default_rng(seed).integers(0, classes, rows)
    return np.eye(classes, dtype=np.float32)[picks]


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def around(*layers, shape=(9, 8, 3), first=True):
    """Put layers behind a learnt convolution, whose gradient they pass on."""
    from keras import Input, Sequential
    from keras.layers import Conv2D, Dense, Flatten

    start = [Conv2D(4, 3, padding="same")] if first else []
    end = [Flatten(), Dense(5, activation="softmax")]
    return Sequential([Input(shape), *start, *layers, *end])


def lenet(classes=10):
    from keras import Input, Sequential
    from keras.layers import Conv2D, Dense, Flatten, MaxPooling2D

    return Sequential(
        [
            Input((28, 28, 1)),
            Conv2D(32, 3, activation="relu"),
            MaxPooling2D(),
            Conv2D(32, 2, activation="relu"),
            MaxPooling2D(),
            Flatten(),
            Dense(500, activation="relu"),
            Dense(classes, activation="softmax"),
        ]
    )


def mobile(classes=6):
    """Write a user's own CNN: batch normalisation, depthwise layers, a shortcut."""
    from keras import Input, Model, layers

    x = start = Input((20, 18, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = shortcut = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.Conv2D(8, 1)(x)
    x = layers.Add()([x, shortcut])
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return Model(start, layers.Dense(classes, activation="softmax")(x))


def branched(classes=4):
    """Pool before convolving, and join two branches."""
    from keras import Input, Model, layers

    start = Input((15, 13, 2))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(start)
    left = layers.Conv2D(5, (1, 5), padding="same", activation="tanh")(x)
    right = layers.Conv2D(7, 3, strides=1, padding="same", activation="sigmoid")(x)
    x = layers.Concatenate()([left, right])
    x = layers.AveragePooling2D(2)(x)
    x = layers.Conv2D(6, 2, padding="valid")(x)
    x = layers.MaxPooling2D((2, 1), strides=1)(x)
    x = layers.Flatten()(x)
    return Model(start, layers.Dense(classes, activation="softmax")(x))


def relu_after_pool(classes=5):
    """Order convolution, pool and activation in a way of its own; odd sizes."""
    from keras import Input, Sequential, layers

    return Sequential(
        [
            Input((19, 17, 1)),
            layers.Conv2D(6, 5, padding="same", strides=1),
            layers.MaxPooling2D(),
            layers.Activation("relu"),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            layers.MaxPooling2D(),
            layers.Reshape((-1,)),
            layers.Dense(12, activation="tanh"),
            layers.Dense(classes, activation="softmax"),
        ]
    )
