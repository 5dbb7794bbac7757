"""Arm processors that qemu can be told to be, as the kernel would describe them.

Part numbers: MIDR_EL1 in each core's technical reference manual. Feature words:
arch/arm64/kernel/cpuinfo.c of Linux.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import InputError

_ARMV8_0 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_ARMV8_2 = f"{_ARMV8_0} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
_CORES = 4
_CPU_RANGE = f"0-{_CORES - 1}\n"
# LiteRT's cpuinfo library reads these; without them XNNPACK does not start, and every
# answer comes from other kernels.
_CPU_LISTS = ("possible", "present", "online")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """A processor.

    Attributes:
        name: qemu's name of it.
        board: Where a Raspberry Pi has it.
        part: Part number of MIDR_EL1.
        features: Words of /proc/cpuinfo.
    """

    name: str
    board: str
    part: int
    features: str

    @property
    def cpuinfo(self) -> str:
        """The text of /proc/cpuinfo."""
        return "\n".join(
            f"processor\t: {number}\n"
            "BogoMIPS\t: 108.00\n"
            f"Features\t: {self.features}\n"
            "CPU implementer\t: 0x41\n"
            "CPU architecture: 8\n"
            "CPU variant\t: 0x0\n"
            f"CPU part\t: {self.part:#05x}\n"
            "CPU revision\t: 3\n"
            for number in range(_CORES)
        )


def describe_cpu(root: Path, cpu: Cpu) -> None:
    """Write what programs read of the processor: cpuinfo and /sys.

    Args:
        root: The root folder that they see.
        cpu: The processor.
    """
    for name, text in (
        ("proc/cpuinfo", cpu.cpuinfo),
        *((f"sys/devices/system/cpu/{name}", _CPU_RANGE) for name in _CPU_LISTS),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")


CPUS = {
    cpu.name: cpu
    for cpu in (
        Cpu(
            name="cortex-a53",
            board="Raspberry Pi 3 and Zero 2 W",
            part=0xD03,
            features=_ARMV8_0,
        ),
        Cpu(
            name="cortex-a72",
            board="Raspberry Pi 4",
            part=0xD08,
            features=_ARMV8_0,
        ),
        Cpu(
            name="cortex-a76",
            board="Raspberry Pi 5",
            part=0xD0B,
            features=_ARMV8_2,
        ),
    )
}
DEFAULT_CPUS = ("cortex-a72", "cortex-a76")


def cpu_named(name: str) -> Cpu:
    """Look a processor up.

    Raises:
        InputError: If it is not one of the table; "max" is refused with the reason.
    """
    if name in CPUS:
        return CPUS[name]
    if name in ("max", "host"):
        raise InputError(
            f"cpu {name} is refused: qemu 7.2 computes int8 networks wrongly with it, "
            f"in silence, and no device is like it; take {', '.join(CPUS)}"
        )
    raise InputError(f"cpu must be {', '.join(CPUS)}; received {name!r}")
