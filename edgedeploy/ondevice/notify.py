"""Telling systemd that the service is ready, alive, or about to end.

The protocol is that of sd_notify(3): datagrams on the Unix socket that the environment
variable NOTIFY_SOCKET names. Without it nothing is said.
"""

from __future__ import annotations

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send a state, such as "READY=1" or "WATCHDOG=1", if systemd listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    # A leading @ stands for the zero byte of the abstract namespace.
    name = "\0" + address[1:] if address[0] == "@" else address
    # systemd may be gone already at the end; that is no reason to fail.
    with (
        contextlib.suppress(OSError),
        socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
        ) as channel,
    ):
        channel.sendto(state.encode(), name)


def watchdog_interval_s() -> float | None:
    """How often systemd wants a sign of life at least, in seconds; None if never.

    Half of WATCHDOG_USEC, as sd_watchdog_enabled(3) recommends.
    """
    text = os.environ.get("WATCHDOG_USEC", "")
    if not (text.isascii() and text.isdigit()) or int(text) == 0:
        return None
    return int(text) / 2e6
