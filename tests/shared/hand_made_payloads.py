"""A payload of a hand-made model, without TensorFlow, and what packages it."""

import functools
import hashlib
from pathlib import Path

import numpy as np
from hand_made_models import CLASSES, make_model, serialise
from kept import kept_folder
from tiny_models import Converted, draw_pictures, tiny_spec

LABELS = ("red", "green", "blue", "grey")


def described_model(labels=LABELS, *, custom=None, mean=127.5, std=127.5, pad=0):
    """A float model that runs, with TFLite Metadata.

    Args:
        labels: What the metadata says; None for a model without metadata.
        custom: Name of an operator that LiteRT does not bring.
        mean: Of the metadata's normalisation.
        std: Of the metadata's normalisation.
        pad: Zeros in a buffer of their own, which any ZIP program compresses.
    """
    from edgedeploy.formats.metadata import embed

    weights = np.zeros((CLASSES, 12), np.float32)
    for colour in range(3):
        # Each of the four pixels has one value a colour.
        weights[colour, colour::3] = 0.25
    model = make_model(weights=weights, custom=custom)
    model.subgraphs[0].tensors[0].shapeSignature = None
    if pad:
        model.buffers.append(type(model.buffers[0])())
        model.buffers[-1].data = np.zeros(pad, np.uint8)
    data = serialise(model)
    if labels is None:
        return data
    return embed(
        data,
        name="Colours",
        description="Names the dominant colour.",
        version="1",
        author="The edgedeploy authors",
        licence="CC0-1.0",
        labels=labels,
        mean=(mean,),
        std=(std,),
    )


@functools.cache
def hand_made_payload(name="colours", labels=LABELS):
    """The payload of the hand-made model, golden vectors included."""
    from edgedeploy.ondevice.contract import ImagePipeline
    from edgedeploy.targets.payload import build_payload

    folder = kept_folder("hand-made")
    model = folder / "float32.tflite"
    model.write_bytes(described_model(labels))
    spec = tiny_spec(
        name=name,
        title="Colours",
        labels=labels,
        label_set="colours",
        pipeline=ImagePipeline(width=2, height=2),
    )
    return build_payload(
        spec,
        [Converted("float32", model)],
        default="float32",
        facts={"edgedeploy": "test"},
        pictures=draw_pictures(folder),
    )


@functools.cache
def debug_key():
    """A signing key, made once."""
    from edgedeploy.targets.android.keystore import load_debug_key

    return load_debug_key(kept_folder("keys"))


def make_request(*payloads, **changes):
    """What is needed to package the hand-made model."""
    from edgedeploy.targets.android.request import PackageRequest

    values = {
        "name": "colours",
        "title": "Colours",
        "package": "org.example.colours",
        "version_code": 7,
        "version_name": "1.2",
        "payloads": payloads or (hand_made_payload(),),
        "key": debug_key(),
    }
    return PackageRequest(**{**values, **changes})


def digests(folder: Path):
    """SHA-256 of every file below a folder, by its name there."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
