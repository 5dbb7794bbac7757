"""Scores on disk while they are made, so that a killed pass goes on where it was.

Two files. NAME.unfinished is the .npy file that it becomes: a header and one float32
row a picture, each written at its place. NAME.index is only appended to, all values
little-endian: a header (magic "EDSCORE1", SHA-256 of the identity, images and classes
as uint32, CRC-32 of these), then one record a picture (row, CRC-32 of the row's bytes,
length of a text and CRC-32 of the record as uint32, then the text: why the picture was
skipped, or nothing). The record of row 0xFFFFFFFF ends the pass; its text is JSON.

A row counts when its record is whole and the row has the record's CRC-32. So the order
in which a disk writes does not matter, and what a crash tore is done again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import WorkspaceError
from edgedeploy.evaluate.score_files import (
    MAX_TEXT,
    RECORD,
    append,
    data_path,
    index_path,
    lock,
    npy_header,
    open_file,
    read_records,
    write_at,
)
from edgedeploy.workspace import make_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEADER = struct.Struct("<8s32sIII")
_MAGIC = b"EDSCORE1"
_END = 0xFFFFFFFF
# A killed process loses nothing; this bounds what a power cut can take.
_SYNC_EVERY_S = 10.0


class ScoreCheckpoint:
    """The rows of one pass, as far as they are there.

    Any number of threads and forks may write, each its own rows; processes that are
    no forks of the first one are kept out.

    Args:
        path: The .npy file that the pass shall leave; ours lie beside it.
        identity: Digest of all that decides the scores. What another identity left
            is thrown away.
        shape: (images, classes).

    Attributes:
        path: As given.
        skipped: Why a picture has no scores, by its row.
        facts: What `finish` was given, or None while rows are missing.

    Raises:
        WorkspaceError: If the files cannot be read or written.
    """

    def __init__(self, path: Path, identity: str, shape: tuple[int, int]) -> None:
        self.path = path
        self.skipped: dict[int, str] = {}
        self.facts: dict[str, Any] | None = None
        self._shape = shape
        self._row_bytes = shape[1] * 4
        self._done = bytearray(shape[0])
        self._nothing = np.full(shape[1], np.nan, "<f4").tobytes()
        self._syncing = threading.Lock()
        self._synced = time.monotonic()
        self._data = self._index = -1
        # Where in the index the records begin that `refresh` has not seen.
        self._seen = 0
        begin = _MAGIC, hashlib.sha256(identity.encode()).digest(), *shape
        head = _HEADER.pack(*begin, 0)[:-4]
        self._head = head + struct.pack("<I", zlib.crc32(head))
        self._npy = npy_header(shape)
        make_folder(path.parent)
        try:
            with self._named():
                self._data = open_file(data_path(path))
                self._index = open_file(index_path(path))
                lock(self._index)
                if not self._continue():
                    self._begin()
        except WorkspaceError:
            self.close()
            raise

    @property
    def missing(self) -> list[int]:
        """Rows that are not there yet, in order."""
        return [row for row, done in enumerate(self._done) if not done]

    def missing_of(self, rows: Iterable[int]) -> list[int]:
        """Those of some rows that are not there yet."""
        return [row for row in rows if not self._done[row]]

    @property
    def count(self) -> int:
        """How many rows are there."""
        return self._done.count(1)

    def write(self, row: int, scores: NDArray[np.float32]) -> None:
        """Keep a picture's scores.

        Args:
            row: The picture's number.
            scores: Shape (classes,), float32.

        Raises:
            WorkspaceError: If the disk does not take them.
        """
        self._put(row, scores.astype("<f4", copy=False).tobytes(), "")

    def write_bytes(self, row: int, scores: bytes) -> None:
        """Keep scores that are little-endian float32 already."""
        self._put(row, scores, "")

    def skip(self, row: int, reason: str) -> None:
        """Keep why a picture has no scores; its row is NaN.

        Raises:
            WorkspaceError: If the disk does not take it.
        """
        self.skipped[row] = reason
        self._put(row, self._nothing, reason)

    def refresh(self) -> None:
        """Take note of the rows that forks have written since.

        Raises:
            WorkspaceError: If the index cannot be read.
        """
        with self._named(), os.fdopen(os.dup(self._index), "rb") as file:
            file.seek(self._seen)
            for row, _, text, end in read_records(file, self._seen):
                self._done[row] = 1
                if text:
                    self.skipped[row] = text
                self._seen = end

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Say that every row is there.

        Args:
            facts: JSON values of the pass, for whoever publishes it.

        Raises:
            WorkspaceError: If a row is missing, or the disk does not take it.
        """
        if not all(self._done):
            raise WorkspaceError(
                f"{self.path}: {len(self.missing)} of {self._shape[0]} rows are "
                "missing; run the same command again"
            )
        with self._named():
            self._append(_END, 0, json.dumps(dict(facts)))
        self.facts = dict(facts)

    def publish(self) -> None:
        """Let the whole .npy file appear, and remove what led to it.

        Raises:
            WorkspaceError: If the disk does not take it.
        """
        with self._named():
            os.fsync(self._data)
            data_path(self.path).replace(self.path)
            index_path(self.path).unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the files; what is in them stays."""
        for handle in (self._data, self._index):
            if handle >= 0:
                os.close(handle)
        self._data = self._index = -1

    def discard(self) -> None:
        """Remove what was made so far."""
        self.close()
        remove_checkpoint(self.path)

    def _put(self, row: int, data: bytes, text: str) -> None:
        with self._named():
            write_at(self._data, data, len(self._npy) + row * self._row_bytes)
            self._append(row, zlib.crc32(data), text)
            self._done[row] = 1
            if time.monotonic() - self._synced > _SYNC_EVERY_S:
                self._sync()

    def _append(self, row: int, checksum: int, text: str) -> None:
        # Paths may hold bytes that are no UTF-8.
        words = text.encode(errors="backslashreplace")[:MAX_TEXT]
        own = zlib.crc32(struct.pack("<III", row, checksum, len(words)) + words)
        record = RECORD.pack(row, checksum, len(words), own) + words
        # One call on a file open for appending: threads' records do not mix.
        append(self._index, record)

    def _sync(self) -> None:
        """Bring the rows to the disk, and then the records that promise them."""
        if not self._syncing.acquire(blocking=False):
            return
        try:
            self._synced = time.monotonic()
            os.fsync(self._data)
            os.fsync(self._index)
        finally:
            self._syncing.release()

    def _begin(self) -> None:
        os.ftruncate(self._index, 0)
        os.ftruncate(self._data, 0)
        write_at(self._data, self._npy, 0)
        append(self._index, self._head)
        self._seen = len(self._head)

    def _continue(self) -> bool:
        """Take over what an earlier process left of the same pass."""
        size = os.fstat(self._index).st_size
        if size < len(self._head):
            return False
        with os.fdopen(os.dup(self._index), "rb") as file:
            file.seek(0)
            if file.read(len(self._head)) != self._head:
                return False
            if os.pread(self._data, len(self._npy), 0) != self._npy:
                return False
            whole = len(self._head)
            for row, checksum, text, end in read_records(file, whole):
                if not self._take(row, checksum, text):
                    break
                whole = end
        self._seen = whole
        # The torn record goes, and all that a later one would be read behind.
        os.ftruncate(self._index, whole)
        return True

    def _take(self, row: int, checksum: int, text: str) -> bool:
        """Believe a record; False if it makes no sense here."""
        if row == _END:
            return self._take_facts(text)
        if row >= self._shape[0]:
            return False
        place = len(self._npy) + row * self._row_bytes
        if zlib.crc32(os.pread(self._data, self._row_bytes, place)) == checksum:
            self._done[row] = 1
            if text:
                self.skipped[row] = text
        return True

    def _take_facts(self, text: str) -> bool:
        with contextlib.suppress(ValueError):
            facts = json.loads(text)
            if isinstance(facts, dict) and all(self._done):
                self.facts = facts
                return True
        return False

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Turn what the disk says into one line."""
        try:
            yield
        except OSError as error:
            raise WorkspaceError(
                f"{self.path}: the scores cannot be kept ({error.strerror}); free some "
                "space or make the folder writable. What is there is kept: run the "
                "same command again"
            ) from error


def remove_checkpoint(path: Path) -> None:
    """Remove what a pass left of itself, if anything."""
    for leftover in (data_path(path), index_path(path)):
        with contextlib.suppress(OSError):
            leftover.unlink()
