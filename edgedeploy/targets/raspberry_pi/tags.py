"""Wheel file names and whether they fit a system.

Names: the binary distribution format (PEP 427, PEP 491). Tags: PEP 425, with
manylinux as of PEP 600 and its older aliases (PEP 513, 571, 599).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgedeploy.errors import PackageError
from edgedeploy.targets.raspberry_pi.systems import System

_ALIASES = {
    "manylinux1": (2, 5),
    "manylinux2010": (2, 12),
    "manylinux2014": (2, 17),
}
# manylinux_2_17 is the oldest that an Arm wheel can have been built for.
_OLDEST_MINOR = 17
_NAME = re.compile(
    r"(?P<name>[A-Za-z0-9_.]+)-(?P<version>[A-Za-z0-9_.!+]+)(?:-\d[A-Za-z0-9_]*)?"
    r"-(?P<python>[a-z0-9_.]+)-(?P<abi>[a-z0-9_.]+)-(?P<platform>[a-z0-9_.]+)\.whl"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelName:
    """The parts of a wheel's file name.

    Attributes:
        name: The distribution's normalised name (PEP 503).
        version: Its version.
        pythons: Python tags.
        abis: ABI tags.
        platforms: Platform tags.
    """

    name: str
    version: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    platforms: tuple[str, ...]


def platform_tags(system: System) -> tuple[str, ...]:
    """List every platform tag that fits, the newest first.

    pip takes a list literally when it resolves for another machine: a current
    release that says only manylinux_2_27 is missed unless that very tag is listed.
    """
    major, newest = system.glibc
    tags = [
        f"manylinux_{major}_{minor}_{system.arch}"
        for minor in range(newest, _OLDEST_MINOR - 1, -1)
    ]
    return (*tags, f"manylinux2014_{system.arch}", f"linux_{system.arch}")


def parse_wheel_name(filename: str) -> WheelName:
    """Take a wheel's file name apart.

    Raises:
        PackageError: If it is no wheel's.
    """
    match = _NAME.fullmatch(filename)
    if match is None:
        raise PackageError(f"{filename!r} is no wheel's file name (PEP 427)")
    return WheelName(
        name=re.sub(r"[-_.]+", "-", match["name"]).lower(),
        version=match["version"],
        pythons=tuple(match["python"].split(".")),
        abis=tuple(match["abi"].split(".")),
        platforms=tuple(match["platform"].split(".")),
    )


def check_tags(filename: str, system: System) -> str | None:
    """Say why a wheel does not fit a system, or None if it does.

    Raises:
        PackageError: If the name is no wheel's.
    """
    wheel = parse_wheel_name(filename)
    fits = any(
        _fits_interpreter(python, abi, system)
        for python in wheel.pythons
        for abi in wheel.abis
    )
    if not fits:
        return (
            f"{filename} is for {'.'.join(wheel.pythons)}, "
            f"expected {system.interpreter}"
        )
    if not any(_fits_platform(tag, system) for tag in wheel.platforms):
        major, minor = system.glibc
        return (
            f"{filename} is for {'.'.join(wheel.platforms)}, expected {system.arch} "
            f"with glibc up to {major}.{minor}"
        )
    return None


def oldest_glibc(filename: str, system: System) -> tuple[int, int]:
    """Find the oldest glibc that a wheel runs with.

    Returns:
        (major, minor); (0, 0) for a wheel without native code.

    Raises:
        PackageError: If the name is no wheel's, or its tags do not fit the system.
    """
    tags = parse_wheel_name(filename).platforms
    fitting = [tag for tag in tags if _fits_platform(tag, system)]
    if not fitting:
        raise PackageError(f"{filename} does not fit {system.arch}")
    return min(_glibc(tag, system) for tag in fitting)


def _glibc(tag: str, system: System) -> tuple[int, int]:
    match = re.match(r"manylinux_(\d+)_(\d+)_", tag)
    if match:
        return int(match[1]), int(match[2])
    return _ALIASES.get(tag.removesuffix(f"_{system.arch}"), (0, 0))


def _fits_interpreter(python: str, abi: str, system: System) -> bool:
    minor = int(system.python.split(".")[1])
    if python == system.interpreter:
        return abi in (system.interpreter, "abi3", "none")
    older = re.fullmatch(r"cp3(\d+)", python)
    if older and abi == "abi3":
        return int(older[1]) <= minor
    return python in ("py3", f"py3{minor}") and abi == "none"


def _fits_platform(tag: str, system: System) -> bool:
    if tag in ("any", f"linux_{system.arch}"):
        return True
    match = re.fullmatch(rf"manylinux_(\d+)_(\d+)_{system.arch}", tag)
    if match:
        return (int(match[1]), int(match[2])) <= system.glibc
    alias = tag.removesuffix(f"_{system.arch}")
    return alias != tag and _ALIASES.get(alias, (99, 0)) <= system.glibc
