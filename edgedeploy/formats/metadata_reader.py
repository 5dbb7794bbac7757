"""Reads TensorFlow Lite Metadata, of this program's models and of others'.

Schema: metadata_schema.fbs 1.5.0; field numbers are its order of declaration.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.flatbuffer import Table, root_table
from edgedeploy.formats.labels import parse_labels
from edgedeploy.formats.tflite_layout import read_metadata_buffer
from edgedeploy.formats.zip_content import read_entry
from edgedeploy.formats.zip_reader import entries

IDENTIFIER = b"M001"
ENTRY_NAME = b"TFLITE_METADATA"
_TENSOR_AXIS_LABELS, _TENSOR_VALUE_LABELS = 2, 3
_NORMALIZATION_OPTIONS = 1
_LIMIT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMetadata:
    """What a model's metadata says.

    Attributes:
        name: What people call the model.
        description: One sentence.
        version: The model's version.
        author: Who made it.
        licence: Its licence.
        min_parser_version: Oldest reader that understands everything.
        labels: One for each output; empty when there is no label file.
        mean: Of the first input's normalisation; empty when it has none.
        std: As many as `mean`.
        input_range: Lowest and highest input value, or None.
        output_range: Lowest and highest score, or None.
        files: Names of the associated files.
    """

    name: str
    description: str
    version: str
    author: str
    licence: str
    min_parser_version: str
    labels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_range: tuple[float, float] | None
    output_range: tuple[float, float] | None
    files: tuple[str, ...]


def split_archive(model: bytes) -> tuple[bytes, bytes]:
    """Separate a model from the archive of associated files after it.

    Args:
        model: A .tflite file.

    Returns:
        The model, and the archive; empty when there is none.

    Raises:
        FormatError: If there is an archive but it is malformed.
    """
    # Only a file that ends with an end record without comment can be an archive; the
    # weights may well hold the same four bytes somewhere.
    if model[-22:-18] != b"PK\x05\x06" or model[-2:] != b"\0\0":
        return model, b""
    found = entries(model, allow_prefix=True)
    at = found[0].header_offset if found else len(model) - 22
    if at < 8:
        raise FormatError("the file begins with an archive, not with a model")
    return model[:at], model[at:]


def read(model: bytes) -> ModelMetadata | None:
    """Read a model's metadata.

    Args:
        model: A .tflite file.

    Returns:
        The metadata, or None when the model has none.

    Raises:
        FormatError: If the model, the metadata or its files are malformed.
    """
    content = read_metadata_buffer(model, ENTRY_NAME)
    if content is None:
        return None
    root = root_table(content, IDENTIFIER)
    subgraphs = root.tables(3)
    inputs = subgraphs[0].tables(2) if subgraphs else ()
    outputs = subgraphs[0].tables(3) if subgraphs else ()
    mean, std = _normalization(inputs[0]) if inputs else ((), ())
    files = _associated_files(model)
    return ModelMetadata(
        name=root.text(0),
        description=root.text(1),
        version=root.text(2),
        author=root.text(4),
        licence=root.text(5),
        min_parser_version=root.text(7),
        labels=_labels(outputs[0], files) if outputs else (),
        mean=mean,
        std=std,
        input_range=_range(inputs[0]) if inputs else None,
        output_range=_range(outputs[0]) if outputs else None,
        files=tuple(files),
    )


def _normalization(
    tensor: Table,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for unit in tensor.tables(4):
        options = unit.table(1)
        if unit.number(0, "<B") == _NORMALIZATION_OPTIONS and options:
            return options.floats(0), options.floats(1)
    return (), ()


def _range(tensor: Table) -> tuple[float, float] | None:
    stats = tensor.table(5)
    if stats is None:
        return None
    highs, lows = stats.floats(0), stats.floats(1)
    return (min(lows), max(highs)) if lows and highs else None


def _associated_files(model: bytes) -> dict[str, bytes]:
    _, archive = split_archive(model)
    if not archive:
        return {}
    return {
        entry.name: read_entry(model, entry, limit_bytes=_LIMIT_BYTES)
        for entry in entries(model, allow_prefix=True)
    }


def _labels(tensor: Table, files: dict[str, bytes]) -> tuple[str, ...]:
    for item in tensor.tables(6):
        if item.number(2, "<B") not in {_TENSOR_AXIS_LABELS, _TENSOR_VALUE_LABELS}:
            continue
        name = item.text(0)
        if name not in files:
            raise FormatError(
                f"the metadata names the label file {name!r}, which the model lacks"
            )
        try:
            return parse_labels(files[name], name)
        except InputError as error:
            raise FormatError(f"label file inside the model: {error}") from error
    return ()
