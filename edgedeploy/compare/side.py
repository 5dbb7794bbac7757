"""One side of a comparison: a build's folder, or a single .tflite file."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import FormatError, InputError, WorkspaceError
from edgedeploy.formats.metadata_reader import read as read_metadata
from edgedeploy.formats.operator_versions import newest, runtime_since
from edgedeploy.formats.tflite import TfliteSummary, read_model_bytes, summarize
from edgedeploy.ondevice.contract import ContractError, ImagePipeline
from edgedeploy.workspace import file_digest, read_json

if TYPE_CHECKING:
    from edgedeploy.formats.metadata_reader import ModelMetadata

_SUFFIX = ".tflite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """The file that a side ships.

    Attributes:
        path: The .tflite file.
        sha256: Of its bytes.
        size_bytes: Its size.
        deflated_bytes: What a download of it takes, deflated.
        summary: Its tensors and operators.
        labels: Those inside it; empty where it carries none.
        min_runtime: Oldest TensorFlow Lite that has all its operators, or "".
    """

    path: Path
    sha256: str
    size_bytes: int
    deflated_bytes: int
    summary: TfliteSummary
    labels: tuple[str, ...]
    min_runtime: str

    @property
    def classes(self) -> int:
        """How many scores a picture gets; 0 where the file leaves it open."""
        outputs = self.summary.outputs
        sizes = outputs[0].shape_signature[1:] if outputs else ()
        return prod(sizes) if sizes and min(sizes) > 0 else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A build or a file.

    Attributes:
        path: As given.
        model: The build's model; "" for a file.
        recipe: Name of what is shipped: the build's choice, or the file's stem.
        shipped: The file itself.
        pipeline: The build's contract, or None for a file.
        evaluation: evaluation.json; empty where there is none.
        variants: The build's variants, {recipe: variant.json}; empty for a file.
        scores: Folder of the build's scores, or None.
    """

    path: Path
    model: str
    recipe: str
    shipped: Shipped
    pipeline: ImagePipeline | None
    evaluation: Mapping[str, Any]
    variants: Mapping[str, Mapping[str, Any]]
    scores: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Give JSON values."""
        return {
            "path": str(self.path),
            "model": self.model or None,
            "recipe": self.recipe,
            "sha256": self.shipped.sha256,
            "size_bytes": self.shipped.size_bytes,
            "deflated_bytes": self.shipped.deflated_bytes,
            "min_runtime_version": self.shipped.min_runtime or None,
        }


def read_side(path: Path) -> Side:
    """Read a build's folder (build/<model>) or a .tflite file.

    Args:
        path: Either.

    Returns:
        What is compared.

    Raises:
        InputError: If it is neither, or the build is not finished.
        WorkspaceError: If a file of the build cannot be read.
    """
    if path.is_dir():
        return _read_build(path)
    if path.is_file():
        return Side(
            path=path,
            model="",
            recipe=path.stem,
            shipped=_read_shipped(path),
            pipeline=None,
            evaluation={},
            variants={},
            scores=None,
        )
    raise InputError(
        f"{path}: no such build or file; give build/<model> or a {_SUFFIX} file"
    )


def _read_build(folder: Path) -> Side:
    selection = folder / "selection.json"
    if not selection.is_file():
        # The folder above is a likely slip: build/ holds one folder a model.
        inside = sorted(path.parent.name for path in folder.glob("*/selection.json"))
        hint = f"; did you mean {folder / inside[0]}?" if inside else ""
        raise InputError(
            f"{folder}: no selection.json, so not a finished build; give "
            f"build/<model> after inv choose or inv build{hint}"
        )
    evaluation = _mapping(folder / "evaluation.json")
    variants = {
        path.parent.name: _mapping(path)
        for path in sorted((folder / "variants").glob("*/variant.json"))
    }
    choice = _mapping(selection).get("choice")
    if not isinstance(choice, str) or choice not in variants:
        raise InputError(
            f"{folder}: the chosen variant {choice!r} is not among its variants; "
            "build it again"
        )
    try:
        pipeline = ImagePipeline.from_dict(evaluation["pipeline"])
    except (KeyError, TypeError, ContractError) as error:
        raise InputError(
            f"{folder / 'evaluation.json'}: holds no contract; build it again"
        ) from error
    return Side(
        path=folder,
        model=str(evaluation.get("model", "")),
        recipe=choice,
        shipped=_read_shipped(folder / "variants" / choice / "model.tflite"),
        pipeline=pipeline,
        evaluation=evaluation,
        variants=variants,
        scores=folder / ".scores",
    )


def _mapping(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise WorkspaceError(f"{path}: expected a JSON object; build it again")
    return value


def _read_shipped(path: Path) -> Shipped:
    data = read_model_bytes(path)
    try:
        summary = summarize(data)
        metadata: ModelMetadata | None = read_metadata(data)
    except FormatError as error:
        raise InputError(f"{path}: not a sound {_SUFFIX} file ({error})") from error
    since = [
        runtime_since(operator.name, operator.version)
        for operator in summary.operators
        if not operator.custom
    ]
    known = [version for version in since if version]
    return Shipped(
        path=path,
        sha256=file_digest(path),
        size_bytes=len(data),
        deflated_bytes=_deflated(data),
        summary=summary,
        labels=metadata.labels if metadata else (),
        # A version that is unknown would make the oldest runtime a guess.
        min_runtime=(newest(known) or "") if len(known) == len(since) else "",
    )


def _deflated(data: bytes) -> int:
    # As variant.json counts it.
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return len(compressor.compress(data)) + len(compressor.flush())
