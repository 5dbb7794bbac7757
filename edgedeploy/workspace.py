"""The build folder: paths, digests, atomic files, and stages that run once.

A stage records the digest of everything that went in and of every file that came
out. It is skipped when both are unchanged, so an interrupted build goes on at the
stage where it stopped, and a second build does nothing.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from edgedeploy.errors import WorkspaceError
from edgedeploy.ondevice.digest import file_sha256

_PACKAGE = Path(__file__).resolve().parent
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Where one model is built.

    Attributes:
        root: The project's folder; edgedeploy.lock and build/ are in it.
        model: The model's name, the folder under build/.
    """

    root: Path
    model: str

    @property
    def folder(self) -> Path:
        """The folder build/<model>."""
        return self.root / "build" / self.model

    @property
    def lock_path(self) -> Path:
        """The file that pins what a build resolved."""
        return self.root / "edgedeploy.lock"

    def variant_folder(self, recipe: str) -> Path:
        """The folder of one variant."""
        return self.folder / "variants" / recipe

    def variant_model(self, recipe: str) -> Path:
        """The .tflite file of one variant."""
        return self.variant_folder(recipe) / "model.tflite"

    def variant_facts(self, recipe: str) -> Path:
        """What is known of one variant without measuring."""
        return self.variant_folder(recipe) / "variant.json"

    @contextlib.contextmanager
    def exclusive(self, waiting: Callable[[str], None]) -> Iterator[None]:
        """Keep other processes out of this build folder.

        Args:
            waiting: Told once, in one line, when another process is in it.
        """
        make_folder(self.folder)
        lock = filelock.FileLock(self.folder / ".lock")
        try:
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                waiting(f"another edgedeploy is working in {self.folder}; waiting")
                lock.acquire()
        except OSError as error:
            raise _unusable(self.folder, error) from error
        try:
            # Whoever wrote these was killed: nobody else can be in here now.
            _remove_stale(self.folder)
            yield
        finally:
            lock.release()

    def run_stage(
        self,
        name: str,
        *,
        inputs: Mapping[str, Any],
        outputs: Sequence[Path],
        action: Callable[[], None],
    ) -> bool:
        """Run a stage unless its record says that it is done.

        Args:
            name: The stage, such as "quantize-int8".
            inputs: JSON values that decide the outputs, digests among them.
            outputs: Files that the action leaves, or folders whose every file it
                leaves.
            action: Makes the outputs; each appears whole or not at all.

        Returns:
            Whether the action ran.

        Raises:
            WorkspaceError: If an output is missing after the action.
        """
        record_path = self.folder / ".stages" / f"{name}.json"
        inputs = json.loads(json.dumps(inputs))
        if self.is_done(name, inputs=inputs, outputs=outputs):
            return False
        record_path.unlink(missing_ok=True)
        action()
        self._write_record(record_path, inputs, outputs)
        return True

    def is_done(
        self, name: str, *, inputs: Mapping[str, Any], outputs: Sequence[Path]
    ) -> bool:
        """Whether `run_stage` would skip a stage; arguments are its own."""
        record = recall_json(self.folder / ".stages" / f"{name}.json")
        same = record.get("inputs") == json.loads(json.dumps(inputs))
        return same and self._intact(record, outputs)

    def _intact(self, record: Mapping[str, Any], outputs: Sequence[Path]) -> bool:
        known = _stamps(record)
        names = {
            path.relative_to(self.folder).as_posix(): path for path in _files(outputs)
        }
        # An empty record would be intact for a folder that has vanished.
        if not known or set(known) != set(names):
            return False
        return all(_unchanged(names[name], stamp) for name, stamp in known.items())

    def _write_record(
        self, path: Path, inputs: Mapping[str, Any], outputs: Sequence[Path]
    ) -> None:
        stamps = {}
        for output in outputs:
            if not output.exists():
                raise WorkspaceError(f"stage {path.stem} left no {output}")
        for output in _files(outputs):
            stamps[output.relative_to(self.folder).as_posix()] = stamp_of(output)
        write_json(path, {"inputs": inputs, "outputs": stamps})

    def empty(self) -> None:
        """Remove everything in the build folder but its lock."""
        for path in self.folder.iterdir():
            if path.name == ".lock":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def stage_outputs(self, name: str) -> dict[str, dict[str, Any]]:
        """What a stage left: sha256 and size_bytes by path below the build folder."""
        record = recall_json(self.folder / ".stages" / f"{name}.json")
        return {
            path: {"sha256": stamp["sha256"], "size_bytes": stamp["size_bytes"]}
            for path, stamp in _stamps(record).items()
        }


def cache_folder() -> Path:
    """The user's cache; EDGEDEPLOY_CACHE moves it."""
    chosen = os.environ.get("EDGEDEPLOY_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("edgedeploy"))


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal.

    Raises:
        WorkspaceError: If it cannot be read.
    """
    try:
        return file_sha256(path)
    except OSError as error:
        raise _unusable(path, error) from error


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder; 0 where there is none."""
    total = 0
    for path in folder.rglob("*"):
        # A file may vanish while another process works.
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
    return total


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
        raise _unusable(path, error) from error
    return {
        "sha256": file_digest(path),
        "size_bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }


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
        raise _unusable(path, error) from error
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
        raise _unusable(culprit, error) from error
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
        raise _unusable(path, error) from error
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


def make_folder(path: Path) -> None:
    """Make a folder and its parents.

    Raises:
        WorkspaceError: If that is not possible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error


def _files(outputs: Sequence[Path]) -> list[Path]:
    """Replace folders by the files below them."""
    found: list[Path] = []
    for path in outputs:
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [file for file in below if not file.is_dir()]
    return found


def _umask() -> int:
    # The only way to read it is to set it; 0o077 for the moment between is safe.
    current = os.umask(0o077)
    os.umask(current)
    return current


def _stamps(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Take a record's stamps by path; none where it is damaged."""
    stamps = record.get("outputs")
    whole = isinstance(stamps, dict) and all(
        isinstance(stamp, dict) and {"sha256", "size_bytes"} <= set(stamp)
        for stamp in stamps.values()
    )
    return stamps if isinstance(stamps, dict) and whole else {}


def _remove_stale(folder: Path) -> None:
    """Remove what killed processes left half-written.

    Raises:
        WorkspaceError: If the folder does not let go of it.
    """
    for stale in sorted(folder.rglob(f".*{_TEMPORARY_SUFFIX}")):
        try:
            stale.unlink(missing_ok=True)
        except OSError as error:
            raise _unusable(stale, error) from error


def _same_stat(path: Path, stamp: Mapping[str, Any]) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (
        stamp.get("size_bytes"),
        stamp.get("mtime_ns"),
    )


def _unchanged(path: Path, stamp: Mapping[str, Any]) -> bool:
    if _same_stat(path, stamp):
        return True
    return path.is_file() and file_digest(path) == stamp.get("sha256")


def _unusable(path: Path, error: OSError) -> WorkspaceError:
    reason = error.strerror or str(error)
    advice = _ADVICE.get(error.errno or 0, "make it readable and writable")
    return WorkspaceError(f"{path}: {reason}; {advice}, or work in another folder")
