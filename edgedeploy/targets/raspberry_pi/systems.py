"""The systems that a bundle can be made for: Python, architecture, glibc, runtime.

Which wheels exist was looked up in the package index: ai-edge-litert has none for
32-bit Arm, and tflite-runtime, its ancestor, none after Python 3.11.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A processor family, under the names that others have for it.

    Attributes:
        name: The one in wheel tags, such as "aarch64".
        bits: Size of a pointer.
        machines: What `uname -m` may say; a 64-bit kernel can carry 32-bit programs.
        debian: Debian's name of it, such as "arm64".
    """

    name: str
    bits: int
    machines: tuple[str, ...]
    debian: str


ARCHITECTURES = {
    one.name: one
    for one in (
        Architecture(name="aarch64", bits=64, machines=("aarch64",), debian="arm64"),
        Architecture(
            name="armv7l",
            bits=32,
            machines=("armv7l", "armv8l", "aarch64"),
            debian="armhf",
        ),
        # No Raspberry Pi; it is what the desk and the tests can run.
        Architecture(name="x86_64", bits=64, machines=("x86_64",), debian="amd64"),
    )
}

# Python: glibc and name of the system that brings it.
SYSTEMS = {
    "3.11": ((2, 36), "Debian or Raspberry Pi OS 12 (bookworm)"),
    "3.12": ((2, 39), "Ubuntu 24.04"),
    "3.13": ((2, 41), "Debian or Raspberry Pi OS 13 (trixie)"),
}

LITERT = "ai-edge-litert>=2.3,<3"
TFLITE_RUNTIME = "tflite-runtime==2.14.0"
_PILLOW = "pillow>=10.4"
# Debian's picamera2 of bookworm is built against NumPy 1 and breaks beside NumPy 2.
_NUMPY_1 = "numpy>=1.26,<2"
_NUMPY_2 = "numpy>=2.1,<3"

_OTHER_NAMES = {
    "arm64": "aarch64",
    "armv8l": "armv7l",
    "armhf": "armv7l",
    "armv7": "armv7l",
    "amd64": "x86_64",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What wheels have to fit.

    Attributes:
        python: Such as "3.11".
        arch: A key of `ARCHITECTURES`, such as "aarch64".
        glibc: (major, minor) of the C library.
        name: For people.
    """

    python: str
    arch: str
    glibc: tuple[int, int]
    name: str

    @property
    def interpreter(self) -> str:
        """CPython's tag, such as "cp311"."""
        return "cp" + self.python.replace(".", "")

    @property
    def architecture(self) -> Architecture:
        """The processor family."""
        return ARCHITECTURES[self.arch]

    @property
    def runtime(self) -> str:
        """The runtime, as `ondevice.installed.RUNTIMES` names it."""
        return "litert" if self.architecture.bits == 64 else "tflite-runtime"

    @property
    def requirements(self) -> tuple[str, ...]:
        """What pip is asked for when nothing is locked."""
        if self.runtime == "tflite-runtime":
            return (TFLITE_RUNTIME,)
        numpy = _NUMPY_1 if self.python == "3.11" else _NUMPY_2
        return (LITERT, numpy, _PILLOW)

    @property
    def distributions(self) -> tuple[str, ...]:
        """Names of the wheels that a bundle carries, sorted."""
        if self.runtime == "tflite-runtime":
            return ("tflite-runtime",)
        return ("ai-edge-litert", "numpy", "pillow")

    @property
    def system_packages(self) -> tuple[str, ...]:
        """Debian packages that stand in where no wheels exist."""
        if self.runtime == "tflite-runtime":
            return ("python3-numpy", "python3-pil")
        return ()


def system_for(python: str, arch: str) -> System:
    """Find the system with a version of Python on an architecture.

    Args:
        python: A key of `SYSTEMS`.
        arch: A key of `ARCHITECTURES`.

    Raises:
        InputError: If there are no wheels for it; the message says why, and what
            comes nearest.
    """
    _check_arch(arch)
    if python not in SYSTEMS:
        raise InputError(
            f"python must be {', '.join(SYSTEMS)}; received {python!r}. Nearest: "
            f"{_nearest(python)} (Raspberry Pi OS bookworm has 3.11, trixie 3.13)"
        )
    if ARCHITECTURES[arch].bits == 32 and python != "3.11":
        raise InputError(
            f"no runtime has wheels for Python {python} on {arch}: ai-edge-litert is "
            "64-bit only, tflite-runtime ends at Python 3.11. Nearest: 3.11 on "
            f"{arch} (32-bit bookworm), or {python} on aarch64 (64-bit system)"
        )
    glibc, name = SYSTEMS[python]
    if ARCHITECTURES[arch].bits == 32:
        name = f"{name}, 32-bit"
    return System(python=python, arch=arch, glibc=glibc, name=name)


def pythons_on(arch: str) -> tuple[str, ...]:
    """List the Pythons that a bundle can be made for.

    Raises:
        InputError: If there is no such architecture.
    """
    _check_arch(arch)
    return tuple(SYSTEMS) if ARCHITECTURES[arch].bits == 64 else ("3.11",)


def _check_arch(arch: str) -> None:
    if arch in ARCHITECTURES:
        return
    if arch in _OTHER_NAMES:
        raise InputError(f"arch {arch!r} is called {_OTHER_NAMES[arch]} here")
    if arch == "armv6l":
        raise InputError(
            "no runtime has wheels for armv6l (Raspberry Pi 1, Zero, Zero W). Nearest: "
            "aarch64 on a Zero 2 W, or a Raspberry Pi 3 and later"
        )
    raise InputError(f"arch must be {' or '.join(ARCHITECTURES)}; received {arch!r}")


def _nearest(python: str) -> str:
    """Find the closest version that there is; for anything odd, the oldest."""
    known = tuple(SYSTEMS)
    major, _, minor = python.partition(".")
    if major != "3" or not minor.isdecimal() or len(minor) > 3:
        return known[0]
    return min(known, key=lambda one: abs(int(one[2:]) - int(minor)))
