"""Files that appear whole or not at all, and faults of theirs in one line."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs

from edgedeploy.errors import WorkspaceError

_TEMPORARY_SUFFIX = ".partial"
_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a part of the path is a file; move it away",
    errno.EEXIST: "something else is in its place; move it away",
    errno.EISDIR: "a folder is in its place; move it away",
    errno.ENAMETOOLONG: "take a shorter name",
}


def cache_folder() -> Path:
    """The user's cache; EDGEDEPLOY_CACHE moves it."""
    chosen = os.environ.get("EDGEDEPLOY_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("edgedeploy"))


def make_folder(path: Path) -> None:
    """Make a folder and its parents.

    Raises:
        WorkspaceError: If that is not possible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(path, error) from error


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder; 0 where there is none."""
    total = 0
    for path in folder.rglob("*"):
        # A file may vanish while another process works.
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
    return total


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Write a file that appears whole or not at all.

    Args:
        path: Where it shall be; its folder is made.

    Yields:
        A path in the same folder to write to, renamed on success.

    Raises:
        WorkspaceError: If the folder or the disk does not take it.
    """
    make_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}-", suffix=_TEMPORARY_SUFFIX, dir=path.parent
        )
        os.close(handle)
    except OSError as error:
        raise unusable(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; deliverables get what the umask allows.
        temporary.chmod(0o666 & ~_umask())
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        # The body may have failed on a file of its own; blame that one.
        known = error.filename in (None, name, str(path))
        culprit = path if known else Path(str(error.filename))
        raise unusable(culprit, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: sorted as given, indented, UTF-8, LF, no NaN."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    # Paths may hold bytes that are no UTF-8; backslashreplace writes these as JSON
    # escapes, which read back to the same path.
    write_bytes(path, (text + "\n").encode(errors="backslashreplace"))


def read_json(path: Path) -> Any:
    """Read a JSON file of ours.

    Raises:
        WorkspaceError: If it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unusable(path, error) from error
    except ValueError as error:
        raise WorkspaceError(
            f"{path}: not valid JSON ({error}); delete it and build again"
        ) from error


def recall_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that may be missing or damaged, which is as good as empty."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def remove_stale(folder: Path) -> None:
    """Remove what killed processes left half-written.

    Raises:
        WorkspaceError: If the folder does not let go of it.
    """
    for stale in sorted(folder.rglob(f".*{_TEMPORARY_SUFFIX}")):
        try:
            stale.unlink(missing_ok=True)
        except OSError as error:
            raise unusable(stale, error) from error


def unusable(path: Path, error: OSError) -> WorkspaceError:
    """Say in one line why a path cannot be used, and what to do about it.

    Args:
        path: The culprit.
        error: What the system said.
    """
    reason = error.strerror or str(error)
    advice = _ADVICE.get(error.errno or 0, "make it readable and writable")
    return WorkspaceError(f"{path}: {reason}; {advice}, or work in another folder")


def _umask() -> int:
    # The only way to read it is to set it; 0o077 for the moment between is safe.
    current = os.umask(0o077)
    os.umask(current)
    return current
