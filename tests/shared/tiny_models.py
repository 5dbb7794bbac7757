"""Tiny seeded classifiers, converted once a session."""

import functools
import hashlib
from pathlib import Path

import numpy as np
from kept import kept_folder, made_once

SIDE = 32
CLASSES = 7
RECIPES = ("float32", "dynamic_int8", "int8")


@functools.cache
def tiny_models(*, batches: bool = False) -> dict[str, Path]:
    """Convert a small conv net: float32, dynamic range, and int8 with uint8 I/O.

    With `batches` it takes any number of pictures at once; otherwise Flatten fixes it.
    """
    name = "batch-models" if batches else "tiny-models"
    folder = made_once(name, functools.partial(_convert_all, batches=batches))
    return {recipe: folder / f"{recipe}.tflite" for recipe in RECIPES}


def _convert_all(folder: Path, *, batches: bool) -> None:
    import tensorflow as tf

    network = _network(tf, batches)
    rng = np.random.default_rng(3)

    def pictures():
        for _ in range(32):
            # Smooth pictures of different colours, so that the answers differ.
            small = rng.random((1, 4, 4, 3), np.float32)
            yield [np.asarray(tf.image.resize(small, (SIDE, SIDE)), np.float32)]

    def convert(recipe):
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        if recipe != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if recipe == "int8":
            converter.representative_dataset = pictures
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.uint8
        (folder / f"{recipe}.tflite").write_bytes(converter.convert())

    for recipe in RECIPES:
        convert(recipe)


def _network(tf, batches):
    layers = tf.keras.layers

    def seeded(scale, seed):
        return tf.keras.initializers.RandomNormal(0.0, scale, seed=seed)

    return tf.keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3), batch_size=1),
            layers.Conv2D(
                16, 5, strides=2, activation="relu", kernel_initializer=seeded(0.3, 1)
            ),
            layers.Conv2D(
                32, 3, strides=2, activation="relu", kernel_initializer=seeded(0.2, 2)
            ),
            *(
                [layers.GlobalAveragePooling2D()]
                if batches
                else [layers.AveragePooling2D(3), layers.Flatten()]
            ),
            layers.Dense(
                CLASSES, activation="softmax", kernel_initializer=seeded(0.5, 3)
            ),
        ]
    )


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Converted:
    """What packaging needs to know of a converted model."""

    def __init__(self, recipe: str, path: Path) -> None:
        self.recipe, self.path, self.sha256 = recipe, path, sha256(path)


def tiny_spec(**changes):
    """A model specification for the tiny classifiers."""
    from edgedeploy.ondevice.contract import ImagePipeline
    from edgedeploy.specs import FileSource, Licence, ModelSpec

    values = {
        "name": "tiny",
        "title": "Tiny",
        "weights": "seeded",
        "summary": "seven classes that mean nothing",
        "architecture": "tiny",
        "layout": "none",
        "source": FileSource(path="nowhere"),
        "labels": tuple(f"class {n}" for n in range(CLASSES)),
        "label_set": "tiny",
        "pipeline": ImagePipeline(width=SIDE, height=SIDE, crop_fraction=0.9),
        "licence": Licence(
            spdx="CC0-1.0",
            holder="nobody",
            notice="Seeded weights.",
            text="Public domain.\n",
            homepage="none",
        ),
    }
    return ModelSpec(**{**values, **changes})


def draw_pictures(folder: Path) -> list[Path]:
    """Draw smooth pictures of different shapes and colours."""
    from PIL import Image

    rng = np.random.default_rng(11)
    paths = []
    for number, size in enumerate([(400, 300), (240, 360), (64, 64)]):
        small = rng.integers(0, 256, (4, 5, 3), np.uint8)
        path = folder / f"{number}.png"
        Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)
        paths.append(path)
    return paths


def build_tiny_payload(models: dict[str, Path], **changes):
    """Build the payload of the tiny classifiers."""
    from edgedeploy.targets.payload import build_payload

    folder = kept_folder("pictures")
    arguments = {
        "default": "int8",
        "facts": {"edgedeploy": "test"},
        "pictures": draw_pictures(folder),
    }
    variants = [Converted(recipe, path) for recipe, path in models.items()]
    return build_payload(tiny_spec(), variants, **{**arguments, **changes})


def unpack(payload, folder: Path) -> Path:
    """Write a payload's files to a folder."""
    for name, source in payload.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source if isinstance(source, bytes) else source.read_bytes())
    return folder
