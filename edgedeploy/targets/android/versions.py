"""The versions of what comes from outside: those of the app's Gradle catalogue."""

from __future__ import annotations

import re

from edgedeploy.errors import PackageError
from edgedeploy.resources import resource_folder

CATALOGUE = "gradle/libs.versions.toml"


def pinned_version(name: str) -> str:
    """Give a version that android_assets/app/gradle/libs.versions.toml pins.

    Args:
        name: Its key in [versions], such as "litert" or "kotlin".

    Raises:
        PackageError: If this installation lacks it.
    """
    path = resource_folder("android_assets") / "app" / CATALOGUE
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PackageError(
            f"{path}: cannot be read: {error}; install edgedeploy again"
        ) from error
    # Python 3.10 has no TOML reader, and Gradle's own versions are plain strings.
    found = re.search(rf'^{re.escape(name)} = "([0-9.]+)"$', text, re.MULTILINE)
    if found is None:
        raise PackageError(f"{path}: pins no {name}; install edgedeploy again")
    return found[1]
