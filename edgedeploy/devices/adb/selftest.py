"""Run the app's self-test on a phone, and read its log."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable

from edgedeploy.devices.adb.client import Adb
from edgedeploy.devices.adb.outcome import PhoneOutcome, Say
from edgedeploy.devices.adb.phones import Phone
from edgedeploy.errors import DeviceError, InputError

_ACTIVITY = "edgedeploy.app.SelfTestActivity"
_TAG = "edgedeploy-selftest"
_POLL_S = 2.0
_ID = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+", re.ASCII)


def selftest(
    adb: Adb,
    phone: Phone,
    package: str,
    say: Say,
    *,
    timeout_s: float = 600.0,
    sleep: Callable[[float], None] = time.sleep,
) -> PhoneOutcome:
    """Have the installed app replay its golden vectors.

    The app writes each check to the log behind a token that only this run knows, so
    what an earlier run left there is not taken for its answer.

    Args:
        adb: This machine's adb.
        phone: Which.
        package: The app's application id.
        say: Told in a few words what is being done.
        timeout_s: How long the app may take.
        sleep: Waits so many seconds.

    Raises:
        DeviceError: If it cannot be run; a self-test that fails is an outcome.
        InputError: If the application id is none.
    """
    if not _ID.fullmatch(package):
        raise InputError(f"{package[:80]!r} is no application id")
    token = secrets.token_hex(8)
    say(f"starting {package}")
    # Some phones' am fails on errors, others only say them.
    started = adb.shell(
        phone.serial,
        f"am start -W -S -n {package}/{_ACTIVITY} --es token {token} "
        '|| echo "Error: exit code $?"',
    )
    if "Permission Denial" in started:
        raise DeviceError(
            f"{phone.serial}: {package} does not let adb start its self-test, as no "
            "release build does; install the debug build with "
            "inv android.install --path app-debug.apk"
        )
    wrong = re.findall(r".*(?:Error|Exception).*", started)
    if wrong:
        raise DeviceError(
            f"{phone.serial}: the app does not start ({wrong[0].strip()[:200]}); "
            "install it with inv android.install --path app-debug.apk"
        )
    deadline = time.monotonic() + timeout_s
    while True:
        log = adb.shell(phone.serial, f"logcat -d -v raw -s {_TAG}:I 2>/dev/null")
        checks = read_checks(log, token)
        if checks is not None:
            break
        if time.monotonic() > deadline:
            raise DeviceError(
                f"{phone.serial}: the self-test did not end in {timeout_s:g} s; is the "
                "phone's screen on and unlocked?"
            )
        say("testing")
        sleep(_POLL_S)
    failed = [f"{name}: {detail}" for name, passed, detail in checks if not passed]
    return PhoneOutcome(
        serial=phone.serial,
        passed=not failed,
        detail="; ".join(failed)[:300] or f"{len(checks)} checks passed",
        facts={
            "checks": [
                {"name": name, "passed": passed, "detail": detail}
                for name, passed, detail in checks
            ]
        },
    )


def read_checks(log: str, token: str) -> tuple[tuple[str, bool, str], ...] | None:
    """Read what the app logged.

    Args:
        log: Lines of `<token> ok|FAILED <name>: <detail>`, and of other runs.
        token: This run's.

    Returns:
        Name, whether it passed, and detail of each check; None while it still runs.

    Raises:
        DeviceError: If lines are missing, as where the phone's log overflowed.
    """
    lines = [
        line.removeprefix(f"{token} ")
        for line in log.replace("\r\n", "\n").split("\n")
        if line.startswith(f"{token} ")
    ]
    if not lines or not lines[-1].startswith("end "):
        return None
    counts = re.fullmatch(r"end (\d+) (\d+)", lines[-1].strip())
    checks = []
    for line in lines[:-1]:
        match = re.fullmatch(r"(ok|FAILED) (.+?): (.*)", line)
        if match:
            checks.append((match[2], match[1] == "ok", match[3]))
    passed = sum(one[1] for one in checks)
    if counts is None or (passed, len(checks)) != (int(counts[1]), int(counts[2])):
        raise DeviceError(
            f"the phone's log lacks lines of the self-test ({len(checks)} of "
            f"{lines[-1][4:][:40]}); run it again"
        )
    if not checks:
        raise DeviceError("the self-test made no checks; package the app again")
    return tuple(checks)
