"""Tiny seeded networks that take many sizes, and their conversions."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from kept import made_once

SIDE, CLASSES = 32, 5


def fully_convolutional():
    """Convolutions alone, then global pooling: no dense layer anywhere."""
    import keras

    keras.utils.set_random_seed(11)
    layers = keras.layers
    picture = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(picture)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(16, 3, activation="relu")(x)
    x = layers.Conv2D(CLASSES, 1, name="map")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(picture, layers.Softmax(name="probabilities")(x))
    # Untrained answers hardly differ; these do.
    model.get_layer("map").kernel.assign(model.get_layer("map").kernel * 40)
    return model


def pooled_and_flattened():
    """As the content-safety network ends: fixed pooling over the map, Flatten."""
    import keras

    keras.utils.set_random_seed(12)
    layers = keras.layers
    picture = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(picture)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu")(x)
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    x = layers.Dense(16, activation="relu")(x)
    return keras.Model(picture, layers.Dense(CLASSES, activation="softmax")(x))


NETWORKS = {"convolutional": fully_convolutional, "pooled": pooled_and_flattened}


# What the tests want: network, recipe, shapes ("" for one size), width and height of
# the pipeline. All are made by one process, since TensorFlow takes long to start.
LIST = "32x32,40x48,64x32"
JOBS = (
    *(
        (network, recipe, LIST, SIDE, SIDE)
        for network in NETWORKS
        for recipe in ("float32", "int8")
    ),
    ("pooled", "float32", "", SIDE, SIDE),
    ("convolutional", "int8", LIST, 64, 32),
    ("convolutional", "int8", "", 64, 32),
    ("convolutional", "float32", "", 64, 32),
)


@functools.cache
def folder() -> Path:
    """Where the conversions of this run are; where they failed, none are."""
    return made_once("flexible", _convert_all)


def _convert_all(made: Path) -> None:
    done = subprocess.run(
        [sys.executable, __file__, str(made)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    if done.returncode:
        (made / "why").write_text(done.stderr[-2000:])


def converted(network, recipe, shapes, width=SIDE, height=SIDE) -> Path:
    """One of the conversions of `JOBS`."""
    why = folder() / "why"
    assert not why.exists(), why.read_text()
    return folder() / _name(network, recipe, shapes, width, height)


def _name(network, recipe, shapes, width, height) -> str:
    number = JOBS.index((network, recipe, shapes, width, height))
    return f"{number:02}.tflite"


def _write_pictures(target: Path) -> list[str]:
    from PIL import Image

    rng = np.random.default_rng(4)
    for number in range(16):
        small = rng.integers(0, 256, (4, 5, 3), np.uint8)
        picture = Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC)
        picture.save(target / f"{number:02}.png")
    return [str(path) for path in sorted(target.glob("*.png"))]


def main(target: Path) -> None:
    """Convert all jobs by the program's own converter."""
    import tensorflow as tf

    from edgedeploy.ondevice.contract import ImagePipeline
    from edgedeploy.ondevice.shapes import parse_shapes
    from edgedeploy.quantize.converter import convert_variant

    # As the converter wants it, and possible only before TensorFlow does anything.
    tf.config.threading.set_inter_op_parallelism_threads(1)
    calibration = _write_pictures(target)
    _write_odd_networks(target)
    for network, build in NETWORKS.items():
        build().save(target / f"{network}.keras")
    for job in JOBS:
        network, recipe, shapes, width, height = job
        normal = (127.5,) * 3
        pipeline = ImagePipeline(width=width, height=height, mean=normal, std=normal)
        source = target / f"{network}.keras"
        if not shapes and (width, height) != (SIDE, SIDE):
            source = _rebuilt(network, width, height, target)
        convert_variant(
            progress=lambda done, total: None,
            architecture="keras_file",
            layout="keras",
            weights=str(source),
            recipe=recipe,
            pipeline=pipeline.to_dict(),
            calibration=calibration,
            out=str(target / _name(*job)),
            shapes=parse_shapes(shapes).to_dict() if shapes else None,
        )


def _write_odd_networks(target: Path) -> None:
    """Write one that looks at 24 columns alone, and one with a kernel of 9 x 9."""
    import tensorflow as tf

    kernel = tf.ones((9, 9, 3, 4))
    bias = tf.constant([900.0, 0.0, 0.0])
    functions = {
        "cropping": lambda x: tf.nn.softmax(tf.reduce_mean(x[:, :, :24], [1, 2])),
        "sure": lambda x: tf.nn.softmax(
            tf.reduce_mean(x * 5000.0, [1, 2]) + bias * tf.reduce_max(tf.abs(x))
        ),
        "wide": lambda x: tf.reduce_mean(
            tf.nn.conv2d(x, kernel, 1, "VALID"), axis=[1, 2]
        ),
    }
    signature = [tf.TensorSpec((1, None, None, 3), tf.float32)]
    for name, function in functions.items():
        graph = tf.function(function, input_signature=signature)
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [graph.get_concrete_function()]
        )
        (target / f"{name}.tflite").write_bytes(converter.convert())


def _rebuilt(network: str, width: int, height: int, target: Path) -> Path:
    """Save a network for another size by Keras' own means, not by the program's."""
    import keras

    model = NETWORKS[network]()
    picture = keras.Input((height, width, 3), name="image")
    fixed = keras.models.clone_model(model, input_tensors=picture)
    fixed.set_weights(model.get_weights())
    path = target / f"{network}-{width}x{height}.keras"
    fixed.save(path)
    return path


if __name__ == "__main__":
    main(Path(sys.argv[1]))
