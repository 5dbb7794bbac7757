"""What a phone says about itself, and how hot it is."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

from edgedeploy.devices.adb.client import Adb
from edgedeploy.errors import DeviceError

# android.os.PowerManager.THERMAL_STATUS_*.
_STATUS = (
    *("none", "light", "moderate", "severe", "critical", "emergency", "shutdown"),
)
_TEMPERATURE = re.compile(r"Temperature\{mValue=(-?[0-9.]+), mType=0\b")
_BATTERY = re.compile(r"battery=\s*temperature:\s*(-?\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A phone as it described itself; what it does not tell is "" or None.

    Attributes:
        model: Maker and model.
        os: Such as "Android 14 (API 34)".
        abis: What native code it runs, best first.
        soc: Maker and model of its chip.
        machine: The kernel's architecture.
        cores: Processor cores; 0 unknown.
        governor: The first core's frequency governor.
        emulated: Whether it is the emulator.
        identity: A few digits of its serial number's digest.
    """

    model: str
    os: str
    abis: tuple[str, ...]
    soc: str
    machine: str
    cores: int
    governor: str
    emulated: bool
    identity: str

    @property
    def device_id(self) -> str:
        """A name for this phone in benchmark.json."""
        text = re.sub(r"[^a-z0-9._]+", "-", self.model.lower()).strip("-.")
        return text[:80] or "android"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """How hot a phone is; None where it does not tell.

    Attributes:
        status: Android's word: "none" is cool, "severe" slows everything down.
        cpu_c: The hottest processor sensor, in degrees Celsius.
        battery_c: The battery, in degrees Celsius.
    """

    status: str | None
    cpu_c: float | None
    battery_c: float | None


def script(name: str) -> str:
    """Read a script of this package.

    Args:
        name: Its file's name.
    """
    folder = files("edgedeploy.devices.adb") / "scripts"
    return (folder / name).read_text("utf-8")


def describe(adb: Adb, serial: str) -> Description:
    """Ask a phone what it is; nothing is written there.

    Raises:
        DeviceError: If it does not answer, or with nonsense.
    """
    return parse_description(serial, adb.shell(serial, script("describe.sh")))


def parse_description(serial: str, text: str) -> Description:
    """Read what scripts/describe.sh printed.

    Args:
        serial: Whose it is, for errors.
        text: Lines of `key=value`.

    Raises:
        DeviceError: If it is not what Android prints.
    """
    values = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        values[key] = "".join(c for c in value.strip() if c.isprintable())[:200]
    abis = tuple(abi for abi in values.get("abis", "").split(",") if abi)
    if not abis:
        raise DeviceError(
            f"{serial}: its description of itself cannot be read; is it Android 5 or "
            "later?"
        )
    cores = values.get("cores", "")
    number = hashlib.sha256(values.get("serial", serial).encode()).hexdigest()
    return Description(
        model=_joined(values, "manufacturer", "model"),
        os=f"Android {values.get('release')} (API {values.get('sdk')})",
        abis=abis,
        soc=_joined(values, "soc_maker", "soc")
        or _joined(values, "platform", "hardware"),
        machine=values.get("machine", ""),
        cores=int(cores) if cores.isascii() and cores.isdigit() else 0,
        governor=values.get("governor", ""),
        emulated="1" in (values.get("emulator"), values.get("boot_emulator")),
        identity=number[:12],
    )


def read_heat(adb: Adb, serial: str) -> Heat:
    """Ask a phone how hot it is.

    Raises:
        DeviceError: If it does not answer; what it does not tell is None.
    """
    return parse_heat(adb.shell(serial, script("thermal.sh")))


def parse_heat(text: str) -> Heat:
    """Read what scripts/thermal.sh printed."""
    status = re.search(r"Thermal Status: (\d+)", text)
    number = int(status[1]) if status else -1
    cpu = [float(value) for value in _TEMPERATURE.findall(text)]
    battery = _BATTERY.search(text)
    return Heat(
        status=_STATUS[number] if 0 <= number < len(_STATUS) else None,
        cpu_c=max(cpu) if cpu else None,
        # In tenths of a degree.
        battery_c=int(battery[1]) / 10 if battery else None,
    )


def _joined(values: dict[str, str], *keys: str) -> str:
    return " ".join(dict.fromkeys(values[key] for key in keys if values.get(key)))
