"""contract.json: what a deliverable says of its model, and the files it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgedeploy.errors import InputError, PackageError
from edgedeploy.ondevice.bundle import SCHEMA
from edgedeploy.ondevice.neighbours import (
    NeighbourError,
    NeighbourTable,
    read_array,
)
from edgedeploy.recipes import recipe_named
from edgedeploy.targets.content import digest_source
from edgedeploy.targets.golden_answers import tensor_document

if TYPE_CHECKING:
    from edgedeploy.operators import Library
    from edgedeploy.specs import ModelSpec, Neighbours
    from edgedeploy.targets.golden import GoldenVectors, VariantFile


class OperatorFiles(Protocol):
    """An operator of the models' own, as far as packaging needs to know it."""

    @property
    def name(self) -> str:
        """As the models name it."""

    @property
    def libraries(self) -> tuple[Library, ...]:
        """One for each ABI that it was compiled for."""

    @property
    def host_library(self) -> Path:
        """The library that this machine loads."""


def describe_contract(
    spec: ModelSpec,
    variants: Sequence[VariantFile],
    golden: GoldenVectors,
    table: NeighbourTable | None,
    *,
    default: str,
    batches: Mapping[str, int],
    operators: Sequence[OperatorFiles],
) -> dict[str, Any]:
    """Write down what a device has to know of a model to run it and to test itself.

    Args:
        spec: The model.
        variants: Its converted models.
        golden: Their golden vectors.
        table: As `read_neighbours` gives it.
        default: The recipe to use when none is asked for.
        batches: Pictures at once, by recipe; 1 where a recipe is missing.
        operators: Operators that the models need and LiteRT does not bring.

    Returns:
        JSON values; the files that they name are `contract_files` and the golden
        vectors' own.

    Raises:
        PackageError: If a file cannot be read.
    """
    document = {
        "schema": SCHEMA,
        "model": spec.name,
        "title": spec.title,
        "weights": spec.weights,
        "pipeline": spec.pipeline.to_dict(),
        "labels": "labels.txt",
        "classes": len(spec.labels),
        "default": default,
        "variants": {
            variant.recipe: {
                **_variant(variant, golden),
                "batch": batches.get(variant.recipe, 1),
            }
            for variant in variants
        },
        "golden": list(golden.entries),
    }
    # Only where there are some: the bytes of other bundles stay as they were.
    if spec.shapes:
        document["shapes"] = spec.shapes.to_dict()
    if operators:
        document["operators"] = [_operator(operator) for operator in operators]
    if spec.neighbours and table:
        document["neighbours"] = _neighbours(spec.neighbours, table)
    return document


def contract_files(
    spec: ModelSpec,
    variants: Sequence[VariantFile],
    operators: Sequence[OperatorFiles],
) -> dict[str, Path | bytes]:
    """Gather the files that the document names, but for the golden vectors.

    Args:
        spec: The model.
        variants: Its converted models.
        operators: Operators that the models need and LiteRT does not bring.

    Returns:
        Path or bytes by name.

    Raises:
        PackageError: If a label is not one line.
    """
    return {
        "labels.txt": _labels(spec.labels),
        **{f"models/{v.recipe}.tflite": v.path for v in variants},
        **{
            _library_name(operator.name, library.abi): library.path
            for operator in operators
            for library in operator.libraries
        },
        **_neighbour_files(spec),
    }


def read_neighbours(spec: ModelSpec) -> NeighbourTable | None:
    """Read the table of a model that gives embeddings; None for other models.

    Raises:
        InputError: If the table is damaged or does not fit the labels.
    """
    own = spec.neighbours
    if own is None:
        return None
    try:
        return NeighbourTable(
            read_array(Path(own.vectors)),
            read_array(Path(own.classes)),
            metric=own.metric,
            k=own.k,
            labels=len(spec.labels),
        )
    except NeighbourError as error:
        raise InputError(f"model {spec.name}: neighbours: {error}") from error


def _variant(variant: VariantFile, golden: GoldenVectors) -> dict[str, Any]:
    signature = golden.signatures[variant.recipe]
    return {
        "file": f"models/{variant.recipe}.tflite",
        "sha256": variant.sha256,
        "size_bytes": variant.path.stat().st_size,
        "input": tensor_document(signature.input),
        "output": tensor_document(signature.output),
        "tolerance": recipe_named(variant.recipe).selftest_tolerance,
        "delegate": signature.delegate,
    }


def _neighbours(own: Neighbours, table: NeighbourTable) -> dict[str, Any]:
    return {
        "metric": own.metric,
        "k": own.k,
        "dimensions": table.dimensions,
        **{
            name: {
                "file": f"neighbours/{name}.npy",
                "sha256": digest_source(name, path)[0],
            }
            for name, path in _neighbour_paths(own).items()
        },
    }


def _neighbour_files(spec: ModelSpec) -> dict[str, Path]:
    if spec.neighbours is None:
        return {}
    paths = _neighbour_paths(spec.neighbours)
    return {f"neighbours/{name}.npy": path for name, path in paths.items()}


def _neighbour_paths(own: Neighbours) -> dict[str, Path]:
    return {"vectors": Path(own.vectors), "classes": Path(own.classes)}


def _operator(operator: OperatorFiles) -> dict[str, Any]:
    return {
        "name": operator.name,
        "libraries": {
            library.abi: {
                "file": _library_name(operator.name, library.abi),
                "sha256": library.sha256,
            }
            for library in operator.libraries
        },
    }


def _library_name(operator: str, abi: str) -> str:
    return f"operators/{abi}/{operator}.so"


def _labels(labels: Sequence[str]) -> bytes:
    for label in labels:
        if not label.strip() or len(label.splitlines()) != 1:
            raise PackageError(f"label {label!r} must be one line that is not empty")
    return ("\n".join(labels) + "\n").encode()
