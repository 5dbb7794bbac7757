"""Level c: install.sh, or the .deb, in a whole Arm system without a network.

Installed, proved, used, removed; afterwards the system's files are those from before.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgedeploy.devices.emulated.outcome import EMULATED
from edgedeploy.devices.emulated.runner import TOOLS, EmulatedSystem
from edgedeploy.devices.emulated.unpacked import Unpacked
from edgedeploy.devices.processes import Ended, Job, run
from edgedeploy.errors import DeviceError, EdgedeployError, VerificationError
from edgedeploy.isolate import Progress, silent
from edgedeploy.results import Check
from edgedeploy.targets.raspberry_pi.debian import package_name

_INSTALL_S, _CLASSIFY_S, _REMOVE_S = 5400.0, 900.0, 600.0
# Where the bundle is put, as a user would in the home folder.
_HOME = "root"
# What an installation may leave: logs of dpkg, and what Python compiles for itself
# where Debian's own package scripts, which were never run, would have done so.
_TOLERATED = ("var/lib/dpkg/", "var/log/", "usr/lib/python3", "usr/share/python3")


def check_installation(
    opened: Unpacked, system: EmulatedSystem, *, progress: Progress = silent
) -> tuple[Check, ...]:
    """Install, self-test, classify and remove a bundle in a system.

    Args:
        opened: The bundle.
        system: A fresh one with the bundle's Python.
        progress: Called with the steps done and their number.

    Returns:
        One check a step; after one that failed, later ones are not run.
    """
    place = _put(opened, system)
    before = list_files(system.folder)
    steps: tuple[tuple[str, Callable[[], str]], ...] = (
        ("network", lambda: _check_network(system)),
        ("install", lambda: _install(opened, system, place)),
        ("classify", lambda: _classify(opened, system)),
        ("uninstall", lambda: _uninstall(opened, system)),
        ("leftovers", lambda: _compare_files(before, list_files(system.folder))),
    )
    checks: list[Check] = []
    for number, (name, step) in enumerate(steps):
        progress(number, len(steps))
        if checks and checks[-1].passed is not True:
            detail = f"not run: {checks[-1].name} did not pass"
            checks.append(Check(level=EMULATED, name=name, passed=None, detail=detail))
            continue
        try:
            passed, detail = True, step()
        except EdgedeployError as error:
            passed, detail = False, str(error)
        checks.append(Check(level=EMULATED, name=name, passed=passed, detail=detail))
    progress(len(steps), len(steps))
    return tuple(checks)


def list_files(root: Path) -> dict[str, tuple[Any, ...]]:
    """Describe every file of a root, so that a change can be seen.

    Args:
        root: A system's folder; what the desk put there and /proc are left out.

    Returns:
        By relative path: type and permissions, size and time of change for a file, and
        a link's target. Folders have no time: a file that came and went changes it.
    """
    found: dict[str, tuple[Any, ...]] = {}
    for path in _walk(root, root):
        status = path.lstat()
        facts: tuple[Any, ...] = (status.st_mode,)
        if stat.S_ISLNK(status.st_mode):
            facts = (*facts, os.readlink(path))  # noqa: PTH115 - a text, not a path
        elif stat.S_ISREG(status.st_mode):
            facts = (*facts, status.st_size, status.st_mtime_ns)
        found[path.relative_to(root).as_posix()] = facts
    return found


def _walk(root: Path, folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.parent == root and path.name in (TOOLS, "proc", "dev", "sys"):
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(root, path)


def _compare_files(
    before: dict[str, tuple[Any, ...]], after: dict[str, tuple[Any, ...]]
) -> str:
    differing = sorted(
        name
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name) and not name.startswith(_TOLERATED)
    )
    if differing:
        raise VerificationError(
            f"{len(differing)} files differ from before: {', '.join(differing[:5])}"
        )
    return f"none: the {len(after)} files are those from before"


def _put(opened: Unpacked, system: EmulatedSystem) -> str:
    """Put the bundle where its user would; give its path in the system."""
    home = system.folder / _HOME
    try:
        if opened.is_package:
            shutil.copy(opened.path, home)
            return f"/{_HOME}/{opened.path.name}"
        shutil.copytree(opened.folder, home / opened.folder.name)
    except OSError as error:
        raise DeviceError(f"cannot copy the bundle into {home}: {error}") from error
    return f"/{_HOME}/{opened.folder.name}"


def _check_network(system: EmulatedSystem) -> str:
    """See that there is no way out before an offline installation is claimed."""
    ended = _run(system, "/bin/cat", "/proc/net/dev", what="cat", timeout_s=60.0)
    names = [line.split(":")[0].strip() for line in ended.text.splitlines()[2:]]
    if ended.code != 0 or names != ["lo"]:
        raise VerificationError(f"expected none but lo, found {', '.join(names)}")
    return "cut: there is no interface but lo"


def _install(opened: Unpacked, system: EmulatedSystem, place: str) -> str:
    command = (
        ("/usr/bin/dpkg", "--install", place)
        if opened.is_package
        else (f"{place}/install.sh",)
    )
    ended = _run(system, *command, what=command[0], timeout_s=_INSTALL_S)
    _expect_success(ended, Path(command[0]).name)
    # install.sh ends with this only when the self-test has passed.
    if "the self-test passed" not in ended.text:
        raise VerificationError(f"it does not tell of its self-test: {ended.last_line}")
    return f"passed its self-test: {ended.last_line}"


def _classify(opened: Unpacked, system: EmulatedSystem) -> str:
    """Classify a golden picture as a user would, and know the answer beforehand."""
    bundle = opened.bundle
    vector = bundle.golden[0]
    expected = bundle.labels[vector.expected[bundle.default].top_k[0][0]]
    current = f"/opt/edgedeploy/{bundle.model}/current"
    picture = f"{current}/{vector.path.relative_to(bundle.folder).as_posix()}"
    ended = _run(
        system,
        *(f"{current}/bin/classify", "--json", picture),
        what="classify",
        timeout_s=_CLASSIFY_S,
    )
    _expect_success(ended, "classify")
    try:
        answer = json.loads(ended.text.strip().splitlines()[-1])
        found = str(answer["top"][0]["label"])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise VerificationError(f"no answer in {ended.last_line!r}") from error
    if found != expected:
        raise VerificationError(f"expected {expected!r}, received {found!r}")
    return f"{vector.path.name} is {found!r} as expected"


def _uninstall(opened: Unpacked, system: EmulatedSystem) -> str:
    model = opened.bundle.model
    command = (
        ("/usr/bin/dpkg", "--purge", package_name(model))
        if opened.is_package
        else (f"/opt/edgedeploy/{model}/current/uninstall.sh",)
    )
    ended = _run(system, *command, what=command[0], timeout_s=_REMOVE_S)
    _expect_success(ended, Path(command[0]).name)
    return ended.last_line


def _run(system: EmulatedSystem, *command: str, what: str, timeout_s: float) -> Ended:
    return run(
        Job(
            command=system.command(*command),
            what=f"{Path(what).name} in the emulated system",
            timeout_s=timeout_s,
        )
    )


def _expect_success(ended: Ended, what: str) -> None:
    if ended.code == 0:
        return
    # The self-test's own word for a check that failed, before the installer's.
    failed = [line for line in ended.text.splitlines() if line.startswith("FAILED")]
    reason = "; ".join([*failed[:1], ended.last_line])
    raise VerificationError(f"{what} ended with {ended.code}: {reason}")
