"""What wheels say of their licences: for the bill of materials and the notices."""

from __future__ import annotations

import email
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from edgedeploy.errors import PackageError
from edgedeploy.targets.notices import Component

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedeploy.targets.raspberry_pi.wheelhouse import Wheel

_TEXT_NAMES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "AUTHORS")
# Pillow's text, the longest in practice, has 80 KB.
_MAX_TEXT_BYTES = 4 << 20


def describe_wheel(wheel: Wheel) -> tuple[Component, dict[str, bytes]]:
    """Read a wheel's licence.

    Args:
        wheel: The wheel.

    Returns:
        Its entry of the bill of materials, and its licence texts by name under
        "LICENSES/".

    Raises:
        PackageError: If the wheel is damaged or has no metadata.
    """
    try:
        with zipfile.ZipFile(wheel.path) as archive:
            inside = [name for name in archive.namelist() if ".dist-info/" in name]
            metadata = _read(archive, _metadata_name(wheel, inside))
            texts = {
                f"LICENSES/{wheel.name}/{_flat(name)}": _read(archive, name)
                for name in sorted(inside)
                if _is_text(name)
            }
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise PackageError(f"{wheel.filename}: not a wheel ({error})") from error
    licence, spdx = _licence(metadata)
    component = Component(
        kind="library",
        name=wheel.name,
        version=wheel.version,
        licence=licence,
        spdx=spdx,
        sha256=wheel.sha256,
        purl=f"pkg:pypi/{wheel.name}@{wheel.version}",
    )
    return component, texts


def _metadata_name(wheel: Wheel, names: Iterable[str]) -> str:
    for name in names:
        if PurePosixPath(name).name == "METADATA":
            return name
    raise PackageError(f"{wheel.filename}: has no METADATA")


def _is_text(name: str) -> bool:
    is_folder = name.endswith("/")
    return not is_folder and PurePosixPath(name).name.upper().startswith(_TEXT_NAMES)


def _flat(name: str) -> str:
    """Name a text by its path below the dist-info folder."""
    parts = PurePosixPath(name).parts[1:]
    return "-".join(part for part in parts if part not in ("licenses", "..", "."))


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MAX_TEXT_BYTES:
        raise ValueError(f"{name} is too large")
    return archive.read(name)


def _licence(metadata: bytes) -> tuple[str, bool]:
    """Find the licence in core metadata: an SPDX expression, or only a name."""
    fields = email.message_from_bytes(metadata)
    expression = fields.get("License-Expression")
    if expression:
        return str(expression).strip(), True
    for classifier in fields.get_all("Classifier", []):
        if str(classifier).startswith("License :: OSI Approved :: "):
            return str(classifier).rpartition(" :: ")[2].strip(), False
    first = str(fields.get("License") or "").strip().splitlines()
    return (first[0] if first else "not stated", False)
