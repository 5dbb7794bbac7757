"""Who made what is inside a deliverable: licences, notices and a bill of materials."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy import __version__
from edgedeploy.errors import PackageError
from edgedeploy.ondevice.bundle import hash_file
from edgedeploy.resources import resource_folder

if TYPE_CHECKING:
    from edgedeploy.specs import ModelSpec

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROVENANCE = "PROVENANCE.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One thing inside a deliverable, for the bill of materials.

    Attributes:
        kind: CycloneDX component type, such as "library".
        name: Its name.
        version: Its version.
        licence: SPDX expression or, if `spdx` is False, any name of a licence.
        spdx: Whether `licence` is an SPDX expression.
        sha256: Digest of the file it came as, or None.
        purl: Package URL, or None.
    """

    kind: str
    name: str
    version: str
    licence: str
    spdx: bool = True
    sha256: str | None = None
    purl: str | None = None


def licence_files(spec: ModelSpec, pictures: Sequence[Path]) -> dict[str, bytes]:
    """Collect the texts that travel with a model.

    Args:
        spec: The model.
        pictures: What the golden vectors were made from.

    Returns:
        Contents by name under "LICENSES/".

    Raises:
        PackageError: If a text is missing from the installation.
    """
    apache = resource_folder("models") / "licences" / "Apache-2.0.txt"
    try:
        ours = apache.read_bytes()
    except OSError as error:
        raise PackageError(f"{apache}: cannot be read ({error.strerror})") from error
    return {
        "LICENSES/NOTICE.txt": _notice(spec, pictures).encode(),
        "LICENSES/edgedeploy.txt": ours,
        "LICENSES/weights.txt": spec.licence.text.encode(),
    }


def _notice(spec: ModelSpec, pictures: Sequence[Path]) -> str:
    licence = spec.licence
    lines = [
        f"{spec.title}, weights: {spec.weights}",
        licence.notice,
        f"Copyright: {licence.holder}",
        f"Licence: {licence.spdx} (see weights.txt); {licence.homepage}",
        "Changes: converted to .tflite and, but for float32, quantised.",
        "",
        f"Packaged by edgedeploy {__version__}, Apache-2.0 (see edgedeploy.txt).",
        "",
        "The pictures in golden/ were cut and scaled from:",
        *dict.fromkeys(_credit(path) for path in pictures),
    ]
    return "\n".join(lines) + "\n"


def _credit(path: Path) -> str:
    """Attribute a picture by its entry in a PROVENANCE.toml near it."""
    digest = hash_file(path)
    for folder in list(path.resolve().parents)[:3]:
        source = folder / PROVENANCE
        if source.is_file():
            entry = _find_entry(_read_toml(source), digest)
            if entry is not None:
                facts = [
                    f"{key}: {entry[key]}"
                    for key in (
                        "title",
                        "author",
                        "source",
                        "origin",
                        "licence",
                        "changes",
                    )
                    if entry.get(key)
                ]
                return f"- {path.name}: {'; '.join(facts)}"
    return f"- {path.name}: supplied by whoever built this bundle"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PackageError(f"{path}: cannot be read ({error})") from error


def _find_entry(value: Any, digest: str) -> Mapping[str, Any] | None:
    """Find the table with a digest, however deep the file keeps its entries."""
    if isinstance(value, dict):
        if value.get("sha256") == digest:
            return value
        value = list(value.values())
    if isinstance(value, list):
        for member in value:
            found = _find_entry(member, digest)
            if found is not None:
                return found
    return None


def bill_of_materials(
    subject: Component, components: Sequence[Component]
) -> dict[str, Any]:
    """Write a bill of materials in CycloneDX 1.5.

    It has no serial number and no time, so that equal contents give equal bytes.

    Args:
        subject: What the bill is for.
        components: What is inside.

    Returns:
        JSON values, after the CycloneDX 1.5 JSON schema.
    """
    maker = Component(
        kind="application",
        name="edgedeploy",
        version=__version__,
        licence="Apache-2.0",
    )
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "tools": {"components": [_component(maker, "tool")]},
            "component": _component(subject, "subject"),
        },
        "components": [
            _component(one, f"component-{number}")
            for number, one in enumerate(components, start=1)
        ],
    }


def _component(one: Component, reference: str) -> dict[str, Any]:
    values: dict[str, Any] = {
        "type": one.kind,
        "bom-ref": reference,
        "name": one.name,
        "version": one.version,
        "licenses": [
            {"expression": one.licence}
            if one.spdx
            else {"license": {"name": one.licence}}
        ],
    }
    if one.sha256:
        values["hashes"] = [{"alg": "SHA-256", "content": one.sha256}]
    if one.purl:
        values["purl"] = one.purl
    return values
