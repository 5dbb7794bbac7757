"""The two files of a checkpoint, byte by byte; `checkpoint` says what they mean."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

RECORD = struct.Struct("<IIII")
# A reason is a line; anything longer is damage.
MAX_TEXT = 1 << 20
# Tenths of a second.
_LOCK_TRIES = 100


def read_records(
    file: io.BufferedReader, start: int
) -> Iterator[tuple[int, int, str, int]]:
    """Read (row, checksum, text, end) until the first record that is not whole."""
    end = start
    while True:
        head = file.read(RECORD.size)
        if len(head) < RECORD.size:
            return
        row, checksum, length, own = RECORD.unpack(head)
        if length > MAX_TEXT:
            return
        words = file.read(length)
        if len(words) < length or zlib.crc32(head[:12] + words) != own:
            return
        end += RECORD.size + length
        yield row, checksum, words.decode(errors="backslashreplace"), end


def data_path(path: Path) -> Path:
    """Name the file of the rows, beside the .npy file that it becomes."""
    return path.with_name(f".{path.name}.unfinished")


def index_path(path: Path) -> Path:
    """Name the file of the records."""
    return path.with_name(f".{path.name}.index")


def open_file(path: Path) -> int:
    """Open a file to read and write, an index to append to; make it if need be."""
    # Not through a link that somebody put there.
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    append = os.O_APPEND if path.name.endswith(".index") else 0
    return os.open(path, flags | append, 0o666)


def write_at(handle: int, data: bytes, place: int) -> None:
    """Write all of some bytes at their place."""
    while data:
        written = os.pwrite(handle, data, place)
        data, place = data[written:], place + written


def append(handle: int, data: bytes) -> None:
    """Append in one piece; a disk that takes a part of it is full."""
    if os.write(handle, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def lock(handle: int) -> None:
    """Keep others out; a killed build's child may live on for a moment.

    Raises:
        OSError: If another process holds on to the file.
    """
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
        else:
            return
    raise OSError(errno.EBUSY, "another process is writing them")


def npy_header(shape: tuple[int, int]) -> bytes:
    """Begin a .npy file, version 1.0, of float32 rows."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()
