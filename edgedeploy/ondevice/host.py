"""What machine this is, for the record beside every figure that it gives."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .conditions import read_conditions
from .installed import resolve_runtime, runtime_version

_ARM_MACHINES = ("aarch64", "arm64", "armv7l", "armv6l")


def describe_host(runtime: str = "auto") -> dict[str, Any]:
    """Describe this machine; what it does not tell is None.

    Args:
        runtime: A name of `installed.RUNTIMES`, or "auto".

    Returns:
        {"machine", "cpu", "cores", "python", "runtime", "runtime_version", "os",
        "governor", "throttled", "temperature_c", "emulated"}; `throttled` is the
        Raspberry Pi firmware's word, such as "0x0".

    Raises:
        RuntimeUnavailable: If no runtime of that name works here.
    """
    name = resolve_runtime(runtime)
    return {
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cores": usable_cores(),
        "python": platform.python_version(),
        "runtime": name,
        "runtime_version": runtime_version(name),
        "os": _system(),
        **asdict(read_conditions()),
        "emulated": is_emulated(),
    }


def usable_cores() -> int:
    """Count the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_emulated(
    machine: str | None = None, proc: Path = Path("/proc"), name: str | None = None
) -> bool:
    """Tell whether qemu's user-mode emulation is seen; its times mean nothing.

    Args:
        machine: The architecture that Python reports; None for this machine's.
        proc: Where the process file system is.
        name: This process's command name; None to read it.

    Returns:
        True if an emulator was seen, False if not (a good one may hide).
    """
    machine = platform.machine() if machine is None else machine
    if name is None:
        name = _first_line(str(proc / "self/comm")) or ""
    if name.startswith("qemu-"):
        return True
    # Since Linux 6.1 the kernel tells what it was built for, and qemu lets it.
    kernel = _read(str(proc / "sys/kernel/arch")).strip()
    if machine in _ARM_MACHINES and kernel and not kernel.startswith(("arm", "aarch")):
        return True
    cpuinfo = _read(str(proc / "cpuinfo")).lower()
    if machine in _ARM_MACHINES:
        # Older qemu lets the x86 host's file show through.
        return "vendor_id" in cpuinfo and "cpu implementer" not in cpuinfo
    return "qemu tcg cpu" in cpuinfo


def peak_rss_bytes(status: str | None = None) -> int | None:
    """Peak resident memory of this process (VmHWM), or None where /proc lacks it.

    Args:
        status: Text of /proc/self/status; None to read it.
    """
    text = _read("/proc/self/status") if status is None else status
    for line in text.splitlines():
        fields = line.split()
        if line.startswith("VmHWM:") and len(fields) == 3 and fields[1].isdigit():
            return int(fields[1]) * 1024
    return None


def _cpu() -> str | None:
    # A Raspberry Pi names its board there; the core is only a number in cpuinfo.
    board = _first_line("/proc/device-tree/model")
    if board:
        return board
    for line in _read("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware") and value.strip():
            return value.strip()
    return platform.processor() or None


def _system() -> str:
    for line in _read("/etc/os-release").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip().strip('"')
    return f"{platform.system()} {platform.release()}"


def _first_line(path: str) -> str | None:
    lines = _read(path).strip("\0\n ").splitlines()
    return lines[0].strip("\0 ") if lines else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
