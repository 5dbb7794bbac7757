"""Are the bytes those that were delivered? Sums beside a package, and the build's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from edgedeploy.errors import FormatError
from edgedeploy.ondevice.digest import file_sha256
from edgedeploy.results import Check
from edgedeploy.targets.android.checks.contents import Contents
from edgedeploy.targets.android.tree import SUMS
from edgedeploy.workspace import recall_json

_MANIFEST = "manifest.json"
# A package lies at most so deep below the build that made it (Maven's folders).
_MAX_ABOVE = 12
_LIMIT_BYTES = 64 << 20


def check_integrity(contents: Contents) -> Iterator[Check]:
    """Compare with every list of sums that goes with a package.

    Args:
        contents: The package.

    Yields:
        One check for each list there is; none is no failure.
    """
    path = contents.path
    if contents.find(SUMS) is not None:
        yield _check_sums(contents)
    beside = path.with_name(f"{path.name}.sha256")
    if path.is_file() and beside.is_file():
        yield _check_beside(path, beside)
    yield from _check_build(contents)


def _check_sums(contents: Contents) -> Check:
    """Compare a folder with its SHA256SUMS, in both directions."""
    file = contents.find(SUMS)
    listed: dict[str, str] = {}
    try:
        text = contents.read(file, _LIMIT_BYTES).decode() if file else ""
    except (FormatError, UnicodeDecodeError) as error:
        return _result(SUMS, [f"cannot be read: {error}"], "")
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    problems = []
    for one in contents.files:
        if one.name == SUMS:
            continue
        if one.name not in listed:
            problems.append(f"{one.name} is not listed")
        elif _digest(contents.path / one.name) != listed[one.name]:
            problems.append(f"{one.name} is not what was delivered")
    there = {one.name for one in contents.files}
    problems += [f"{name} is missing" for name in listed if name not in there]
    return _result(SUMS, problems, f"{len(listed)} files are as delivered")


def _check_beside(path: Path, beside: Path) -> Check:
    try:
        promised = beside.read_text("ascii").split()[0]
    except (OSError, UnicodeDecodeError, IndexError):
        promised = ""
    problems = [] if _digest(path) == promised else [f"{path.name} has another digest"]
    return _result(beside.name, problems, "the file's digest is this")


def _check_build(contents: Contents) -> Iterator[Check]:
    """Compare with the manifest of the build that the package lies in."""
    path = contents.path.resolve()
    for root in list(path.parents)[:_MAX_ABOVE]:
        manifest = root / _MANIFEST
        if manifest.is_file():
            break
    else:
        return
    deliverables = _deliverables(manifest)
    below = path.relative_to(root).as_posix()
    files = {
        name: stamp
        for name, stamp in deliverables.items()
        if name == below or PurePosixPath(name).is_relative_to(below)
    }
    # A manifest of something else, or a package that this build did not make.
    if not files:
        return
    problems = []
    for name, stamp in files.items():
        found = root / name
        promised = stamp.get("sha256") if isinstance(stamp, dict) else None
        if not found.is_file():
            problems.append(f"{name} is missing")
        elif _digest(found) != promised:
            problems.append(f"{name} is not what the build made")
    if path.is_dir():
        problems += [
            f"{below}/{one.name} is not of the build"
            for one in contents.files
            if f"{below}/{one.name}" not in files
        ]
    yield _result(
        "build's manifest", problems, f"{len(files)} files are as the build made them"
    )


def _deliverables(manifest: Path) -> dict[str, Any]:
    found = recall_json(manifest).get("deliverables")
    return found if isinstance(found, dict) else {}


def _digest(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        return f"unreadable ({error.strerror})"


def _result(name: str, problems: list[str], good: str) -> Check:
    return Check(
        level="file",
        name=name,
        passed=not problems,
        detail="; ".join(problems[:5]) or good,
    )
