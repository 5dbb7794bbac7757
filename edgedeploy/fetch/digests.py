"""Digests of artefacts, taken in one pass, and what a publisher promised."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """Size and digests (lower-case hexadecimal) of some bytes."""

    size_bytes: int
    md5: str
    sha256: str
    sha512: str


class Hasher:
    """Takes all digests of a stream at once.

    Publishers differ in what they promise (MD5, SHA-256, SHA-512), and a second pass
    over a file costs more than the extra digests.
    """

    def __init__(self) -> None:
        self.size_bytes = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._sha512 = hashlib.sha512()

    def update(self, data: bytes) -> None:
        """Take in the next bytes."""
        self.size_bytes += len(data)
        for digest in (self._md5, self._sha256, self._sha512):
            digest.update(data)

    def digests(self) -> Digests:
        """Return the digests of everything taken in so far."""
        return Digests(
            size_bytes=self.size_bytes,
            md5=self._md5.hexdigest(),
            sha256=self._sha256.hexdigest(),
            sha512=self._sha512.hexdigest(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a publisher or the lock promised; None where nothing was said."""

    size_bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None
    sha512: str | None = None

    def find_mismatch(self, digests: Digests) -> str | None:
        """Compare with what was received.

        Args:
            digests: Of the bytes received.

        Returns:
            "expected … , received …" for the first thing that differs, or None.
        """
        # Size first: it is the clue that tells a truncation or an error page.
        for name in ("size_bytes", "md5", "sha256", "sha512"):
            wanted, got = getattr(self, name), getattr(digests, name)
            if isinstance(wanted, str):
                wanted = wanted.lower()
            if wanted is not None and wanted != got:
                return f"expected {name} {wanted}, received {got}"
        return None


def hash_file(path: Path, hasher: Hasher | None = None) -> Hasher:
    """Take the digests of a file.

    Args:
        path: A readable file.
        hasher: To continue, or None to begin.

    Returns:
        The hasher, having taken in the whole file.

    Raises:
        OSError: If the file cannot be read.
    """
    hasher = hasher or Hasher()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            hasher.update(chunk)
    return hasher
