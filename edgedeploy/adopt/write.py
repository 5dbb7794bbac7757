"""The first TOML of a user's own model."""

from __future__ import annotations

import json
from dataclasses import dataclass

from edgedeploy.adopt.found import Found, Triple
from edgedeploy.specs import PICTURE

_OF_CLASSES = (
    "# What the network was trained with. inv pipeline.detect checks it on labelled "
    "pictures."
)
_OF_PICTURES = (
    "# What the network was trained with. The picture that it gives is read with the "
    "same\n# mean and std: a pixel is the output * std + mean."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All that the TOML says.

    Attributes:
        name: The model's name.
        file: The model's file, relative to the TOML.
        architecture: How it is read.
        found: What the file says.
        labels: The label file, relative to the TOML.
        licence: The licence's text, relative to the TOML.
        mean: Of the normalisation, on 0..255.
        std: The same.
        reason: How they are known, or that they are assumed.
    """

    name: str
    file: str
    architecture: str
    found: Found
    labels: str
    licence: str
    mean: Triple
    std: Triple
    reason: str


def write_toml(draft: Draft) -> str:
    """Write a model's TOML, each guess marked as one.

    Args:
        draft: What it says.

    Returns:
        The file's text.
    """
    found = draft.found
    given = found.outputs == PICTURE
    classes = f"""
labels = {_text(draft.labels)}
label_set = "label\""""
    title = draft.name.replace("_", " ").replace("-", " ").capitalize()
    return f"""\
schema = 1
name = {_text(draft.name)}
title = {_text(title)}
architecture = {_text(draft.architecture)}

[[weights]]
name = "own"
summary = {_text("a picture" if given else f"{found.classes} classes")}
layout = {_text(found.layout)}
outputs = {_text(found.outputs)}{"" if given else classes}

[weights.source]
kind = "file"
path = {_text(draft.file)}

{_OF_PICTURES if given else _OF_CLASSES}
[weights.pipeline]
width = {found.width}
height = {found.height}
# Assumed: no file says how the pictures were cropped and resized.
crop = "center_square"
order = "crop_then_resize"
kernel = "bilinear"
channels = "rgb"
# {draft.reason}.
mean = {_numbers(draft.mean)}
std = {_numbers(draft.std)}

# Assumed: replace it, and the text, by your model's licence. They are shipped.
[weights.licence]
spdx = "LicenseRef-Own"
holder = "The owner of the model"
notice = {_text(f"{title}: all rights reserved by its owner.")}
text = {_text(draft.licence)}
homepage = "unknown"
"""


def _text(value: str) -> str:
    # TOML's basic strings take JSON's escapes.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _numbers(values: Triple) -> str:
    return f"[{', '.join(repr(float(value)) for value in values)}]"
