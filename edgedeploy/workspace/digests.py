"""Digests: of files, of JSON values, of our own code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgedeploy.ondevice.digest import file_sha256
from edgedeploy.workspace.files import unusable

_PACKAGE = Path(__file__).resolve().parents[1]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal.

    Raises:
        WorkspaceError: If it cannot be read.
    """
    try:
        return file_sha256(path)
    except OSError as error:
        raise unusable(path, error) from error


def json_digest(value: Any) -> str:
    """SHA-256 of a JSON value's canonical text, hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def code_digest(*modules: str) -> str:
    """SHA-256 of our own source files, so that changed code runs its stage again.

    Args:
        *modules: Files or folders in the package, such as "quantize" or "choose.py".
    """
    digest = hashlib.sha256()
    for module in modules:
        path = _PACKAGE / module
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        for file in files:
            digest.update(file.relative_to(_PACKAGE).as_posix().encode() + b"\0")
            digest.update(file.read_bytes())
    return digest.hexdigest()


def stamp_of(path: Path) -> dict[str, Any]:
    """Digest a file, with the size and time that let a later check be quick.

    Raises:
        WorkspaceError: If it cannot be read.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise unusable(path, error) from error
    return {
        "sha256": file_digest(path),
        "size_bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }


def unchanged(path: Path, stamp: Mapping[str, Any]) -> bool:
    """Whether a file is still what it was, by size and time or else by its digest.

    Args:
        path: The file.
        stamp: As `stamp_of` gave it.

    Raises:
        WorkspaceError: If it cannot be read.
    """
    if _same_stat(path, stamp):
        return True
    return path.is_file() and file_digest(path) == stamp.get("sha256")


def _same_stat(path: Path, stamp: Mapping[str, Any]) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (
        stamp.get("size_bytes"),
        stamp.get("mtime_ns"),
    )
