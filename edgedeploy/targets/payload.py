"""What every deliverable carries: models, labels, contract, golden vectors, terms."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgedeploy.errors import InputError, PackageError
from edgedeploy.ondevice.bundle import SCHEMA, hash_file
from edgedeploy.ondevice.delivered import BundleError
from edgedeploy.ondevice.neighbours import (
    NeighbourError,
    NeighbourTable,
    read_array,
)
from edgedeploy.recipes import recipe_named
from edgedeploy.resources import resource_folder
from edgedeploy.targets.golden import GoldenVectors, golden_vectors, tensor_document
from edgedeploy.targets.notices import Component, bill_of_materials, licence_files

if TYPE_CHECKING:
    from edgedeploy.operators import Library
    from edgedeploy.specs import ModelSpec, Neighbours
    from edgedeploy.targets.golden import VariantFile

MANIFEST = "manifest.json"
BILL = "sbom.cdx.json"
MANIFEST_SCHEMA = 1
_OWN_KEYS = ("schema", "model", "weights", "files")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """Files to deliver, by relative name, sorted.

    Attributes:
        model: The model's handle.
        title: Its name for people.
        weights: Which weights it has.
        default: The recipe to use when none is asked for.
        files: Path or bytes by name; includes the manifest and the bill of materials.
        digests: SHA-256 (hexadecimal) and size in bytes of all but the manifest.
        subject: The model, as the bill of materials calls it.
        components: The bill's contents.
        facts: What the manifest says beside the files.
    """

    model: str
    title: str
    weights: str
    default: str
    files: Mapping[str, Path | bytes]
    digests: Mapping[str, tuple[str, int]]
    subject: Component
    components: tuple[Component, ...]
    facts: Mapping[str, Any]


def sample_pictures() -> tuple[Path, ...]:
    """Give the shipped pictures that golden vectors may be made from.

    Raises:
        PackageError: If the installation lacks them.
    """
    folder = resource_folder("models") / "samples" / "evaluation"
    found = [path for path in folder.glob("*") if path.suffix in (".jpg", ".png")]
    if not found:
        raise PackageError(f"no sample pictures in {folder}; install edgedeploy again")
    return tuple(sorted(found))


def build_payload(
    spec: ModelSpec,
    variants: Sequence[VariantFile],
    *,
    default: str,
    facts: Mapping[str, Any],
    pictures: Sequence[Path] | None = None,
    batches: Mapping[str, int] | None = None,
    operators: Sequence[OperatorFiles] = (),
) -> Payload:
    """Gather what a deliverable carries; nothing in it depends on time or place.

    Args:
        spec: The model.
        variants: Its converted models, at least one.
        default: The recipe to use when none is asked for, one of the variants'.
        facts: Further keys of the manifest, JSON values.
        pictures: What golden vectors are made from; None for the shipped samples.
        batches: Pictures at once, by recipe; 1 where a recipe is missing.
        operators: Operators that the models need and LiteRT does not bring.

    Returns:
        The payload.

    Raises:
        PackageError: If variants, labels and contract do not fit together.
        InputError: If a picture cannot be used.
    """
    _check_variants(spec, variants, default)
    sources = tuple(sample_pictures() if pictures is None else pictures)
    libraries = [operator.host_library for operator in operators]
    golden = golden_vectors(spec.pipeline, variants, sources, libraries)
    table = read_neighbours(spec)
    expected = table.dimensions if table else len(spec.labels)
    for recipe, signature in golden.signatures.items():
        outputs = signature.output.shape[-1]
        if outputs != expected:
            what = "dimensions in the table" if table else "labels"
            raise PackageError(
                f"{spec.name} {recipe}: {outputs} outputs but {expected} {what}"
            )
    document = _contract(spec, variants, default, golden, batches or {})
    # Only where there are some: the bytes of other bundles stay as they were.
    if operators:
        document["operators"] = [_operator(operator) for operator in operators]
    if spec.neighbours and table:
        document["neighbours"] = _neighbours(spec.neighbours, table)
    files: dict[str, Path | bytes] = {
        "contract.json": write_json(document),
        "labels.txt": _labels(spec.labels),
        **{f"models/{v.recipe}.tflite": v.path for v in variants},
        **{
            _library_name(operator.name, library.abi): library.path
            for operator in operators
            for library in operator.libraries
        },
        **_neighbour_files(spec),
        **golden.files,
        **licence_files(spec, golden.sources),
    }
    models = [_component(spec, f"{spec.name}-{v.recipe}", v.sha256) for v in variants]
    return _seal(
        Payload(
            model=spec.name,
            title=spec.title,
            weights=spec.weights,
            default=default,
            files=files,
            digests={},
            subject=_component(spec, spec.name, None),
            components=tuple(models),
            facts=dict(facts),
        )
    )


def extend_payload(
    payload: Payload,
    *,
    files: Mapping[str, Path | bytes],
    components: Sequence[Component],
    facts: Mapping[str, Any],
) -> Payload:
    """Add a target's own files to a payload and bring manifest and bill up to date.

    Args:
        payload: What to start from; it is not changed.
        files: Further files by name.
        components: Further entries of the bill of materials.
        facts: Further keys of the manifest.

    Returns:
        A new payload.

    Raises:
        PackageError: If a name or a key is taken already.
    """
    taken = sorted(set(files) & set(payload.files))
    if taken:
        raise PackageError(f"the payload has {', '.join(taken)} already")
    kept = {name: payload.files[name] for name in payload.digests}
    return _seal(
        replace(
            payload,
            files={**kept, **files},
            components=(*payload.components, *components),
            facts={**payload.facts, **facts},
        )
    )


def write_json(value: Any) -> bytes:
    """Write JSON so that equal values give equal bytes: sorted, UTF-8, final newline.

    Raises:
        PackageError: If the value cannot be JSON (NaN, say).
    """
    try:
        text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PackageError(f"a document cannot be written as JSON ({error})") from error
    return text.encode() + b"\n"


def _seal(draft: Payload) -> Payload:
    """Add the bill and the manifest, sort, and take the digests that are missing."""
    taken = sorted(set(draft.facts) & set(_OWN_KEYS))
    if taken:
        raise PackageError(
            f"the manifest's {', '.join(taken)} cannot be given as facts"
        )
    bill = write_json(bill_of_materials(draft.subject, draft.components))
    contents = dict(sorted({**draft.files, BILL: bill}.items()))
    known = {name: one for name, one in draft.digests.items() if name != BILL}
    digests = {
        name: known[name] if name in known else digest_source(name, source)
        for name, source in contents.items()
    }
    manifest = {
        "schema": MANIFEST_SCHEMA,
        "model": draft.model,
        "weights": draft.weights,
        "files": {
            name: {"sha256": sha256, "size_bytes": size}
            for name, (sha256, size) in digests.items()
        },
        **draft.facts,
    }
    contents[MANIFEST] = write_json(manifest)
    return replace(draft, files=dict(sorted(contents.items())), digests=digests)


def digest_source(name: str, source: Path | bytes) -> tuple[str, int]:
    """Take SHA-256 (hexadecimal) and size in bytes of a file's content.

    Raises:
        PackageError: If it cannot be read.
    """
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest(), len(source)
    try:
        return hash_file(source), source.stat().st_size
    except (BundleError, OSError) as error:
        raise PackageError(f"{name}: {error}") from error


def _component(spec: ModelSpec, name: str, sha256: str | None) -> Component:
    return Component(
        kind="machine-learning-model",
        name=name,
        version=spec.weights,
        licence=spec.licence.spdx,
        sha256=sha256,
    )


def _contract(
    spec: ModelSpec,
    variants: Sequence[VariantFile],
    default: str,
    golden: GoldenVectors,
    batches: Mapping[str, int],
) -> dict[str, Any]:
    return {
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
        **({"shapes": spec.shapes.to_dict()} if spec.shapes else {}),
    }


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


def _check_variants(
    spec: ModelSpec, variants: Sequence[VariantFile], default: str
) -> None:
    names = [variant.recipe for variant in variants]
    if len(set(names)) != len(names):
        raise PackageError(f"{spec.name}: a recipe occurs twice in {', '.join(names)}")
    if default not in names:
        raise PackageError(
            f"{spec.name}: the default {default!r} is none of the variants "
            f"({', '.join(names) or 'there are none'})"
        )
    for variant in variants:
        found, _ = digest_source(variant.recipe, variant.path)
        if found != variant.sha256:
            raise PackageError(
                f"{variant.path}: expected sha256 {variant.sha256}, found {found}; "
                "convert again"
            )


def _labels(labels: Sequence[str]) -> bytes:
    for label in labels:
        if not label.strip() or len(label.splitlines()) != 1:
            raise PackageError(f"label {label!r} must be one line that is not empty")
    return ("\n".join(labels) + "\n").encode()
