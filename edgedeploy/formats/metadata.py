"""Writes TensorFlow Lite Metadata: labels and normalisation inside the model file.

Schema: metadata_schema.fbs 1.5.0, identifier M001, kept in the model's metadata entry
TFLITE_METADATA; label files are members of a ZIP archive after the model. The reader
is in `edgedeploy.formats.metadata_reader` and shares no code with this writer.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.labels import disambiguate, format_labels
from edgedeploy.formats.metadata_reader import (
    ENTRY_NAME,
    IDENTIFIER,
    ModelMetadata,
    read,
    split_archive,
)
from edgedeploy.formats.tflite import TensorInfo, summarize
from edgedeploy.formats.tflite_layout import (
    align_buffers,
    put_metadata_front,
    remove_metadata_front,
)
from edgedeploy.formats.zip import ZipWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ModelMetadata", "embed", "read", "remove"]

LABELS_FILE = "labels.txt"
_MIN_PARSER_VERSION = "1.0.0"
# Enumerations of metadata_schema.fbs.
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2
_COLOR_SPACE_RGB = 1
_NORMALIZATION_OPTIONS = 1
_TENSOR_AXIS_LABELS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    name: str
    description: str
    version: str
    author: str
    licence: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_range: tuple[float, float]
    output_range: tuple[float, float]


def embed(
    model: bytes,
    *,
    name: str,
    description: str,
    version: str,
    author: str,
    licence: str,
    labels: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    input_range: tuple[float, float] | None = None,
    output_range: tuple[float, float] = (0.0, 1.0),
) -> bytes:
    """Put metadata into an image classifier, replacing what it had.

    The model's own bytes stay as they are, behind the metadata; a model whose weights
    are not 16-byte aligned is repacked first.

    Args:
        model: A .tflite file with one image input (uint8 or float) and one output of
            scores, each with a batch dimension.
        name: What people call the model.
        description: One sentence.
        version: The model's version.
        author: Who made it.
        licence: Its licence, as an SPDX expression or text.
        labels: One for each output, in order; duplicates are numbered.
        mean: Subtracted from RGB values on 0..255; one value, or one a channel.
        std: Divides the difference; as many as `mean`. Readers apply both for float
            inputs and skip them for uint8.
        input_range: Lowest and highest value of the input tensor; by default what the
            normalisation makes of 0..255, or 0..255 for uint8.
        output_range: Lowest and highest score, once dequantised.

    Returns:
        The model with metadata and label file; the same arguments give the same
        bytes, and embedding into the result again gives the result.

    Raises:
        InputError: If the number of labels is not the number of outputs, or another
            value makes no sense.
        FormatError: If the model is malformed or is no such classifier.
    """
    bare = remove(model)
    tensor, outputs = _check_classifier(bare)
    unique = disambiguate(labels)
    if len(unique) != outputs:
        raise InputError(
            f"the model has {outputs} outputs, but there are {len(unique)} labels; "
            "pass the label file that belongs to it"
        )
    means, stds = _check_normalization(mean, std)
    details = _Description(
        name=name,
        description=description,
        version=version,
        author=author,
        licence=licence,
        mean=means,
        std=stds,
        input_range=input_range or _natural_range(tensor, means, stds),
        output_range=output_range,
    )
    for low, high in (details.input_range, details.output_range):
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InputError(f"a range goes from low to high; received {low} to {high}")
    archive_member = format_labels(unique)
    fronted = put_metadata_front(align_buffers(bare), ENTRY_NAME, _encode(details))
    stream = io.BytesIO()
    stream.write(fronted)
    archive = ZipWriter(stream)
    archive.add(LABELS_FILE, archive_member, stored=True)
    archive.finish()
    return stream.getvalue()


def remove(model: bytes) -> bytes:
    """Take metadata and associated files out of a model.

    Args:
        model: A .tflite file.

    Returns:
        The bytes before `embed` (aligned, if they were not). Metadata that another
        tool packed into the model stays unused inside until `embed` replaces it; its
        associated files go.

    Raises:
        FormatError: If the model or the archive after it is malformed.
    """
    without_files, _ = split_archive(model)
    return remove_metadata_front(without_files)


def _check_classifier(model: bytes) -> tuple[TensorInfo, int]:
    summary = summarize(model)
    if len(summary.inputs) != 1 or len(summary.outputs) != 1:
        raise FormatError(
            f"expected an image classifier with one input and one output; the model "
            f"has {len(summary.inputs)} and {len(summary.outputs)}"
        )
    tensor = summary.inputs[0]
    if len(tensor.shape) != 4 or tensor.dtype not in {"uint8", "float32"}:
        raise FormatError(
            "expected a uint8 or float32 input of shape (batch, height, width, 3); "
            f"the model takes {tensor.dtype} {tensor.shape}"
        )
    shape = summary.outputs[0].shape
    if len(shape) < 2 or shape[-1] < 1:
        raise FormatError(f"expected an output (batch, classes); it is {shape}")
    return tensor, shape[-1]


def _check_normalization(
    mean: Sequence[float], std: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    means, stds = tuple(map(float, mean)), tuple(map(float, std))
    if len(means) != len(stds) or len(means) not in {1, 3}:
        raise InputError(
            "mean and std need one value, or one for each of three channels; "
            f"received {len(means)} and {len(stds)}"
        )
    if not all(map(math.isfinite, means + stds)) or min(stds) <= 0:
        raise InputError(f"mean {means} and std {stds} must be finite, std above 0")
    return means, stds


def _natural_range(
    tensor: TensorInfo, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[float, float]:
    if tensor.dtype == "uint8":
        return 0.0, 255.0
    lows = [(0.0 - m) / s for m, s in zip(mean, std, strict=True)]
    highs = [(255.0 - m) / s for m, s in zip(mean, std, strict=True)]
    return min(lows), max(highs)


def _encode(details: _Description) -> bytes:
    import flatbuffers

    writer = _TableWriter(flatbuffers.Builder(1024))
    subgraph = writer.table(
        10,
        {
            2: writer.vector([_encode_input(writer, details)]),
            3: writer.vector([_encode_output(writer, details)]),
        },
    )
    text = writer.text
    root = writer.table(
        8,
        {
            0: text(details.name),
            1: text(details.description),
            2: text(details.version),
            3: writer.vector([subgraph]),
            4: text(details.author),
            5: text(details.licence),
            7: text(_MIN_PARSER_VERSION),
        },
    )
    return writer.finish(root)


def _encode_input(writer: _TableWriter, details: _Description) -> int:
    image = writer.table(2, {}, {0: _COLOR_SPACE_RGB})
    content = writer.table(3, {1: image}, {0: _IMAGE_PROPERTIES})
    options = writer.table(
        2, {0: writer.floats(details.mean), 1: writer.floats(details.std)}
    )
    unit = writer.table(2, {1: options}, {0: _NORMALIZATION_OPTIONS})
    return writer.table(
        7,
        {
            0: writer.text("image"),
            1: writer.text("Input image to be classified."),
            3: content,
            4: writer.vector([unit]),
            5: _encode_range(writer, details.input_range),
        },
    )


def _encode_output(writer: _TableWriter, details: _Description) -> int:
    label_file = writer.table(
        5,
        {
            0: writer.text(LABELS_FILE),
            1: writer.text("One label a line, in the order of the outputs."),
        },
        {2: _TENSOR_AXIS_LABELS},
    )
    content = writer.table(3, {1: writer.table(0, {})}, {0: _FEATURE_PROPERTIES})
    return writer.table(
        7,
        {
            0: writer.text("probability"),
            1: writer.text("Score of each label."),
            3: content,
            5: _encode_range(writer, details.output_range),
            6: writer.vector([label_file]),
        },
    )


def _encode_range(writer: _TableWriter, limits: tuple[float, float]) -> int:
    low, high = limits
    # Stats has max before min.
    return writer.table(2, {0: writer.floats([high]), 1: writer.floats([low])})


class _TableWriter:
    """Writes tables by slot number; children are written before their parents."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def text(self, value: str) -> int:
        try:
            offset: int = self._builder.CreateString(value)
        except UnicodeEncodeError as error:
            raise InputError(f"{value!r} is not valid Unicode") from error
        return offset

    def vector(self, offsets: Sequence[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        end: int = self._builder.EndVector()
        return end

    def floats(self, values: Sequence[float]) -> int:
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self._builder.PrependFloat32(value)
        end: int = self._builder.EndVector()
        return end

    def table(
        self, slots: int, offsets: dict[int, int], small: dict[int, int] | None = None
    ) -> int:
        self._builder.StartObject(slots)
        for slot, offset in offsets.items():
            self._builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        for slot, value in (small or {}).items():
            self._builder.PrependUint8Slot(slot, value, 0)
        end: int = self._builder.EndObject()
        return end

    def finish(self, root: int) -> bytes:
        self._builder.Finish(root, IDENTIFIER)
        return bytes(self._builder.Output())
