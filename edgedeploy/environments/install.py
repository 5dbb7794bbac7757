"""Make an environment in the cache, resumably, from its lock file.

A half-made one is never used: the last thing written is a record of what it was made
from, and without it the next call goes on where this one stopped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from edgedeploy.environments.table import Environment
from edgedeploy.errors import FetchError, WorkspaceError
from edgedeploy.fetch.client import run_client
from edgedeploy.fetch.fetched import Unreachable
from edgedeploy.fetch.pip_failure import read_pip_failure
from edgedeploy.isolate import Progress
from edgedeploy.workspace import cache_folder, write_json

FOLDER = "environments"
_READY = "ready.json"
# Wheels that pip gets in one go; what was installed is not fetched again.
_GROUP = 8
_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An environment that is ready.

    Attributes:
        python: Its interpreter.
        lock: SHA-256 (hexadecimal) over the lock files that it was made from.
    """

    python: Path
    lock: str


def lock_digest(environment: Environment) -> str:
    """SHA-256 (hexadecimal) over an environment's lock files."""
    whole = hashlib.sha256()
    for lock in (environment.lock, *environment.either_locks):
        whole.update(lock.read_bytes())
    return whole.hexdigest()


def find(environment: Environment) -> Installed | None:
    """Find an environment that was made whole, from the present lock file.

    Args:
        environment: Which.

    Returns:
        Where it is, or None.
    """
    folder = _folder(environment)
    python = folder / "bin" / "python"
    try:
        record = json.loads((folder / _READY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    digest = lock_digest(environment)
    whole = isinstance(record, dict) and record.get("lock") == digest
    return Installed(python=python, lock=digest) if whole and python.exists() else None


def install(
    environment: Environment,
    *,
    offline: bool,
    tell: Callable[[str], None],
    progress: Progress,
) -> Installed:
    """Make an environment, or go on making it, unless it is there.

    Args:
        environment: Which.
        offline: Whether the network must not be touched.
        tell: Told what it costs before anything is downloaded.
        progress: Told how many of the lock's wheels are installed.

    Returns:
        Where it is.

    Raises:
        Unreachable: If it is not there and the registry may not or cannot be reached.
        FetchError: If a wheel cannot be had as locked, or does not work.
        WorkspaceError: If the cache cannot be written.
    """
    found = find(environment)
    if found:
        return found
    if offline:
        raise Unreachable(
            f"the environment {environment.name} is not installed, and --offline "
            "forbids to fetch it; run inv doctor --install "
            f"{environment.name} once without it"
        )
    folder = _folder(environment)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            found = find(environment)
            if found:
                return found
            tell(f"{environment.converter}: {environment.sizes}, in {folder}")
            _make(environment, folder, tell, progress)
    except OSError as error:
        raise WorkspaceError(
            f"cannot make {folder}: {error.strerror or error}; free space or set "
            "EDGEDEPLOY_CACHE to another folder, then run the same command again"
        ) from error
    return Installed(python=folder / "bin" / "python", lock=lock_digest(environment))


def requirements(lock: Path) -> list[str]:
    """Split a lock file into its requirements, each with its hashes.

    Args:
        lock: A requirements file as pip takes it, continued lines and all.
    """
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _folder(environment: Environment) -> Path:
    """One for each lock file and Python, since both decide what is in it."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    name = f"{environment.name}-{lock_digest(environment)[:12]}-py{version}"
    return cache_folder() / FOLDER / name


def _make(
    environment: Environment,
    folder: Path,
    tell: Callable[[str], None],
    progress: Progress,
) -> None:
    python = folder / "bin" / "python"
    if not (folder / "made").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        # Our own pip serves it, which is faster than a second one.
        command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
        done = run_client(command, folder=Path("/"))
        if done.code:
            raise FetchError(
                f"{sys.executable} cannot make a virtual environment ("
                f"{_last_line(done.text)}); on Debian, install python3-venv"
            )
        (folder / "made").touch()
    _install_all(environment, environment.lock, folder, progress)
    if environment.either_locks:
        first, second = environment.either_locks
        had = _try_all(environment, first, folder, progress)
        # On another Python the first lock may ask for nothing at all.
        if not (had and _imports(python, environment)):
            tell(environment.second_sizes)
            _install_all(environment, second, folder, progress)
    if not _imports(python, environment):
        shutil.rmtree(folder, ignore_errors=True)
        raise FetchError(
            f"{environment.converter} was installed but does not import on this "
            f"machine; nothing of it is kept. Convert the model elsewhere and give its "
            ".tflite file"
        )
    write_json(folder / _READY, {"lock": lock_digest(environment)})


def _try_all(
    environment: Environment, lock: Path, folder: Path, progress: Progress
) -> bool:
    """Install a lock file, or say that some of it cannot be had."""
    try:
        _install_all(environment, lock, folder, progress)
    except Unreachable:
        raise
    except FetchError:
        return False
    return True


def _install_all(
    environment: Environment, lock: Path, folder: Path, progress: Progress
) -> None:
    lines = requirements(lock)
    for first in range(0, len(lines), _GROUP):
        marker = folder / f"{lock.stem}-{first}.done"
        if not marker.is_file():
            _install_group(environment, lines[first : first + _GROUP], folder)
            marker.touch()
        progress(min(first + _GROUP, len(lines)), len(lines))


def _install_group(environment: Environment, lines: list[str], folder: Path) -> None:
    listing = folder / "group.txt"
    listing.write_text("\n".join(lines) + "\n", encoding="utf-8")
    python = str(folder / "bin" / "python")
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", "--no-input", "-q"]
    # What a killed pip left may be half of a package.
    command += ["--force-reinstall", "--no-compile", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", "-r", str(listing)]
    outcome = run_client(command, folder=folder, timeout_s=_TIMEOUT_S)
    if not outcome.code:
        return
    failure = read_pip_failure(outcome.text)
    if failure.missing:
        raise FetchError(
            f"{sys.executable} has no pip, which fetches {environment.converter}; get "
            "it with 'python -m ensurepip'"
        )
    if failure.no_answer:
        raise Unreachable(
            f"could not reach the package index for {environment.converter}; check "
            "'pip config list', then run the same command again: it goes on from here"
        )
    reason = failure.reason(_last_line(outcome.text))
    raise FetchError(
        f"pip could not install {environment.converter} as locked: {reason[:300]}"
    )


def _imports(python: Path, environment: Environment) -> bool:
    code = "; ".join(f"import {module}" for module in environment.modules)
    done = run_client([str(python), "-I", "-c", code], folder=Path("/"))
    return done.code == 0


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1][:200]
