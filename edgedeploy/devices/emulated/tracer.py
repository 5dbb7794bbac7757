"""A program that lets emulated programs start others: proot, with its libraries.

Plain qemu runs one Arm program; when that starts another, the kernel does not know
Arm programs. proot sees each start through ptrace and puts qemu before it. Registering
qemu with the kernel would do as well, and would change the machine.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.devices.emulated.desk_programs import prepare_program
from edgedeploy.devices.emulated.elf import interpreter_of
from edgedeploy.devices.emulated.unavailable import Unavailable

_SUITE, _PACKAGE = "bookworm", "proot"
LOADER, PROGRAM = "loader", "proot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracer:
    """proot, its loader and its libraries, side by side in one folder.

    Attributes:
        folder: With `loader`, `proot` and the libraries.
    """

    folder: Path


def prepare_tracer(*, offline: bool = False) -> Tracer:
    """Give proot with all that it needs, fetched the first time.

    Its libraries come along because the emulated root has Arm's alone.

    Args:
        offline: Whether only the cache may be asked.

    Raises:
        Unavailable: If it cannot be had.
    """
    folder = prepare_program(
        "proot", suite=_SUITE, package=_PACKAGE, alone=False, gather=_gather,
        offline=offline,
    )  # fmt: skip
    return Tracer(folder=folder)


def _gather(unpacked: Path, folder: Path) -> None:
    program = unpacked / "usr" / "bin" / PROGRAM
    loader = interpreter_of(program)
    if loader is None:
        raise Unavailable(f"Debian {_SUITE}'s {_PACKAGE} is not the one expected")
    shutil.copy(program, folder / PROGRAM)
    # What converts character sets has no version in its name, and is not needed.
    for path in sorted(unpacked.rglob("lib*.so.*")):
        shutil.copy(path, folder / path.name)
    found = next(unpacked.rglob(Path(loader).name))
    shutil.copy(found, folder / LOADER)
