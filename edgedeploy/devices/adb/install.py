"""Install an APK on a phone, and say in words why Android refuses one."""

from __future__ import annotations

import re
from pathlib import Path

from edgedeploy.devices.adb.client import Adb, lost
from edgedeploy.devices.adb.outcome import PhoneOutcome, Say
from edgedeploy.devices.adb.phones import Phone
from edgedeploy.errors import DeviceError

_TIMEOUT_S = 1800.0
# android.content.pm.PackageManager.INSTALL_*, the ones that people meet.
_REASONS = {
    "INSTALL_FAILED_UPDATE_INCOMPATIBLE": "another key signed the installed one; "
    "uninstall it there, or sign with its key (--keystore)",
    "INSTALL_FAILED_VERSION_DOWNGRADE": "a later version is installed; give a higher "
    "--version-code",
    "INSTALL_FAILED_INSUFFICIENT_STORAGE": "the phone has too little room",
    "INSTALL_FAILED_OLDER_SDK": "the phone's Android is older than the package needs",
    "INSTALL_FAILED_USER_RESTRICTED": "the phone does not allow installing over USB; "
    "see its developer options",
    "INSTALL_FAILED_VERIFICATION_FAILURE": "the phone's package verifier refused it",
    "INSTALL_PARSE_FAILED_NO_CERTIFICATES": "its signature does not hold; package it "
    "again",
    "INSTALL_FAILED_TEST_ONLY": "it is a test-only build; build it without Run",
}


def install(adb: Adb, phone: Phone, apk: Path, say: Say) -> PhoneOutcome:
    """Install an APK, over an earlier version of it too.

    Args:
        adb: This machine's adb.
        phone: Where to.
        apk: What.
        say: Told in a few words what is being done.

    Raises:
        DeviceError: If the connection drops, or Android refuses.
    """
    say(f"installing {apk.name} ({apk.stat().st_size / 1e6:.1f} MB)")
    ended = adb.command(
        "install", "-r", str(apk), serial=phone.serial, timeout_s=_TIMEOUT_S
    )
    if ended.code == 0 and re.search(r"^Success\b", ended.text, re.M):
        return PhoneOutcome(
            serial=phone.serial,
            passed=True,
            detail=f"installed {apk.name}",
            facts={"apk": apk.name, "size_bytes": apk.stat().st_size},
        )
    reason = re.search(r"\b(INSTALL_[A-Z_]+)", ended.text)
    if reason is None:
        raise lost(phone.serial, "installing", ended)
    words = _REASONS.get(reason[1], "see adb logcat for more")
    raise DeviceError(f"{phone.serial}: Android refuses it: {reason[1]}: {words}")
