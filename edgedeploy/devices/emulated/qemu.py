"""Find a qemu that computes rightly, or fetch one; refuse those that do not.

Measured with LiteRT 2.3.0 and int8 networks: qemu 7.2 shows the host's /proc/cpuinfo,
at which LiteRT crashes, and computes wrongly in silence as `-cpu max`; version 10
gives the bits that a host gives, as cortex-a72 and as cortex-a76.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.devices.emulated.desk_programs import prepare_program
from edgedeploy.devices.emulated.elf import interpreter_of
from edgedeploy.devices.emulated.unavailable import Unavailable
from edgedeploy.devices.processes import Job, run
from edgedeploy.errors import DeviceError

PROGRAM = "qemu-aarch64"
# Nothing below was measured to compute rightly.
OLDEST = (8, 0)
# The first Debian release whose qemu-user is new enough, and needs no libraries.
_SUITE, _PACKAGE = "trixie", "qemu-user"
_VERSION_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Qemu:
    """A user-mode emulator of 64-bit Arm.

    Attributes:
        path: The program; it runs without libraries.
        version: (major, minor).
        origin: Where it is from, for people.
    """

    path: Path
    version: tuple[int, int]
    origin: str

    def __str__(self) -> str:
        """Name and version."""
        return f"qemu {self.version[0]}.{self.version[1]} ({self.origin})"


def find_qemu(*, offline: bool = False) -> Qemu:
    """Take the machine's qemu if it is good enough, else one from Debian.

    Args:
        offline: Whether only the machine and the cache may be asked.

    Raises:
        Unavailable: If there is none; the message says why each was refused.
    """
    refused = []
    for name in (f"{PROGRAM}-static", PROGRAM):
        where = shutil.which(name)
        if where is None:
            continue
        path = Path(where).resolve()
        version = _version(path)
        reason = refuse_qemu(path, version)
        if reason is None and version is not None:
            return Qemu(path=path, version=version, origin="this machine's")
        refused.append(f"{where}: {reason}")
    try:
        return _fetched(offline)
    except Unavailable as error:
        if not refused:
            raise
        raise Unavailable(f"{'; '.join(refused)}; {error}") from error


def refuse_qemu(path: Path, version: tuple[int, int] | None) -> str | None:
    """Say why a qemu must not be used, or None if it may.

    Args:
        path: The program.
        version: (major, minor), or None where it does not say.
    """
    if version is None:
        return "does not tell its version"
    if version < OLDEST:
        return (
            f"version {version[0]}.{version[1]} is refused: LiteRT crashes in 7.2, and "
            f"its int8 results can be silently wrong; {OLDEST[0]}.{OLDEST[1]} or newer "
            "is needed"
        )
    if not _is_static(path):
        return "needs shared libraries, which an emulated root lacks"
    return None


def read_version(text: str) -> tuple[int, int] | None:
    """Read the version from what `qemu-aarch64 --version` prints."""
    match = re.search(r"qemu-\S+ version (\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def _fetched(offline: bool) -> Qemu:
    folder = prepare_program(
        "qemu", suite=_SUITE, package=_PACKAGE, alone=True, gather=_gather,
        offline=offline,
    )  # fmt: skip
    path = folder / PROGRAM
    version = _version(path)
    reason = refuse_qemu(path, version)
    if reason is not None or version is None:
        raise Unavailable(f"Debian {_SUITE}'s {PROGRAM} {reason}")
    return Qemu(path=path, version=version, origin=f"Debian {_SUITE}'s, in the cache")


def _gather(unpacked: Path, folder: Path) -> None:
    (unpacked / "usr" / "bin" / PROGRAM).rename(folder / PROGRAM)


def _version(path: Path) -> tuple[int, int] | None:
    job = Job(command=(str(path), "--version"), what=path.name, timeout_s=_VERSION_S)
    try:
        return read_version(run(job).text)
    except DeviceError:
        return None


def _is_static(path: Path) -> bool:
    try:
        return interpreter_of(path) is None
    except DeviceError:  # A script, for example, which an emulated root cannot run.
        return False
