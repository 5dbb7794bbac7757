"""The cache of artefacts, addressed by the SHA-256 of their content.

Layout below the cache's `sources` folder::

    <sha256>/<filename>             the artefact as served
    <sha256>/record.json            its digests, and the stat stamp they were taken at
    <sha256>/extracted-<id>/…       one member of it, with a record of its own
    index/<id>.json                 which <sha256> a source without one led to
    incoming/<id>/                  what is being fetched; partial files survive here
    locks/<id>.lock                 held while a source is fetched
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgedeploy.errors import FetchError, WorkspaceError
from edgedeploy.fetch.digests import Digests, Expected, hash_file

LOCK_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """A file in the store whose digests have been checked."""

    path: Path
    digests: Digests
    origin: str


class Store:
    """Finds, takes in and unpacks artefacts."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, identity: str, expected: Expected) -> Artefact | None:
        """Look an artefact up, checking its digest again if its stamp has changed.

        Args:
            identity: Names the source where its SHA-256 is not known beforehand.
            expected: What was promised.

        Returns:
            The artefact, or None if it is absent, damaged or another than promised.
        """
        sha256 = expected.sha256 or self._read_index(identity)
        if sha256 is None:
            return None
        artefact = self._check(self.root / sha256.lower())
        if artefact is None or expected.find_mismatch(artefact.digests):
            return None
        return artefact

    def adopt(
        self, file: Path, *, name: str, digests: Digests, identity: str, origin: str
    ) -> Artefact:
        """Move a fetched file into the store.

        Args:
            file: On the same file system, complete and checked.
            name: Plain file name to keep it under.
            digests: Of the file.
            identity: Names the source.
            origin: Where it came from.

        Returns:
            The artefact in its place.

        Raises:
            WorkspaceError: If the cache cannot be written.
        """
        folder = self.root / digests.sha256
        path = folder / name
        with self._guard():
            folder.mkdir(parents=True, exist_ok=True)
            _sync(file)
            file.replace(path)
            self._write_record(path, digests, origin)
            index = self._index_path(identity)
            index.parent.mkdir(parents=True, exist_ok=True)
            write_json(index, {"source": identity, "sha256": digests.sha256})
        return Artefact(path=path, digests=digests, origin=origin)

    def extract(
        self, artefact: Artefact, member: str, unpack: Callable[[Path], Path]
    ) -> Path:
        """Unpack a member of an archive, in place of what may be left of it.

        To be called while `hold`ing the source.

        Args:
            artefact: The archive.
            member: Path of a file or a folder inside it.
            unpack: Called with an empty folder; writes the member there and returns
                where.

        Returns:
            The member's file or folder.

        Raises:
            WeightsError: From `unpack`.
            WorkspaceError: If the cache cannot be written.
        """
        folder = artefact.path.parent / f"extracted-{shorten(member)}"
        with self._guard():
            for stale in folder.parent.glob(".unpack-*"):  # Of killed runs.
                shutil.rmtree(stale, ignore_errors=True)
            fresh = Path(tempfile.mkdtemp(prefix=".unpack-", dir=folder.parent))
            try:
                content = unpack(fresh)
                stamps = {}
                for file in _list_files(content):
                    _sync(file)
                    stamps[file.relative_to(fresh).as_posix()] = _stamp(file)
                record = {"content": content.relative_to(fresh).as_posix()}
                write_json(fresh / "record.json", record | {"files": stamps})
                if folder.exists():
                    shutil.rmtree(folder)
                fresh.rename(folder)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        return folder / content.relative_to(fresh)

    def find_extracted(self, artefact: Artefact, member: str) -> Path | None:
        """Give a member of an archive if it was unpacked and is intact.

        Args:
            artefact: The archive.
            member: Path of a file or a folder inside it.

        Returns:
            The member's file or folder, or None.
        """
        return _check_extracted(artefact.path.parent / f"extracted-{shorten(member)}")

    @contextlib.contextmanager
    def hold(self, identity: str) -> Iterator[Path]:
        """Keep other processes from fetching the same source meanwhile.

        Args:
            identity: Names the source.

        Yields:
            The folder for incoming files; what an earlier, killed run left is there.

        Raises:
            FetchError: If another process holds the source for an hour.
            WorkspaceError: If the cache cannot be written.
        """
        import filelock

        key = shorten(identity)
        incoming = self.root / "incoming" / key
        lock = self.root / "locks" / f"{key}.lock"
        with self._guard():
            lock.parent.mkdir(parents=True, exist_ok=True)
            incoming.mkdir(parents=True, exist_ok=True)
            held = filelock.FileLock(lock, timeout=LOCK_TIMEOUT_S)
            try:
                held.acquire()
            except filelock.Timeout as error:
                raise FetchError(
                    f"another process has been fetching {identity} for an hour; end "
                    f"it, or remove {lock} if none is running"
                ) from error
        try:
            # Whoever held the lock before may have tidied the folder away.
            incoming.mkdir(parents=True, exist_ok=True)
            yield incoming
        finally:
            held.release()

    def discard(self, incoming: Path) -> None:
        """Tidy away an incoming folder whose file has been adopted."""
        shutil.rmtree(incoming, ignore_errors=True)

    def _check(self, folder: Path) -> Artefact | None:
        try:
            record = json.loads((folder / "record.json").read_text("utf-8"))
            path = folder / Path(record["filename"]).name
            origin, stamp = str(record["origin"]), record["stamp"]
            digests = Digests(**record["digests"])
            if digests.sha256 == folder.name and stamp == _stamp(path):
                return Artefact(path=path, digests=digests, origin=origin)
            digests = hash_file(path).digests()
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        if digests.sha256 != folder.name:
            return None
        # A cache on a read-only disk is still a good cache, only slower to check.
        with contextlib.suppress(OSError):
            self._write_record(path, digests, origin)
        return Artefact(path=path, digests=digests, origin=origin)

    def _write_record(self, path: Path, digests: Digests, origin: str) -> None:
        record = {
            "filename": path.name,
            "origin": origin,
            "digests": asdict(digests),
            "stamp": _stamp(path),
        }
        write_json(path.parent / "record.json", record)

    def _index_path(self, identity: str) -> Path:
        return self.root / "index" / f"{shorten(identity)}.json"

    def _read_index(self, identity: str) -> str | None:
        try:
            entry = json.loads(self._index_path(identity).read_text("utf-8"))
            sha256 = entry["sha256"]
        except (OSError, ValueError, TypeError, KeyError):
            return None
        is_digest = isinstance(sha256, str) and len(sha256) == 64 and sha256.isalnum()
        return sha256 if is_digest else None

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WorkspaceError(
                f"cannot write the cache {self.root}: {error.strerror or error}; free "
                f"or unlock it, or name another cache folder"
            ) from error


def shorten(identity: str) -> str:
    """Turn any text into a short file name that is the same on every run."""
    return hashlib.sha256(identity.encode()).hexdigest()[:24]


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a small JSON file so that no reader ever sees half of it.

    Args:
        path: Where to.
        value: JSON-ready.

    Raises:
        OSError: If the folder cannot be written.
    """
    handle, name = tempfile.mkstemp(prefix=".json-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(value, file, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _stamp(path: Path) -> list[int]:
    """Size and time of the last change: equal stamps mean unread, equal content."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _list_files(content: Path) -> list[Path]:
    if content.is_file():
        return [content]
    return sorted(path for path in content.rglob("*") if path.is_file())


def _check_extracted(folder: Path) -> Path | None:
    try:
        record = json.loads((folder / "record.json").read_text("utf-8"))
        content = folder / record["content"]
        stamps = {name: _stamp(folder / name) for name in record["files"]}
        present = {p.relative_to(folder).as_posix() for p in _list_files(content)}
        intact = stamps == record["files"] and present == set(stamps)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return content if intact and stamps else None
