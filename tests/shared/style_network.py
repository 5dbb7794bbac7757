"""A small network whose output is a picture, trained here from the shipped samples.

It learns to do what a filter does: a print in two inks, darker along edges. 300 steps
on crops of 48 pixels, some seconds; the network takes and gives 0..1.
"""

import subprocess
import sys
from pathlib import Path

from kept import made_once

SIDE = 64
_CROP, _STEPS, _BATCH = 48, 300, 8


def style_network():
    """Folder with style.keras, style.tflite and bytes.tflite, whose ends are uint8."""

    def make(folder):
        subprocess.run(
            [sys.executable, __file__, str(folder)],
            check=True,
            capture_output=True,
            timeout=300,
        )

    return made_once("style-network", make)


def filtered(pictures):
    """What the network shall learn: shape (count, height, width, 3), 0..1."""
    import numpy as np

    grey = pictures @ np.array([0.3, 0.59, 0.11], np.float32)
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    ink = np.clip(1.4 * grey - 3 * (np.abs(across) + np.abs(down)), 0, 1)[..., None]
    dark, light = np.array([0.1, 0.15, 0.4]), np.array([1.0, 0.9, 0.7])
    return np.asarray(dark + ink * (light - dark), np.float32)


def train_all(folder, samples):
    import keras
    import numpy as np
    import tensorflow as tf
    from PIL import Image

    keras.utils.set_random_seed(1)
    layers = keras.layers
    image = keras.Input((None, None, 3), name="image")
    values = image
    for width in (16, 16):
        values = layers.Conv2D(width, 3, padding="same", activation="relu")(values)
    values = layers.Conv2D(3, 3, padding="same", activation="sigmoid")(values)
    model = keras.Model(image, values)
    model.compile(keras.optimizers.Adam(0.005), "mse")
    paths = sorted(path for path in samples.iterdir() if path.suffix != ".csv")
    whole = [Image.open(path).convert("RGB").resize((160, 160)) for path in paths]
    photos = np.stack([np.asarray(one, np.float32) / 255 for one in whole])
    random = np.random.default_rng(1)
    for _ in range(_STEPS):
        which = random.integers(0, len(photos), _BATCH)
        x, y = random.integers(0, 160 - _CROP, 2)
        crops = photos[which, y : y + _CROP, x : x + _CROP]
        model.train_on_batch(crops, filtered(crops))
    fixed = keras.Input((SIDE, SIDE, 3), name="image")
    whole_model = keras.Model(fixed, model(fixed))
    whole_model.save(folder / "style.keras")
    converter = tf.lite.TFLiteConverter.from_keras_model(whole_model)
    (folder / "style.tflite").write_bytes(converter.convert())
    pixels = keras.Input((SIDE, SIDE, 3), name="image", dtype="uint8")
    scaled = keras.ops.cast(pixels, "float32") / 255.0
    given = keras.ops.cast(keras.ops.round(255.0 * model(scaled)), "uint8")
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(pixels, given))
    (folder / "bytes.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[2]
    train_all(Path(sys.argv[1]), root / "models" / "samples" / "calibration")
