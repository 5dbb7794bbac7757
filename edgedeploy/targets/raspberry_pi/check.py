"""Open a bundle as a stranger's and say what is wrong with it.

Nothing of the bundle is executed but its models, by this machine's runtime in a child
process. Its scripts and its code are compared with digests only.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedeploy import __version__
from edgedeploy.errors import EdgedeployError, FormatError, VerificationError
from edgedeploy.formats.tar import TarMember, extract_tar_gz
from edgedeploy.isolate import Progress, run_isolated
from edgedeploy.ondevice.bundle import hash_file, place, read_document
from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.delivered import BundleError
from edgedeploy.ondevice.selftest import run_selftest
from edgedeploy.results import Check
from edgedeploy.targets.payload import MANIFEST
from edgedeploy.targets.raspberry_pi.bundle import (
    REQUIREMENTS,
    SUMS,
    bundle_name,
    ondevice_sources,
)
from edgedeploy.targets.raspberry_pi.systems import System, system_for
from edgedeploy.targets.raspberry_pi.tags import check_tags, parse_wheel_name

_SUM_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_+@./-]+)")
_REQUIREMENT = re.compile(r"([a-z0-9-]+)==(\S+) --hash=sha256:([0-9a-f]{64})")
_PROGRAMS = ("install.sh", "uninstall.sh", "bin/selftest")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleCheck:
    """What was found in a bundle.

    Attributes:
        path: The archive.
        checks: In the order in which they were made; after a failure that leaves
            nothing to look at, later ones are missing.
    """

    path: Path
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether everything is as it should be."""
        return bool(self.checks) and not self.problems

    @property
    def problems(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.passed is False)


def check_bundle(path: Path, *, runtime: str = "auto") -> BundleCheck:
    """Check an archive: structure, sums, wheels, code, and the models' answers.

    Args:
        path: The .tar.gz file.
        runtime: A name of `ondevice.installed.RUNTIMES`, or "auto".

    Returns:
        All checks. A damaged archive is a failed check, not an error.
    """
    checks: list[Check] = []
    with tempfile.TemporaryDirectory(prefix="edgedeploy-check-") as name:
        root = Path(name) / "bundle"
        members: list[TarMember] = []
        if attempt(checks, "archive", lambda: _unpack(path, root, members)):
            top = members[0].name.partition("/")[0]
            check_contents(checks, root / top, below(top, members), runtime, named=True)
    return BundleCheck(path=path, checks=tuple(checks))


def attempt(checks: list[Check], name: str, run: Callable[[], str]) -> bool:
    """Make one check: its text is what was found, its error what is wrong."""
    try:
        checks.append(_check(name, True, run()))
    except (EdgedeployError, ContractError) as error:
        checks.append(_check(name, False, str(error)))
    return checks[-1].passed is True


def _check(name: str, passed: bool | None, detail: str) -> Check:
    # Of all the checks, only the self-test runs anything.
    level = "host" if name.startswith("self-test") else "file"
    return Check(level=level, name=name, passed=passed, detail=detail)


def below(top: str, members: Sequence[TarMember]) -> tuple[TarMember, ...]:
    """Give the files in a folder, by their names in it."""
    return tuple(
        TarMember(
            name=member.name.removeprefix(f"{top}/"),
            size_bytes=member.size_bytes,
            executable=member.executable,
        )
        for member in members
        if member.name.startswith(f"{top}/")
    )


def check_contents(
    checks: list[Check],
    folder: Path,
    members: Sequence[TarMember],
    runtime: str,
    *,
    named: bool,
) -> dict[str, Any]:
    """Check an unpacked bundle: sums, programs, target, wheels, code, answers.

    Args:
        checks: The findings are added to it.
        folder: The bundle's folder.
        members: Its files.
        runtime: A name of `ondevice.installed.RUNTIMES`, or "auto".
        named: Whether the folder's name has to be the bundle's.

    Returns:
        The manifest; empty if it cannot be read.
    """
    names = [member.name for member in members]
    manifest: dict[str, Any] = {}
    sound = attempt(checks, "sums", lambda: _check_sums(folder, names))
    attempt(checks, "programs", lambda: _check_programs(members))
    top = folder.name if named else None
    if attempt(checks, "target", lambda: _check_target(folder, top, manifest)):
        attempt(checks, "wheels", lambda: _check_wheels(folder, names, manifest))
        attempt(checks, "code", lambda: _check_code(folder, manifest))
    if not sound:
        # Altered models must not reach native code.
        checks.append(_check("self-test", False, "not run: the sums are wrong"))
        return manifest
    attempt(checks, "self-test", lambda: _replay(checks, folder, runtime))
    return manifest


def _unpack(path: Path, root: Path, members: list[TarMember]) -> str:
    members += extract_tar_gz(path, root)
    tops = {member.name.partition("/")[0] for member in members}
    if len(tops) != 1 or any("/" not in member.name for member in members):
        raise FormatError(f"{path.name}: a bundle has one folder; found {len(tops)}")
    return f"{len(members)} files below {tops.pop()}/"


def _check_sums(folder: Path, names: list[str]) -> str:
    sums: dict[str, str] = {}
    for line in _lines(folder / SUMS):
        match = _SUM_LINE.fullmatch(line)
        if match is None or match[2] in sums:
            raise VerificationError(f"{SUMS}: malformed line {line[:100]!r}")
        sums[match[2]] = match[1]
    unlisted = sorted(set(names) - set(sums) - {SUMS})
    if unlisted:
        raise VerificationError(f"{SUMS} does not list {', '.join(unlisted[:5])}")
    for name, promised in sums.items():
        found = hash_file(place(folder, name))
        if found != promised:
            raise VerificationError(
                f"{name}: expected sha256 {promised}, found {found}; it was altered"
            )
    return f"{len(sums)} files have their digests"


def _check_programs(members: Sequence[TarMember]) -> str:
    executable = {member.name for member in members if member.executable}
    missing = [name for name in _PROGRAMS if name not in executable]
    if missing:
        raise VerificationError(f"{', '.join(missing)}: missing or not executable")
    return "the scripts can be executed"


def _check_target(folder: Path, top: str | None, manifest: dict[str, Any]) -> str:
    manifest.update(read_document(folder / MANIFEST))
    target = manifest.get("target")
    if not isinstance(target, dict):
        raise VerificationError(f"{MANIFEST}: has no target")
    system = _system(manifest)
    expected = bundle_name(str(manifest.get("model")), system.python, system.arch)
    if top not in (None, expected):
        raise VerificationError(f"the folder is {top}/; its manifest says {expected}/")
    return f"Python {system.python} on {system.arch}: {system.name}"


def _system(manifest: Mapping[str, Any]) -> System:
    target = manifest["target"]
    return system_for(str(target.get("python")), str(target.get("arch")))


def _check_wheels(folder: Path, names: list[str], manifest: Mapping[str, Any]) -> str:
    system = _system(manifest)
    wheels = sorted(name[7:] for name in names if name.startswith("wheels/"))
    required = {}
    for line in _lines(folder / REQUIREMENTS):
        match = _REQUIREMENT.fullmatch(line)
        if match is None:
            raise VerificationError(f"{REQUIREMENTS}: malformed line {line[:100]!r}")
        required[match[1]] = (match[2], match[3])
    provided = {}
    for filename in wheels:
        problem = check_tags(filename, system)
        if problem:
            raise VerificationError(problem)
        parts = parse_wheel_name(filename)
        provided[parts.name] = (
            parts.version,
            hash_file(folder / "wheels" / filename),
        )
    if not wheels or provided != required:
        raise VerificationError(
            f"{REQUIREMENTS} demands {', '.join(sorted(required)) or 'nothing'} with "
            f"digests that wheels/ ({', '.join(wheels) or 'empty'}) does not meet"
        )
    return f"{len(wheels)} wheels fit {system.interpreter} on {system.arch}"


def _check_code(folder: Path, manifest: Mapping[str, Any]) -> str:
    built_by = manifest["target"].get("edgedeploy")
    if built_by != __version__:
        return f"not compared: built by edgedeploy {built_by}, this is {__version__}"
    for name, source in ondevice_sources().items():
        if hash_file(place(folder, name)) != hash_file(source):
            raise VerificationError(f"{name} is not edgedeploy {__version__}'s")
    return f"ondevice/ is edgedeploy {__version__}'s, byte for byte"


def _replay(checks: list[Check], folder: Path, runtime: str) -> str:
    """Run the self-test in a child and take its checks over."""
    report = run_isolated(
        "edgedeploy.targets.raspberry_pi.check:replay",
        {"folder": str(folder), "runtime": runtime},
        what="the bundle's self-test",
    )
    failed = [check for check in report["checks"] if check["passed"] is False]
    left = [check for check in report["checks"] if check["passed"] is None]
    checks += [
        _check(**{**check, "name": f"self-test: {check['name']}"})
        if check["passed"] is None
        else _check(**check)
        for check in report["checks"]
    ]
    if failed:
        raise VerificationError(f"{len(failed)} of its checks failed")
    if left:
        return "what could be tried here is as it should be"
    return f"{report['runtime']} {report['runtime_version']} gives the golden answers"


def replay(folder: str, runtime: str, progress: Progress) -> dict[str, Any]:
    """Run a bundle's self-test; called in a child process.

    Args:
        folder: The unpacked bundle.
        runtime: A name of `ondevice.installed.RUNTIMES`, or "auto".
        progress: Called once, when it is done.

    Returns:
        The report of `ondevice.selftest.run_selftest`.
    """
    # The bundle may be anybody's, so its native code is left alone.
    report = run_selftest(Path(folder), runtime, native=False)
    progress(1, 1)
    return report


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path.name}: cannot be read ({error})") from error
