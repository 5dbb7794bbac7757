"""One network in the files that users have: it names the dominant colour of a picture.

Its weights are worked out by hand, as those of `tiny_project`, so every answer is
known beforehand; its input is 40 pixels wide and 24 high, unlike any other here.
"""

from kept import made_once

WIDTH, HEIGHT = 40, 24


def colour_networks():
    """Folder with wide.keras, wide.h5, wide_export, logits, plain, int8 .tflite files.

    wide takes 0..255, the others -1..1; logits lacks the softmax, sigmoid has another;
    float_ends.tflite is wide with 8-bit insides and a padded convolution.
    """
    return made_once("colour-networks", write_all)


def build(*, rescaled, activation, padding="valid"):
    import keras
    import numpy as np

    layers = keras.layers
    image = keras.Input((HEIGHT, WIDTH, 3), name="image")
    values = layers.Rescaling(1 / 127.5, offset=-1)(image) if rescaled else image
    convolution = layers.Conv2D(48, 3, strides=2, padding=padding, activation="relu")
    values = convolution(values)
    values = layers.GlobalAveragePooling2D()(values)
    dense = layers.Dense(4, activation=activation)
    model = keras.Model(image, dense(values))
    random = np.random.default_rng(1)
    kernel = random.normal(0, 0.01, (3, 3, 3, 48))
    kernel[..., :3] = 0
    for colour in range(3):
        kernel[:, :, colour, colour] = 1 / 9
    # One is added, since what is below zero would be lost.
    convolution.set_weights([kernel, np.ones(48)])
    weights = np.zeros((48, 4))
    weights[:3, :3] = -6
    np.fill_diagonal(weights[:3, :3], 12)
    dense.set_weights([weights, np.array([0, 0, 0, 3.0])])
    return model


def write_all(folder):
    import keras
    import numpy as np
    import tensorflow as tf

    wide = build(rescaled=True, activation="softmax")
    wide.save(folder / "wide.keras")
    wide.save(folder / "wide.h5")
    wide.export(folder / "wide_export", verbose=False)
    for name, activation in (
        ("plain", "softmax"), ("logits", None), ("sigmoid", "sigmoid")
    ):  # fmt: skip
        model = build(rescaled=False, activation=activation)
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        (folder / f"{name}.tflite").write_bytes(converter.convert())
    model = build(rescaled=False, activation="softmax")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    random = np.random.default_rng(2)
    shape = (1, HEIGHT, WIDTH, 3)
    converter.representative_dataset = lambda: (
        [random.uniform(-1, 1, shape).astype(np.float32)] for _ in range(30)
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (folder / "int8.tflite").write_bytes(converter.convert())
    # Padded with zeros, so that the converter cannot fold the rescaling in.
    model = build(rescaled=True, activation="softmax", padding="same")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.representative_dataset = lambda: (
        [random.uniform(0, 255, shape).astype(np.float32)] for _ in range(8)
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    (folder / "float_ends.tflite").write_bytes(converter.convert())
    keras.Model(wide.input, [wide.output, wide.output]).save(folder / "two.keras")
