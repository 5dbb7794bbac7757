"""Android's own adb, run as a program; one call a command."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.devices.processes import Ended, Job, run
from edgedeploy.errors import DeviceError, InputError

_SERVER_TIMEOUT_S = 60.0
_TIMEOUT_S = 120.0
# What adb says when the phone goes away in the middle of a command.
_LOST = re.compile(
    r"broken pipe|connection reset|device offline|error: closed|device .*not found|"
    r"no devices/emulators found|protocol fault|read from device|copy response",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adb:
    """The adb program of this machine.

    Attributes:
        program: Its path.
        environment: All of its variables; None for ours.
    """

    program: str
    environment: Mapping[str, str] | None = None

    def command(
        self, *words: str, serial: str = "", timeout_s: float = _TIMEOUT_S
    ) -> Ended:
        """Run one adb command to its end, whatever its exit code.

        Args:
            *words: The command and its arguments.
            serial: The phone; "" for commands to adb itself.
            timeout_s: After which adb is killed.

        Raises:
            DeviceError: If adb cannot be started or takes too long.
        """
        target = ("-s", serial) if serial else ()
        what = f"{serial}: adb {words[0]}" if serial else f"adb {words[0]}"
        return run(
            Job(
                command=(self.program, *target, *words),
                what=what,
                timeout_s=timeout_s,
                environment=self.environment,
            )
        )

    def shell(self, serial: str, script: str, *, timeout_s: float = _TIMEOUT_S) -> str:
        """Run a script in the phone's shell and give what it printed.

        Args:
            serial: The phone.
            script: For Android's /system/bin/sh; what it says on standard error is
                given with the rest, in order.
            timeout_s: After which adb is killed.

        Raises:
            DeviceError: If the connection drops or the script fails.
        """
        # Phones before Android 7 give no exit codes, and a connection that drops may
        # look like an end: only the last line proves that the script came to its own.
        ended = self.command(
            "shell",
            f"( {script}\n) 2>&1\necho {_END}$?",
            serial=serial,
            timeout_s=timeout_s,
        )
        text, found, code = ended.text.replace("\r\n", "\n").rpartition(_END)
        if not found:
            raise lost(serial, "shell", ended)
        if code.strip() != "0":
            lines = [line for line in text.splitlines() if line.strip()]
            last = lines[-1][:300] if lines else f"exit code {code.strip()[:20]}"
            raise DeviceError(f"{serial}: the phone's shell says: {last}")
        return text

    def push(self, serial: str, source: Path, target: str) -> None:
        """Copy a file to the phone.

        Args:
            serial: The phone.
            source: The file.
            target: Its path there.

        Raises:
            DeviceError: If it did not arrive.
        """
        # A minute, and a second for each half megabyte: USB 2 at its worst.
        timeout_s = 60 + source.stat().st_size / 500_000
        ended = self.command(
            "push", str(source), target, serial=serial, timeout_s=timeout_s
        )
        if ended.code:
            raise lost(serial, f"push of {source.name}", ended)


_END = "edgedeploy-exit-code="
_ERROR = re.compile(r"(adb: )?(error|failed)\b", re.IGNORECASE)


def find_adb() -> Adb:
    """Find adb and have its server run.

    Raises:
        DeviceError: If it is missing, or its server does not start.
    """
    program = shutil.which("adb")
    if program is None:
        raise DeviceError(
            "adb is not installed; apt-get install adb, or put the platform-tools of "
            "the Android SDK on PATH"
        )
    adb = Adb(program=program, environment=dict(os.environ))
    ended = adb.command("start-server", timeout_s=_SERVER_TIMEOUT_S)
    if ended.code:
        raise DeviceError(f"adb's server does not start: {ended.last_line}")
    return adb


def lost(serial: str, what: str, ended: Ended) -> DeviceError:
    """Say why a command did not come to its end.

    Args:
        serial: The phone.
        what: What was being done.
        ended: How adb ended.
    """
    # Behind the error, adb may still print how many files it copied.
    errors = [
        line.strip() for line in ended.text.splitlines() if _ERROR.match(line.strip())
    ]
    words = errors[-1][:300] if errors else ended.last_line
    if _LOST.search(ended.text) or not ended.text.strip():
        return DeviceError(
            f"{serial}: the connection dropped during {what} ({words}); look at cable "
            "and screen lock, then run the same command again"
        )
    return DeviceError(f"{serial}: {what} failed: {words}")


def check_apk(path: Path) -> None:
    """Refuse what adb could not install.

    Raises:
        InputError: If there is no such file, or it is no APK by its name.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; write it with inv package.android")
    if path.suffix != ".apk":
        raise InputError(
            f"{path}: adb installs .apk files; of an .aab, bundletool makes them "
            "(see docs/android.md)"
        )
