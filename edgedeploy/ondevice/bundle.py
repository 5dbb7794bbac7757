"""What was delivered: the contract document beside the models, read and checked.

A bundle is a folder with `contract.json`, `labels.txt`, `models/` and `golden/`. The
document may come from anywhere, so nothing in it is believed before it is checked:
names stay inside the folder, and every value has the type that it should have.
"""

from __future__ import annotations

import json
import math
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from .batches import check_batch
from .contract import ContractError, ImagePipeline
from .delivered import (
    Bundle,
    BundleError,
    DeliveredNeighbours,
    DeliveredOperator,
    DeliveredVariant,
    Expected,
    GoldenVector,
    UnknownSize,
    UnknownVariant,
)
from .digest import file_sha256
from .shapes import InputShapes
from .tensors import TensorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1
CONTRACT = "contract.json"
# Documents are a few hundred kilobytes; this only stops a bomb.
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024


def default_folder() -> Path:
    """Find the bundle that this code lies in, or else take the current folder."""
    beside = Path(__file__).resolve().parent.parent
    return beside if (beside / CONTRACT).is_file() else Path()


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle's contract document and labels.

    Args:
        folder: The unpacked bundle.

    Raises:
        BundleError: If a document is missing, malformed or contradicts itself.
    """
    document = read_document(folder / CONTRACT)
    if document.get("schema") != SCHEMA:
        raise BundleError(
            f"{folder / CONTRACT}: schema must be {SCHEMA}; received "
            f"{document.get('schema')!r}"
        )
    try:
        bundle = _bundle(folder, document)
    except BundleError:
        raise
    except KeyError as error:
        raise BundleError(f"{folder / CONTRACT}: {error.args[0]} is missing") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BundleError(f"{folder / CONTRACT}: {error}") from error
    classes = document.get("classes")
    if len(bundle.labels) != classes:
        raise BundleError(
            f"{folder}: the contract says {classes} classes; "
            f"labels.txt has {len(bundle.labels)}"
        )
    pipeline = bundle.pipeline
    if bundle.shapes and not bundle.shapes.allows(pipeline.width, pipeline.height):
        raise BundleError(
            f"{folder / CONTRACT}: the pipeline's size is none of the shapes "
            f"({bundle.shapes.describe()})"
        )
    if bundle.default not in bundle.variants:
        raise BundleError(f"{folder}: the default {bundle.default!r} is no variant")
    return bundle


def is_callers_mistake(folder: Path, error: ContractError) -> bool:
    """Tell a wrong folder or variant from a bundle that is damaged.

    Args:
        folder: What the caller named.
        error: What reading or opening the bundle raised.

    Returns:
        True if another value would have helped.
    """
    wrong = isinstance(error, (UnknownSize, UnknownVariant))
    return wrong or not (folder / CONTRACT).is_file()


def read_document(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        BundleError: If the file is missing, too large or not a JSON object.
    """
    try:
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise BundleError(f"{path}: larger than any contract document is")
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not valid JSON in UTF-8 ({error})") from error
    if not isinstance(value, dict):
        raise BundleError(f"{path}: expected a JSON object")
    return value


def place(folder: Path, name: Any) -> Path:
    """Find a file of a bundle by the name that a document gives it.

    Args:
        folder: The bundle.
        name: A relative path with forward slashes.

    Raises:
        BundleError: If the name leaves the folder or is no plain path.
    """
    if not isinstance(name, str) or not name or "\\" in name or "\0" in name:
        raise BundleError(f"{folder}: {name!r} is no file name")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or path.as_posix() != name:
        raise BundleError(f"{folder}: {name!r} does not stay inside the bundle")
    return folder / path


def hash_file(path: Path) -> str:
    """SHA-256 (hexadecimal) of a file.

    Raises:
        BundleError: If it cannot be read.
    """
    try:
        return file_sha256(path)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error


def _bundle(folder: Path, document: dict[str, Any]) -> Bundle:
    variants = {
        str(recipe): _variant(folder, str(recipe), values)
        for recipe, values in document["variants"].items()
    }
    return Bundle(
        folder=folder,
        model=_text(document["model"]),
        title=_text(document["title"]),
        weights=_text(document["weights"]),
        pipeline=ImagePipeline.from_dict(document["pipeline"]),
        labels=_labels(place(folder, document["labels"])),
        default=_text(document["default"]),
        variants=variants,
        golden=tuple(_golden(folder, values) for values in document["golden"]),
        operators=tuple(
            _operator(folder, values) for values in document.get("operators", ())
        ),
        neighbours=(
            _neighbours(folder, document["neighbours"])
            if document.get("neighbours") is not None
            else None
        ),
        shapes=(
            InputShapes.from_dict(document["shapes"])
            if document.get("shapes") is not None
            else None
        ),
    )


def _labels(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: cannot be read as UTF-8 ({error})") from error
    # The file ends in a newline, which ends the last label and begins no other.
    return tuple(lines[:-1] if lines[-1] == "" else lines)


def _variant(folder: Path, recipe: str, values: Mapping[str, Any]) -> DeliveredVariant:
    return DeliveredVariant(
        recipe=recipe,
        path=place(folder, values["file"]),
        sha256=_text(values["sha256"]),
        size_bytes=int(values["size_bytes"]),
        input=_tensor(values["input"]),
        output=_tensor(values["output"]),
        tolerance=_number(values["tolerance"]),
        delegate=_text(values["delegate"]),
        batch=check_batch(values.get("batch", 1)),
    )


def _neighbours(folder: Path, values: Mapping[str, Any]) -> DeliveredNeighbours:
    def file(name: str) -> tuple[Path, str]:
        return place(folder, values[name]["file"]), _text(values[name]["sha256"])

    return DeliveredNeighbours(
        vectors=file("vectors"),
        classes=file("classes"),
        dimensions=int(values["dimensions"]),
        metric=_text(values["metric"]),
        k=int(values["k"]),
    )


def _operator(folder: Path, values: Mapping[str, Any]) -> DeliveredOperator:
    return DeliveredOperator(
        name=_text(values["name"]),
        libraries={
            str(abi): (place(folder, library["file"]), _text(library["sha256"]))
            for abi, library in values["libraries"].items()
        },
    )


def _tensor(values: Mapping[str, Any]) -> TensorInfo:
    return TensorInfo(
        name=_text(values["name"]),
        shape=tuple(int(n) for n in values["shape"]),
        dtype=_text(values["dtype"]),
        scale=_number(values["scale"]),
        zero_point=int(values["zero_point"]),
    )


def _golden(folder: Path, values: Mapping[str, Any]) -> GoldenVector:
    return GoldenVector(
        path=place(folder, values["file"]),
        rgb_sha256=_text(values["rgb_sha256"]),
        tensor_samples=_pairs(values["tensor_samples"]),
        tensor_mean=_number(values["tensor_mean"]),
        expected=_answers(values["expected"]),
        undelegated=_answers(values.get("expected_without_delegate", {})),
        arm64=_answers(values.get("expected_on_arm64", {})),
    )


def _answers(values: Mapping[str, Any]) -> dict[str, Expected]:
    return {
        str(recipe): Expected(
            top_k=_pairs(answer["top_k"]),
            output=_pairs(answer["output"]),
            raw_sha256=answer.get("raw_sha256"),
        )
        for recipe, answer in values.items()
    }


def _pairs(values: Any) -> tuple[tuple[int, float], ...]:
    pairs = tuple((int(index), _number(value)) for index, value in values)
    if not pairs or any(index < 0 for index, _ in pairs):
        raise BundleError("a golden vector has an empty list or a negative index")
    return pairs


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise BundleError(f"expected a finite number; received {value!r}")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BundleError(f"expected text; received {value!r}")
    return value
