"""What a host is, asked before anything is written to it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from edgedeploy.devices.ssh.connection import Connection
from edgedeploy.errors import DeviceError

_PROBE_TIMEOUT_S = 90.0
_PYTHON = re.compile(r"(\d+\.\d+)/(32|64)")
# A 64-bit kernel can carry a 32-bit system; wheels are chosen by the system.
_NARROW = {"aarch64": "armv7l", "x86_64": "i686"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A host as it described itself; what it does not tell is "" or None.

    Attributes:
        machine: The kernel's architecture.
        hostname: Its name for itself.
        board: Such as "Raspberry Pi 5 Model B Rev 1.0".
        os: The operating system's name and version.
        pythons: (version, architecture) of each Python, the one that python3 is first.
        lacks: Programs that an installation needs and that are missing.
        unwritable: Folders that would have to be written and cannot be.
        free_bytes: Room for the upload cache and for the installation; None unknown.
        prefix: Where the model is or would be installed.
        installed: SHA-256 of the installed version's SHA256SUMS; "" for none.
        models: SHA-256 of the installed models by recipe.
        governor: The first core's frequency governor.
        temperature_c: Of the processor, in degrees Celsius.
        throttled: The Raspberry Pi firmware's word, such as "0x0".
        identity: Digest of the machine's id.
    """

    machine: str
    hostname: str
    board: str
    os: str
    pythons: tuple[tuple[str, str], ...]
    lacks: tuple[str, ...]
    unwritable: tuple[str, ...]
    free_bytes: tuple[int, int] | None
    prefix: str
    installed: str
    models: tuple[tuple[str, str], ...]
    governor: str | None
    temperature_c: float | None
    throttled: str | None
    identity: str

    @property
    def device_id(self) -> str:
        """A name for this device in benchmark.json: board and host name."""
        text = f"{self.board or self.machine}-{self.hostname}".lower()
        return re.sub(r"[^a-z0-9._]+", "-", text).strip("-.")[:80] or "device"


def probe(connection: Connection, model: str) -> Remote:
    """Ask a host what it is; nothing is written there.

    Args:
        connection: To the host.
        model: The model's name, to find what is installed of it.

    Raises:
        DeviceError: If it does not answer, or with nonsense.
    """
    answer = connection.run("probe", {"model": model}, timeout_s=_PROBE_TIMEOUT_S)
    try:
        return parse_probe(answer.text)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DeviceError(
            f"{connection.host.name}: its description of itself cannot be read "
            f"({type(error).__name__}: {str(error)[:80]}); is it Linux?"
        ) from error


def parse_probe(text: str) -> Remote:
    """Read what scripts/probe.sh printed.

    Args:
        text: Lines of `key=value`; a key may occur several times.

    Raises:
        KeyError: If a key is missing.
        ValueError: If a value is malformed.
    """
    values: defaultdict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if value.strip():
            values[key].append(_printable(value.strip()))
    (machine,) = values["machine"]
    free = [int(value) * 1024 for value in values["free_kb"]]
    degrees = values["millidegrees"]
    return Remote(
        machine=machine[:40],
        hostname=_first(values, "hostname"),
        board=_first(values, "board"),
        os=_first(values, "os"),
        pythons=_pythons(machine, values["python"]),
        lacks=tuple(values["lacks"]),
        unwritable=tuple(dict.fromkeys(values["unwritable"])),
        free_bytes=(free[0], free[1]) if len(free) == 2 else None,
        prefix=_first(values, "prefix"),
        installed=_first(values, "installed"),
        models=_models("".join(values["contract"])),
        governor=_first(values, "governor") or None,
        temperature_c=round(int(degrees[0]) / 1000, 1) if degrees else None,
        throttled=_first(values, "throttled").rpartition("=")[2] or None,
        identity=_first(values, "identity")[:12],
    )


def _first(values: dict[str, list[str]], key: str) -> str:
    found = values.get(key)
    return found[0][:200] if found else ""


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


def _pythons(machine: str, lines: list[str]) -> tuple[tuple[str, str], ...]:
    found = []
    for line in lines:
        match = _PYTHON.fullmatch(line)
        if match:
            narrow = _NARROW.get(machine, machine)
            found.append((match[1], machine if match[2] == "64" else narrow))
    return tuple(dict.fromkeys(found))


def _models(text: str) -> tuple[tuple[str, str], ...]:
    if not text:
        return ()
    variants: dict[str, Any] = json.loads(text)["variants"]
    return tuple((str(name), str(one["sha256"])) for name, one in variants.items())
