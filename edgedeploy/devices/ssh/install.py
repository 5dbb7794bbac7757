"""Install a bundle on a host; a dropped connection is taken up again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from edgedeploy.devices.ssh.connection import (
    Connection,
    ConnectionLostError,
    Switchboard,
)
from edgedeploy.devices.ssh.explain import last_line
from edgedeploy.devices.ssh.hosts import Host
from edgedeploy.devices.ssh.outcome import Outcome
from edgedeploy.devices.ssh.parcel import Depot, Parcel
from edgedeploy.devices.ssh.remote import Remote, probe
from edgedeploy.devices.ssh.transfer import full_disk, keep_only, push
from edgedeploy.errors import DeviceError

Say = Callable[[str], None]

_PAUSES_S = (1.0, 4.0)
_INSTALL_TIMEOUT_S = 5400.0
_FULL = re.compile(r"No space left|quota exceeded|needs \d+ MB in", re.IGNORECASE)


def install(
    switchboard: Switchboard, host: Host, depot: Depot, model: str, say: Say
) -> Outcome:
    """Send what a host lacks of a bundle and run its installer there.

    Args:
        switchboard: Opens the connection.
        host: Where to.
        depot: The bundles to choose from.
        model: The model's name.
        say: Told in a few words what is being done.

    Returns:
        What was done; a host with this very bundle in use is left alone.

    Raises:
        DeviceError: If it fails; what was installed before is still in use.
    """
    for pause in _PAUSES_S:
        try:
            return _install_once(switchboard, host, depot, model, say)
        except ConnectionLostError:
            say("connection dropped; trying again")
            time.sleep(pause)
    return _install_once(switchboard, host, depot, model, say)


def _install_once(
    switchboard: Switchboard, host: Host, depot: Depot, model: str, say: Say
) -> Outcome:
    say("connecting")
    with switchboard.connect(host) as connection:
        remote = probe(connection, model)
        say("choosing the bundle")
        try:
            parcel = depot.choose(remote)
        except DeviceError as error:
            raise DeviceError(f"{host.name}: {error}") from error
        if remote.installed == parcel.identity:
            return Outcome(
                host=host,
                passed=True,
                detail="installed already; nothing was sent",
                remote=remote,
                facts={"bundle": parcel.identity, "sent_bytes": 0, "skipped": True},
            )
        _check_ready(host, remote)
        sent = push(
            connection,
            parcel,
            remote,
            lambda done, total: say(f"sent {done / 1e6:.1f} of {total / 1e6:.1f} MB"),
        )
        say("installing; its self-test takes a while")
        _run_installer(connection, parcel)
        keep_only(connection, parcel)
    return Outcome(
        host=host,
        passed=True,
        detail=f"installed in {remote.prefix}; sent {sent.sent_bytes / 1e6:.1f} MB, "
        f"{sent.reused_bytes / 1e6:.1f} MB were there",
        remote=remote,
        facts={
            "bundle": parcel.identity,
            "sent_bytes": sent.sent_bytes,
            "reused_bytes": sent.reused_bytes,
            "skipped": False,
        },
    )


def _check_ready(host: Host, remote: Remote) -> None:
    """Refuse before anything is written."""
    if remote.lacks:
        raise DeviceError(
            f"{host.name}: lacks {', '.join(remote.lacks)}; install them there"
        )
    if remote.unwritable:
        raise DeviceError(
            f"{host.name}: cannot write {' and '.join(remote.unwritable)} (read-only, "
            "or another user's); nothing was changed"
        )


def _run_installer(connection: Connection, parcel: Parcel) -> None:
    listing = "".join(
        f"{'755' if file.executable else '644'} {file.sha256} {file.name}\n"
        for file in parcel.files
    )
    answer = connection.run(
        "install",
        {"model": parcel.model},
        send=listing.encode(),
        timeout_s=_INSTALL_TIMEOUT_S,
    )
    lines = answer.text.splitlines()
    first = lines[0] if lines else ""
    if first == "incomplete":
        raise ConnectionLostError(
            f"{connection.host.name}: files vanished from its upload cache; run the "
            "same command again"
        )
    full = next((line for line in lines if _FULL.search(line)), "")
    if first == "full" or full:
        words = last_line(full).removeprefix("install.sh: ")
        where = f"the installation's folder ({words})" if full else "the home folder"
        raise full_disk(connection, parcel, where)
    if first != "code 0":
        said = [line.strip() for line in lines[1:] if line.strip()]
        reason = said[-1] if said else answer.last_words
        raise DeviceError(
            f"{connection.host.name}: {last_line(reason).removeprefix('install.sh: ')} "
            "(install.sh; what was in use before still is)"
        )
