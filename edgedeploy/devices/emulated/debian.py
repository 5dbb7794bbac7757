"""Debian's names of things."""

from __future__ import annotations

import platform

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}
# Of this machine; a machine that Debian does not know gets no packages.
DESK_ARCHITECTURE = ARCHITECTURES.get(platform.machine(), platform.machine())
# Which release has which Python.
SUITES = {"bookworm": "3.11", "trixie": "3.13"}
