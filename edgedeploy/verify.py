"""Verification: open what was packaged as the device, or a stranger, would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgedeploy.errors import InputError
from edgedeploy.results import Check
from edgedeploy.targets.android.check import (
    check_apk,
    check_app_bundle,
    check_folder,
    check_library,
)
from edgedeploy.targets.android.update import SUFFIX, check_update
from edgedeploy.targets.raspberry_pi.check import check_bundle
from edgedeploy.targets.raspberry_pi.check_debian import check_package

# What a file's name ends with: who checks it. A new target adds its row here.
CHECKERS: dict[str, Callable[[Path], tuple[Check, ...]]] = {
    ".apk": check_apk,
    ".aab": check_app_bundle,
    ".aar": check_library,
    SUFFIX: check_update,
    ".tar.gz": lambda path: check_bundle(path).checks,
    ".deb": lambda path: check_package(path).checks,
}


def verify(path: Path) -> tuple[Check, ...]:
    """Check a deliverable.

    Args:
        path: An Android package or a Raspberry Pi bundle, ours or anybody's, or a
            folder of Gradle sources such as an asset pack.

    Returns:
        One check each; a malformed file fails checks.

    Raises:
        InputError: If there is no such file, or nobody knows its kind.
    """
    if path.is_dir():
        return check_folder(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file to verify")
    for suffix, checker in CHECKERS.items():
        if path.name.endswith(suffix):
            return checker(path)
    raise InputError(f"{path}: expected a name that ends with {' or '.join(CHECKERS)}")
