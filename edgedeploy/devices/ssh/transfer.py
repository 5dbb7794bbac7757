"""Send a bundle: only what the host lacks, in pieces that are checked there."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from edgedeploy.devices.ssh.connection import Answer, Connection, ConnectionLostError
from edgedeploy.devices.ssh.parcel import Parcel, ParcelFile, Piece
from edgedeploy.devices.ssh.remote import Remote
from edgedeploy.errors import DeviceError

Progress = Callable[[int, int], None]

# What is sent before the host is asked what it took: bounds what it holds twice.
_BATCH_BYTES = 32 << 20
_ASK_TIMEOUT_S = 1800.0
_SEND_TIMEOUT_S = 3600.0
_SPARE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a transfer moved.

    Attributes:
        sent_bytes: Bytes of the pieces that were sent.
        reused_bytes: Bytes that the host had already.
    """

    sent_bytes: int
    reused_bytes: int


def push(
    connection: Connection, parcel: Parcel, remote: Remote, progress: Progress
) -> Sent:
    """Bring every file of a bundle into a host's upload cache.

    Args:
        connection: To the host.
        parcel: The bundle.
        remote: What the host said of itself.
        progress: Called with the bytes done and the bytes to send.

    Raises:
        ConnectionLostError: If the connection broke; what arrived whole is kept.
        DeviceError: If the host's disk is full, or it does not take what it gets.
    """
    present = _inventory(connection, parcel)
    missing = [file for file in parcel.files if file.sha256 not in present]
    wanted = _wanted_pieces(missing, present)
    total = sum(piece.size for _, piece in wanted)
    _check_room(connection, remote, missing, total)
    done = 0
    progress(0, total)
    for batch in _batches(wanted):
        taken = _receive(connection, parcel, batch)
        lost = [piece for _, piece in batch if piece.sha256 not in taken]
        if lost:
            raise ConnectionLostError(
                f"{connection.host.name}: {len(lost)} of {len(batch)} pieces did not "
                "arrive whole; run the same command again to go on from there"
            )
        done += sum(piece.size for _, piece in batch)
        progress(done, total)
    _join(connection, parcel, missing)
    whole = sum(file.size_bytes for file in parcel.files)
    return Sent(sent_bytes=total, reused_bytes=whole - total)


def forget(connection: Connection, parcel: Parcel) -> None:
    """Free what a failed transfer filled; the installed bundles' files stay."""
    values = {"model": parcel.model, "update": "no"}
    connection.run("prune", values, timeout_s=_ASK_TIMEOUT_S)


def keep_only(connection: Connection, parcel: Parcel) -> None:
    """Keep of this model what the next upgrade may share with this bundle."""
    needed = "".join(f"{file.sha256}\n" for file in parcel.files)
    values = {"model": parcel.model, "update": "yes"}
    connection.run("prune", values, send=needed.encode(), timeout_s=_ASK_TIMEOUT_S)


def full_disk(connection: Connection, parcel: Parcel, where: str) -> DeviceError:
    """Clean up after a full disk, and say so."""
    forget(connection, parcel)
    return DeviceError(
        f"{connection.host.name}: no space left in {where}; nothing was changed. Free "
        "some there (df -h) and run the same command again"
    )


def _inventory(connection: Connection, parcel: Parcel) -> set[str]:
    names = {file.sha256 for file in parcel.files}
    names |= {piece.sha256 for file in parcel.files for piece in file.pieces}
    asked = "".join(f"{name}\n" for name in sorted(names)).encode()
    answer = connection.run("inventory", send=asked, timeout_s=_ASK_TIMEOUT_S)
    return _taken(answer)


def _taken(answer: Answer) -> set[str]:
    return {
        line.removeprefix("have ")
        for line in answer.text.splitlines()
        if line.startswith("have ")
    }


def _wanted_pieces(
    missing: Iterable[ParcelFile], present: set[str]
) -> list[tuple[ParcelFile, Piece]]:
    wanted = {
        piece.sha256: (file, piece)
        for file in missing
        for piece in file.pieces
        if piece.sha256 not in present
    }
    return list(wanted.values())


def _check_room(
    connection: Connection, remote: Remote, missing: list[ParcelFile], total: int
) -> None:
    """Refuse before the first byte what cannot end well."""
    if not missing or remote.free_bytes is None:
        return
    # While a file is put together, its pieces are there too.
    largest = max(file.size_bytes for file in missing)
    needed = total + largest + _SPARE_BYTES
    if remote.free_bytes[0] < needed:
        raise DeviceError(
            f"{connection.host.name}: no space left for the upload: it takes "
            f"{needed / 1e6:.0f} MB, {remote.free_bytes[0] / 1e6:.0f} MB are free in "
            "the home folder; nothing was sent"
        )


def _batches(
    wanted: list[tuple[ParcelFile, Piece]],
) -> Iterator[list[tuple[ParcelFile, Piece]]]:
    batch: list[tuple[ParcelFile, Piece]] = []
    size = 0
    for file, piece in wanted:
        if batch and size + piece.size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append((file, piece))
        size += piece.size
    if batch:
        yield batch


def _receive(
    connection: Connection, parcel: Parcel, batch: list[tuple[ParcelFile, Piece]]
) -> set[str]:
    answer = connection.run(
        "receive", send=lambda pipe: _write_tar(pipe, batch), timeout_s=_SEND_TIMEOUT_S
    )
    if "full" in answer.text.splitlines():
        raise full_disk(connection, parcel, "the home folder")
    return _taken(answer)


def _write_tar(pipe: IO[bytes], batch: list[tuple[ParcelFile, Piece]]) -> None:
    with tarfile.open(
        fileobj=pipe, mode="w|", format=tarfile.USTAR_FORMAT, bufsize=1 << 16
    ) as archive:
        for file, piece in batch:
            info = tarfile.TarInfo(piece.sha256)
            info.size = piece.size
            info.mode = 0o644
            with file.path.open("rb") as source:
                source.seek(piece.offset)
                archive.addfile(info, io.BytesIO(source.read(piece.size)))


def _join(connection: Connection, parcel: Parcel, missing: list[ParcelFile]) -> None:
    """Have large files put together, and their pieces removed."""
    large = {file.sha256: file for file in missing if len(file.pieces) > 1}
    if not large:
        return
    files = {file.sha256 for file in parcel.files}
    orders = []
    last_use = {piece.sha256: name for name, f in large.items() for piece in f.pieces}
    for name, file in large.items():
        pieces = [piece.sha256 for piece in file.pieces]
        orders.append(f"join {name} {' '.join(pieces)}\n")
        orders += [
            f"drop {piece}\n"
            for piece in dict.fromkeys(pieces)
            if piece not in files and last_use[piece] == name
        ]
    answer = connection.run(
        "join", send="".join(orders).encode(), timeout_s=_ASK_TIMEOUT_S
    )
    if "full" in answer.text.splitlines():
        raise full_disk(connection, parcel, "the home folder")
    if _taken(answer) != set(large):
        raise ConnectionLostError(
            f"{connection.host.name}: a file could not be put together; run the same "
            "command again"
        )
