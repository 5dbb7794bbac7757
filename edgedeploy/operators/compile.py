"""Compile an operator's C source, for each kind of device that has a compiler here.

Compilers are looked for, never required: an ABI without one is left out, by name.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import ConversionError, InputError
from edgedeploy.workspace import write_bytes

HEADER = Path(__file__).with_name("sources") / "edgedeploy_op.h"
MAX_SOURCE_BYTES = 1 << 20
_TIMEOUT_S = 120
# Without contraction a product and a sum are rounded twice everywhere, so that Arm and
# x86 give the same bits.
_FLAGS = (
    *("-std=c11", "-O3", "-fPIC", "-shared", "-ffp-contract=off"),
    *("-fvisibility=hidden", "-g0", "-Wall", "-Wextra", "-Werror"),
    "-Wl,--build-id=none",
)
_NDK_API = 24
# ABI: the machine it is for, and names of compilers, the first that is found.
ABIS: dict[str, tuple[str, tuple[str, ...]]] = {
    "linux-x86_64": ("x86_64", ("x86_64-linux-gnu-gcc",)),
    "linux-aarch64": ("aarch64", ("aarch64-linux-gnu-gcc",)),
    "android-arm64-v8a": ("", (f"aarch64-linux-android{_NDK_API}-clang",)),
    "android-x86_64": ("", (f"x86_64-linux-android{_NDK_API}-clang",)),
}
_NATIVE = ("gcc", "cc", "clang")
_ADVICE = {
    "linux-x86_64": "apt-get install gcc-x86-64-linux-gnu",
    "linux-aarch64": "apt-get install gcc-aarch64-linux-gnu",
    "android-arm64-v8a": "install the Android NDK and set ANDROID_NDK_HOME",
    "android-x86_64": "install the Android NDK and set ANDROID_NDK_HOME",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """A compiler for an ABI, or what to do about having none.

    Attributes:
        abi: A key of `ABIS`.
        compiler: The program, or None.
        advice: How to get one.
    """

    abi: str
    compiler: Path | None
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """An operator, compiled.

    Attributes:
        abi: A key of `ABIS`.
        path: The shared library.
        sha256: Its digest, hexadecimal.
        compiler: First line of the compiler's --version.
    """

    abi: str
    path: Path
    sha256: str
    compiler: str


def host_abi() -> str:
    """The ABI of this machine's own libraries, such as "linux-x86_64"."""
    return f"linux-{platform.machine()}"


def toolchains() -> tuple[Toolchain, ...]:
    """Look for a compiler of each ABI."""
    return tuple(
        Toolchain(abi=abi, compiler=_find(abi), advice=_ADVICE[abi]) for abi in ABIS
    )


def compile_op(source: Path, toolchain: Toolchain, out: Path) -> Library:
    """Compile an operator for one ABI; the same compiler gives the same bytes.

    Args:
        source: C11, one file, which includes "edgedeploy_op.h" and exports
            `edgedeploy_op`.
        toolchain: Must have a compiler.
        out: The shared library; replaced in one step.

    Returns:
        The library.

    Raises:
        InputError: If the source cannot be read.
        ConversionError: If there is no compiler, or it refuses the source.
        WorkspaceError: If the library cannot be written.
    """
    if toolchain.compiler is None:
        raise ConversionError(
            f"no compiler for {toolchain.abi} at hand; {toolchain.advice}"
        )
    text = read_source(source)
    # A folder of its own, and names without it: paths must not reach the bytes.
    with tempfile.TemporaryDirectory(prefix="edgedeploy-op-") as name:
        folder = Path(name)
        (folder / "op.c").write_bytes(text)
        shutil.copyfile(HEADER, folder / HEADER.name)
        words = [str(toolchain.compiler), *_FLAGS, "-o", "op.so", "op.c", "-lm"]
        _run(words, folder, f"{source.name} for {toolchain.abi}")
        data = (folder / "op.so").read_bytes()
    write_bytes(out, data)
    return Library(
        abi=toolchain.abi,
        path=out,
        sha256=hashlib.sha256(data).hexdigest(),
        compiler=_version(toolchain.compiler),
    )


def read_source(source: Path) -> bytes:
    """Read an operator's source.

    Raises:
        InputError: If it is missing, too large or no UTF-8.
    """
    try:
        if source.stat().st_size > MAX_SOURCE_BYTES:
            raise InputError(f"{source}: larger than {MAX_SOURCE_BYTES} bytes")
        data = source.read_bytes()
        data.decode()
    except OSError as error:
        raise InputError(
            f"{source}: the operator's source cannot be read ({error.strerror})"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: the operator's source is not UTF-8") from error
    return data


def _find(abi: str) -> Path | None:
    machine, names = ABIS[abi]
    native = _NATIVE if machine == platform.machine() else ()
    for name in (*native, *names):
        found = shutil.which(name) or shutil.which(name, path=_ndk_programs())
        if found:
            return Path(found)
    return None


def _ndk_programs() -> str:
    home = os.environ.get("ANDROID_NDK_HOME", "")
    if not home:
        return ""
    folders = (Path(home) / "toolchains" / "llvm" / "prebuilt").glob("*/bin")
    return os.pathsep.join(str(folder) for folder in sorted(folders))


def _run(words: list[str], folder: Path, what: str) -> str:
    environment = {**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConversionError(f"compiling {what}: {words[0]}: {error}") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        first = next((line for line in lines if "error" in line), "no reason given")
        raise ConversionError(f"compiling {what}: {first.strip()}")
    return done.stdout.decode(errors="replace")


def _version(compiler: Path) -> str:
    lines = _run([str(compiler), "--version"], Path.cwd(), "nothing").splitlines()
    return lines[0].strip() if lines else compiler.name
