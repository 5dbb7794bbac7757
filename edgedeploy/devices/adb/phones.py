"""Which phones are attached, and which of them are meant."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgedeploy.devices.adb.client import Adb
from edgedeploy.errors import DeviceError, InputError

READY = "device"
ALL = "all"
_LINE = re.compile(r"(\S+)\s+(.+?)((?:\s+[a-z_]+:\S+)*)")
_HELP = {
    "unauthorized": "unlock it and allow this computer in the dialog on its screen",
    "offline": "it does not answer; attach it anew, or adb reconnect",
    "authorizing": "it is just being asked; try again in a moment",
    "connecting": "it is just being connected; try again in a moment",
    "bootloader": "it is in its bootloader; start Android",
    "recovery": "it is in recovery; start Android",
    "sideload": "it is in sideload mode; start Android",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """One line of `adb devices -l`.

    Attributes:
        serial: What -s takes: a serial number, or host:port.
        state: "device" when it can be used.
        model: As the phone names itself; "" where it does not.
    """

    serial: str
    state: str
    model: str

    @property
    def ready(self) -> bool:
        """Whether commands reach it."""
        return self.state == READY

    @property
    def trouble(self) -> str:
        """What keeps it from being used, and what to do; "" for nothing."""
        if self.ready:
            return ""
        if self.state.startswith("no permissions"):
            return (
                "no permissions: this user may not open the USB device; install udev "
                "rules (apt-get install android-sdk-platform-tools-common)"
            )
        return f"{self.state}: {_HELP.get(self.state, 'start Android on it')}"


def list_phones(adb: Adb) -> tuple[Phone, ...]:
    """List what is attached, in whatever state.

    Raises:
        DeviceError: If adb does not tell.
    """
    ended = adb.command("devices", "-l")
    if ended.code:
        raise DeviceError(f"adb does not list phones: {ended.last_line}")
    return parse_phones(ended.text)


def parse_phones(text: str) -> tuple[Phone, ...]:
    """Read what `adb devices -l` prints, whatever is printed around it."""
    found = []
    _, _, listing = text.partition("List of devices attached")
    for line in listing.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None or line.startswith("*"):
            continue
        facts = dict(word.split(":", 1) for word in match[3].split())
        model = facts.get("model", "").replace("_", " ")
        found.append(Phone(serial=match[1], state=match[2].strip(), model=model))
    return tuple(found)


def chosen_phones(adb: Adb, wanted: str) -> tuple[Phone, ...]:
    """Choose the phones that a task is meant for.

    Args:
        adb: This machine's adb.
        wanted: A serial, "all", or "" for the only one.

    Returns:
        At least one phone; each can be used, except with "all", which leaves telling
        why to the task.

    Raises:
        DeviceError: If none is attached, or the one that is meant cannot be used.
        InputError: If it is not clear which is meant.
    """
    phones = list_phones(adb)
    if not phones:
        raise DeviceError(
            "no Android phone is attached; allow USB debugging in its developer "
            "options and plug it in, or adb connect HOST:PORT"
        )
    if wanted == ALL:
        return phones
    serials = ", ".join(f"{phone.serial} {phone.model}".strip() for phone in phones)
    if wanted:
        chosen = [phone for phone in phones if phone.serial == wanted]
        if not chosen:
            raise InputError(f"no phone {wanted} is attached; there are {serials}")
    else:
        chosen = list(phones)
        if len(chosen) > 1:
            raise InputError(
                f"{len(phones)} phones are attached ({serials}); name one with "
                "--device, or --device all"
            )
    if not chosen[0].ready:
        raise DeviceError(f"{chosen[0].serial}: {chosen[0].trouble}")
    return tuple(chosen)
