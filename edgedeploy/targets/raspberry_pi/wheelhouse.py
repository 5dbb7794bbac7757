"""The wheels that a bundle carries, resolved for another machine and pinned.

`ai_edge_litert.interpreter` imports NumPy and nothing else of what its distribution
declares (protobuf, ml_dtypes, tqdm and others serve its converters), so the bundle
carries LiteRT, NumPy and Pillow, and installs them with --no-deps. On 32-bit Arm it
carries tflite-runtime alone; NumPy and Pillow come from the system's packages.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import FetchError, LockError, WorkspaceError
from edgedeploy.fetch.client import Outcome, run_client
from edgedeploy.fetch.fetched import Unreachable
from edgedeploy.fetch.pip_failure import read_pip_failure
from edgedeploy.ondevice.bundle import hash_file
from edgedeploy.ondevice.delivered import BundleError
from edgedeploy.scratch import make_scratch
from edgedeploy.targets.raspberry_pi.systems import System, system_for
from edgedeploy.targets.raspberry_pi.tags import (
    check_tags,
    parse_wheel_name,
    platform_tags,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel in the cache.

    Attributes:
        name: The distribution's normalised name.
        version: Its version.
        filename: The wheel's own name, which carries its tags.
        sha256: Its digest, hexadecimal.
        path: Where it is.
    """

    name: str
    version: str
    filename: str
    sha256: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheelhouse:
    """All wheels of a bundle.

    Attributes:
        system: What they are for.
        files: Sorted by name.
    """

    system: System
    files: tuple[Wheel, ...]

    def lock(self) -> dict[str, str]:
        """Give SHA-256 by file name, as `resolve` takes it."""
        return {wheel.filename: wheel.sha256 for wheel in self.files}

    def requirements(self) -> str:
        """Write pip's requirements file that demands exactly these files."""
        return "".join(
            f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n"
            for wheel in self.files
        )


def resolve(
    python: str = "3.11",
    arch: str = "aarch64",
    *,
    cache: Path,
    locked: Mapping[str, str] | None,
    offline: bool,
) -> Wheelhouse:
    """Get the wheels for a system through pip, or from the cache.

    Args:
        python: The device's Python, such as "3.11".
        arch: The device's architecture, such as "aarch64".
        cache: The cache folder; wheels are kept in it under their digests.
        locked: SHA-256 (hexadecimal) by wheel file name. The very same files are
            demanded. None takes the newest that fit.
        offline: Use the cache alone; without `locked`, what was resolved last.

    Returns:
        The wheels, each checked against digest and tags.

    Raises:
        InputError: If no wheels exist for such a system.
        LockError: If a locked wheel cannot be had or does not fit.
        FetchError: If pip fails; `Unreachable` if it got no answer.
        WorkspaceError: If the cache cannot be written.
    """
    system = system_for(python, arch)
    store = cache / "wheels"
    record = store / f"resolved-{python}-{arch}.json"
    wanted = locked
    if wanted is None and offline:
        wanted = _last_resolved(record)
        if not wanted:
            raise FetchError(
                f"no wheels for Python {python} on {arch} in the cache {store}; run "
                "once without --offline"
            )
    if wanted is None:
        house = _house(system, _download(system, store, _newest(system)))
        _remember(record, house)
        return house
    found = {name: _find(store, name, sha256) for name, sha256 in wanted.items()}
    missing = {name: wanted[name] for name, wheel in found.items() if wheel is None}
    fetched: list[Wheel] = []
    if missing:
        if offline:
            raise LockError(
                f"the lock pins {', '.join(missing)}, which the cache {store} lacks; "
                "run without --offline"
            )
        fetched = _download_locked(system, store, missing)
    present = [wheel for wheel in found.values() if wheel is not None]
    return _house(system, [*present, *fetched])


def _newest(system: System) -> str:
    return "".join(f"{requirement}\n" for requirement in system.requirements)


def _download_locked(
    system: System, store: Path, missing: Mapping[str, str]
) -> list[Wheel]:
    lines = []
    for filename, sha256 in missing.items():
        parts = parse_wheel_name(filename)
        lines.append(f"{parts.name}=={parts.version} --hash=sha256:{sha256}\n")
    try:
        wheels = _download(system, store, "".join(lines), hashes=True)
    except Unreachable:
        raise
    except FetchError as error:
        raise LockError(f"the locked wheels cannot be had: {error}") from error
    received = {wheel.filename: wheel.sha256 for wheel in wheels}
    if received != dict(missing):
        raise LockError(
            f"the lock pins {', '.join(missing)}; received {', '.join(received)}"
        )
    return wheels


def _download(
    system: System, store: Path, requirements: str, *, hashes: bool = False
) -> list[Wheel]:
    """Let pip download into a fresh folder and move the wheels to their digests."""
    try:
        store.mkdir(parents=True, exist_ok=True)
        folder = make_scratch(store, "incoming")
        try:
            listing = folder / "requirements.txt"
            listing.write_text(requirements, encoding="utf-8")
            command = [sys.executable, "-m", "pip", "download", "--no-deps"]
            command += ["--only-binary", ":all:", "--no-input", "--progress-bar", "off"]
            command += ["--disable-pip-version-check", "--timeout", "10"]
            command += ["--retries", "2", "--implementation", "cp"]
            command += ["--python-version", system.python]
            for abi in (system.interpreter, "abi3", "none"):
                command += ["--abi", abi]
            for tag in platform_tags(system):
                command += ["--platform", tag]
            command += ["--require-hashes"] if hashes else []
            command += ["-d", str(folder), "-r", str(listing)]
            outcome = run_client(command, folder=folder)
            if outcome.code:
                raise _explain(system, outcome)
            return [_adopt(store, path) for path in sorted(folder.glob("*.whl"))]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise WorkspaceError(
            f"cannot write the cache {store}: {error.strerror or error}"
        ) from error


def _explain(system: System, outcome: Outcome) -> FetchError:
    subject = f"wheels for Python {system.python} on {system.arch}"
    failure = read_pip_failure(outcome.text)
    if failure.missing:
        return FetchError(
            f"{subject} need pip, which {sys.executable} lacks; get it with "
            "'python -m ensurepip'"
        )
    if failure.no_answer:
        return Unreachable(
            f"could not reach the package index for {subject}; check 'pip config list'"
        )
    reason = failure.reason(f"exit code {outcome.code}")
    return FetchError(f"pip could not get {subject}: {reason}")


def _adopt(store: Path, path: Path) -> Wheel:
    sha256 = hash_file(path)
    target = store / sha256 / path.name
    target.parent.mkdir(exist_ok=True)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.replace(target)
    return _wheel(target, sha256)


def _find(store: Path, filename: str, sha256: str) -> Wheel | None:
    """Look a wheel up by digest; a damaged one counts as missing."""
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise LockError(f"the lock's digest of {filename} is malformed: {sha256!r}")
    parse_wheel_name(filename)
    path = store / sha256 / filename
    try:
        return _wheel(path, sha256) if hash_file(path) == sha256 else None
    except BundleError:
        return None


def _wheel(path: Path, sha256: str) -> Wheel:
    parts = parse_wheel_name(path.name)
    return Wheel(
        name=parts.name,
        version=parts.version,
        filename=path.name,
        sha256=sha256,
        path=path,
    )


def _house(system: System, wheels: list[Wheel]) -> Wheelhouse:
    for wheel in wheels:
        problem = check_tags(wheel.filename, system)
        if problem:
            raise LockError(f"a wheel does not fit {system.name}: {problem}")
    ordered = tuple(sorted(wheels, key=lambda wheel: wheel.name))
    names = tuple(wheel.name for wheel in ordered)
    if names != system.distributions:
        raise LockError(
            f"a wheelhouse for {system.arch} has {', '.join(system.distributions)}, "
            f"once each; found {', '.join(names) or 'none'}"
        )
    return Wheelhouse(system=system, files=ordered)


def _last_resolved(record: Path) -> dict[str, str]:
    try:
        entries = json.loads(record.read_text(encoding="utf-8"))
        return {str(name): str(sha256) for name, sha256 in entries.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _remember(record: Path, house: Wheelhouse) -> None:
    try:
        handle, name = tempfile.mkstemp(prefix=".record-", dir=record.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(house.lock(), file, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(record)
    except OSError as error:
        raise WorkspaceError(f"cannot write {record}: {error.strerror}") from error
