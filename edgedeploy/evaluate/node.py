"""What decides the bits of an answer beside the model and the picture."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

import numpy as np
import PIL
from PIL import features

from edgedeploy.ondevice.installed import resolve_runtime, runtime_identity

# XNNPACK picks its kernels by these lines of /proc/cpuinfo, on x86 and Arm.
_CPU_LINES = ("flags", "Features", "CPU implementer", "CPU part")


def describe_node(runtime: str = "auto") -> dict[str, str]:
    """Name this machine's runtime, decoder and processor.

    Two machines of which this is equal give the same bits for the same picture.

    Args:
        runtime: A name of `installed.RUNTIMES`, or "auto".

    Raises:
        RuntimeUnavailable: If no runtime of that name works here.
    """
    name = resolve_runtime(runtime)
    return {
        "runtime": runtime_identity(name),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "jpeg": f"{features.version('jpg')} {features.version('libjpeg_turbo')}",
        "machine": platform.machine(),
        "cpu_features": cpu_features(),
    }


def cpu_features(cpuinfo: str | None = None) -> str:
    """Digest of the instructions that the processor has.

    Args:
        cpuinfo: Text of /proc/cpuinfo; None to read it.

    Returns:
        The first 16 digits of a SHA-256; the processor's name where there is no such
        file.
    """
    if cpuinfo is None:
        try:
            cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        except (OSError, ValueError):
            return platform.processor()
    found = set()
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in _CPU_LINES:
            # The order of the words is the kernel's, not the processor's.
            found.add(f"{key.strip()}={' '.join(sorted(value.split()))}")
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:16]
