"""What every deliverable carries: models, labels, contract, golden vectors, terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import PackageError
from edgedeploy.resources import resource_folder
from edgedeploy.targets.content import digest_source, write_json
from edgedeploy.targets.contract_document import (
    contract_files,
    describe_contract,
    read_neighbours,
)
from edgedeploy.targets.golden import golden_vectors
from edgedeploy.targets.notices import Component, bill_of_materials, licence_files

if TYPE_CHECKING:
    from edgedeploy.ondevice.neighbours import NeighbourTable
    from edgedeploy.specs import ModelSpec
    from edgedeploy.targets.contract_document import OperatorFiles
    from edgedeploy.targets.golden import GoldenVectors, VariantFile

MANIFEST = "manifest.json"
BILL = "sbom.cdx.json"
MANIFEST_SCHEMA = 1
_OWN_KEYS = ("schema", "model", "weights", "files")


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
    _check_outputs(spec, golden, table)
    document = describe_contract(
        spec,
        variants,
        golden,
        table,
        default=default,
        batches=batches or {},
        operators=operators,
    )
    files: dict[str, Path | bytes] = {
        "contract.json": write_json(document),
        **contract_files(spec, variants, operators),
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


def _component(spec: ModelSpec, name: str, sha256: str | None) -> Component:
    return Component(
        kind="machine-learning-model",
        name=name,
        version=spec.weights,
        licence=spec.licence.spdx,
        sha256=sha256,
    )


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


def _check_outputs(
    spec: ModelSpec, golden: GoldenVectors, table: NeighbourTable | None
) -> None:
    expected = table.dimensions if table else len(spec.labels)
    for recipe, signature in golden.signatures.items():
        outputs = signature.output.shape[-1]
        if outputs != expected:
            what = "dimensions in the table" if table else "labels"
            raise PackageError(
                f"{spec.name} {recipe}: {outputs} outputs but {expected} {what}"
            )
