"""What a machine was doing while it was measured: clock policy, throttling, heat."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Asking the firmware starts a program, so not after every round.
LOOK_EVERY_S = 2.0

# vcgencmd get_throttled, as documented for Raspberry Pi OS: the lower bits are now,
# and 16 higher the same has happened since the start of the system.
_NOW = {
    0: "under-voltage",
    1: "the clock is capped",
    2: "throttled",
    3: "the soft temperature limit is active",
}


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """One look at the machine; None is what it does not tell.

    Attributes:
        governor: The first core's clock policy, such as "ondemand".
        throttled: The Raspberry Pi firmware's word, such as "0x50000".
        temperature_c: Of the first thermal zone, in degrees Celsius.
    """

    governor: str | None
    throttled: str | None
    temperature_c: float | None


def read_conditions(root: Path = Path("/")) -> Conditions:
    """Look at the machine.

    Args:
        root: Where /sys is.
    """
    return Conditions(
        governor=_first_line(
            root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
        ),
        throttled=_ask_firmware() or _read_firmware_file(root),
        temperature_c=_temperature(root),
    )


def throttle_bits(word: str | None) -> int:
    """Read the firmware's word; nothing and nonsense have no bits."""
    try:
        return int(word, 16) if word else 0
    except ValueError:
        return 0


def name_throttling(bits: int) -> str:
    """Name the bits that are set now, for people."""
    return ", ".join(text for bit, text in _NOW.items() if bits >> bit & 1)


class ConditionLog:
    """Conditions before, during and after a measurement."""

    def __init__(self) -> None:
        self._before = self._last = read_conditions()
        self._during = throttle_bits(self._before.throttled)
        self._hottest_c = self._before.temperature_c
        self._looked = time.monotonic()

    def look(self) -> None:
        """Take note of the conditions, if the last look is some time ago."""
        if time.monotonic() - self._looked >= LOOK_EVERY_S:
            self._take(read_conditions())

    def finish(self) -> dict[str, Any]:
        """Look once more and sum up.

        Returns:
            {"before", "after": {"governor", "throttled", "temperature_c"},
            "throttled_during": all bits that were seen, or None, "hottest_c",
            "warnings": [text]}.
        """
        self._take(read_conditions())
        told = self._last.throttled is not None
        return {
            "before": asdict(self._before),
            "after": asdict(self._last),
            "throttled_during": f"{self._during:#x}" if told else None,
            "hottest_c": self._hottest_c,
            "warnings": compare_conditions(self._before, self._last, self._during),
        }

    def _take(self, seen: Conditions) -> None:
        self._last = seen
        self._looked = time.monotonic()
        self._during |= throttle_bits(seen.throttled)
        warm = [t for t in (self._hottest_c, seen.temperature_c) if t is not None]
        self._hottest_c = max(warm) if warm else None


def compare_conditions(before: Conditions, after: Conditions, during: int) -> list[str]:
    """Say in words what makes a measurement doubtful.

    Args:
        before: The first look.
        after: The last look.
        during: All throttling bits of all looks.

    Returns:
        One text for each reason; none if nothing was seen.
    """
    warnings = []
    first, last = throttle_bits(before.throttled), throttle_bits(after.throttled)
    # A bit that says "has happened" may have risen and the other fallen between looks.
    risen = (last & ~first) >> 16 & 0xF
    started = (during & 0xF | risen) & ~(first & 0xF)
    if first & 0xF:
        warnings.append(f"from the start: {name_throttling(first)}")
    if started:
        warnings.append(f"during the run: {name_throttling(started)}")
    ended = first & 0xF & ~last
    if ended:
        warnings.append(f"ended during the run: {name_throttling(ended)}")
    if before.governor != after.governor:
        warnings.append(
            f"the clock's governor changed from {before.governor} to {after.governor}"
        )
    return warnings


def explain_missing(summary: dict[str, Any]) -> dict[str, str]:
    """Give the reason for each figure of `ConditionLog.finish` that is None."""
    reasons = {
        "governor": "this kernel offers no cpufreq/scaling_governor",
        "throttled": "no vcgencmd and no firmware file: not a Raspberry Pi, or no "
        "permission to ask its firmware",
        "temperature_c": "this kernel offers no thermal_zone0",
    }
    same = {"throttled_during": "throttled", "hottest_c": "temperature_c"}
    missing = {
        f"conditions.{when}.{name}": reason
        for when in ("before", "after")
        for name, reason in reasons.items()
        if summary[when][name] is None
    }
    for name, source in same.items():
        if summary[name] is None:
            missing[f"conditions.{name}"] = reasons[source]
    return missing


def _ask_firmware() -> str | None:
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        answer = subprocess.run(
            [program, "get_throttled"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    name, _, value = answer.strip().partition("=")
    return value if name == "throttled" and value else None


def _read_firmware_file(root: Path) -> str | None:
    """Ubuntu on a Raspberry Pi has no vcgencmd; its kernel shows the word in hex."""
    pattern = "sys/devices/platform/soc*/soc*:firmware/get_throttled"
    for path in sorted(root.glob(pattern)):
        text = _first_line(path)
        try:
            return f"{int(text, 16):#x}" if text else None
        except ValueError:
            return None
    return None


def _temperature(root: Path) -> float | None:
    text = _first_line(root / "sys/class/thermal/thermal_zone0/temp")
    try:
        return round(int(text) / 1000, 1) if text else None
    except ValueError:
        return None


def _first_line(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline(4096).strip() or None
    except OSError:
        return None
