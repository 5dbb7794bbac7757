"""What is there of a file whose download has not ended yet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgedeploy.errors import WorkspaceError
from edgedeploy.fetch.digests import Digests, hash_file
from edgedeploy.fetch.store import write_json
from edgedeploy.workspace import recall_json


class PartialFile:
    """A file that grows over several tries, and a note of what it is part of."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note_path = path.with_name(f"{path.name}.json")

    def find_offset(self, url: str, size_bytes: int | None) -> int:
        """Return the bytes that can be kept, or 0 after removing what cannot."""
        try:
            offset = self.path.stat().st_size
        except OSError:
            return 0
        fits = size_bytes is None or offset <= size_bytes
        if offset and fits and self._read_note().get("url") == url:
            return offset
        self.remove()
        return 0

    def find_validator(self) -> str | None:
        """Return the strong validator for If-Range, or None if there was none."""
        note = self._read_note()
        etag, modified = note.get("etag"), note.get("last_modified")
        if etag and not etag.startswith("W/"):
            return etag
        return modified or None

    def write_note(self, url: str, headers: Mapping[str, str]) -> None:
        """Remember what the file is part of."""
        note = {
            "url": url,
            "etag": headers.get("ETag", ""),
            "last_modified": headers.get("Last-Modified", ""),
        }
        with guard_writes(self.path):
            write_json(self._note_path, note)

    def hash(self) -> Digests:
        """Return the digests of what is there."""
        with guard_writes(self.path):
            return hash_file(self.path).digests()

    def remove(self) -> None:
        """Forget everything."""
        with guard_writes(self.path):
            self.path.unlink(missing_ok=True)
            self._note_path.unlink(missing_ok=True)

    def _read_note(self) -> dict[str, str]:
        note = recall_json(self._note_path)
        return {str(key): str(value) for key, value in note.items()}


@contextlib.contextmanager
def guard_writes(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into a `WorkspaceError`."""
    try:
        yield
    except OSError as error:
        raise WorkspaceError(
            f"cannot write {path}: {error.strerror or error}; free some space or name "
            f"another cache folder"
        ) from error
