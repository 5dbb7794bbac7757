"""What a delivered file holds: JSON in one spelling, and any content's digest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from edgedeploy.errors import PackageError
from edgedeploy.ondevice.bundle import hash_file
from edgedeploy.ondevice.delivered import BundleError


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
