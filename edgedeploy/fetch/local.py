"""Files and SavedModel folders that the user has already."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from edgedeploy.errors import FetchError, InputError
from edgedeploy.fetch.digests import Digests, Expected, hash_file
from edgedeploy.fetch.fetched import Fetched
from edgedeploy.fetch.store import shorten, write_json
from edgedeploy.specs import FileSource


def read_local(source: FileSource, notes: Path) -> Fetched:
    """Take a local file where it is, and its digest.

    Args:
        source: Which file.
        notes: Folder that remembers digests of files that have not changed since.

    Returns:
        The file.

    Raises:
        InputError: If there is no such file.
        FetchError: If it is not the file that was promised.
    """
    path = Path(source.path).expanduser()
    try:
        path = path.resolve()
        status = path.stat()
        if path.is_dir():
            return _read_folder(source, path, notes)
        if not path.is_file():
            raise InputError(f"{path} should be a weights file; it is not a file")
        # The change time too: unlike the cache's files, users edit these in place.
        stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        digests = _recall(path, notes, stamp)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read the weights file {path}: {reason}") from error
    mismatch = Expected(sha256=source.sha256).find_mismatch(digests)
    if mismatch is not None:
        raise FetchError(f"{path} is another file than promised: {mismatch}")
    return Fetched(
        path=path,
        sha256=digests.sha256,
        size_bytes=digests.size_bytes,
        origin=f"file {path.name}",
    )


def _read_folder(source: FileSource, folder: Path, notes: Path) -> Fetched:
    """Take a SavedModel's folder; its digest is over the files' names and digests."""
    if not (folder / "saved_model.pb").is_file():
        raise InputError(
            f"{folder} should be a weights file or a SavedModel; it is a folder "
            "without saved_model.pb"
        )
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    whole, size = hashlib.sha256(), 0
    for path in files:
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        name = path.relative_to(folder).as_posix()
        whole.update(f"{_recall(path, notes, stamp).sha256}  {name}\n".encode())
        size += status.st_size
    sha256 = whole.hexdigest()
    if source.sha256 not in (None, sha256):
        raise FetchError(
            f"{folder} is another SavedModel than promised: sha256 expected "
            f"{source.sha256}, found {sha256}"
        )
    return Fetched(
        path=folder, sha256=sha256, size_bytes=size, origin=f"folder {folder.name}"
    )


def _recall(path: Path, notes: Path, stamp: list[int]) -> Digests:
    note_path = notes / f"{shorten(str(path))}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        note = json.loads(note_path.read_text("utf-8"))
        if note["stamp"] == stamp:
            return Digests(**note["digests"])
    digests = hash_file(path).digests()
    # Without the note it is only slower.
    with contextlib.suppress(OSError):
        notes.mkdir(parents=True, exist_ok=True)
        fields = {name: getattr(digests, name) for name in Digests.__slots__}
        write_json(note_path, {"stamp": stamp, "digests": fields})
    return digests
