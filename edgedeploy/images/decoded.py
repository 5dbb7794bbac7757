"""Decoded pictures on disk, so that every further variant skips the decoding.

One folder per (pictures, geometry): rgb.u8, the contract's uint8 RGB pictures one
after another, and index.json with the names of the undecodable. Safe to delete.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import InputError
from edgedeploy.scratch import make_scratch

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMIT_VARIABLE = "EDGEDEPLOY_DECODED_BYTES"
_DEFAULT_LIMIT = 4 * 1024**3
_PIXELS = "rgb.u8"
_INDEX = "index.json"
_FLUSH_EVERY_S = 1.0
# Of a set, at most about this much is in memory at once on behalf of a reader.
_MAPPED_BYTES = 8 << 20


class KeptPictures:
    """A whole set, mapped into memory; any number of threads may read.

    Args:
        mapped: The file of pixels.
        shape: (images, height, width, 3).
        broken: The reason for each undecodable picture, by its index.

    Attributes:
        broken: As given.
    """

    def __init__(
        self,
        mapped: mmap.mmap,
        shape: tuple[int, int, int, int],
        broken: dict[int, str],
    ) -> None:
        self.broken = broken
        self._mapped = mapped
        self._window = max(1, _MAPPED_BYTES // int(np.prod(shape[1:])))
        self._used = 0
        self._pixels = np.frombuffer(mapped, np.uint8).reshape(shape)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Give a picture without copying it, shape (height, width, 3), read-only."""
        return np.asarray(self._pixels[index])

    def release(self) -> None:
        """Say that a picture was used, so that it need not count as our memory."""
        # Not one by one: the next picture's first page brings its neighbours back.
        self._used += 1
        if self._used < self._window:
            return
        self._used = 0
        # Whoever reads at this moment only gets the same pages again.
        with contextlib.suppress(OSError, AttributeError):
            self._mapped.madvise(mmap.MADV_DONTNEED)


class DecodedPictures:
    """The decoded pictures of one data set under one geometry.

    Args:
        folder: Where all such sets are kept.
        key: Digest of the pictures' contents, the geometry and the decoder.
        shape: (images, height, width, 3).
    """

    def __init__(
        self, folder: Path, key: str, shape: tuple[int, int, int, int]
    ) -> None:
        self.folder = folder / key
        self.shape = shape
        self._partial: Path | None = None
        self._file = -1
        self._flusher: _Flusher | None = None

    def open(self) -> KeptPictures | None:
        """Map the pictures into memory; None where they are not there or not whole."""
        try:
            index = json.loads((self.folder / _INDEX).read_text(encoding="utf-8"))
            broken = {int(key): str(why) for key, why in index["broken"].items()}
            with (self.folder / _PIXELS).open("rb") as file:
                if os.fstat(file.fileno()).st_size != int(np.prod(self.shape)):
                    return None
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            # Evicted, half copied or tampered with: decoding again is right in all.
            return None
        # The time of use decides what is dropped first; a read-only cache drops none.
        with contextlib.suppress(OSError):
            os.utime(self.folder / _INDEX)
        return KeptPictures(mapped, self.shape, broken)

    def create(self) -> bool:
        """Begin to fill the set; False where it would exceed the limit or the disk.

        Raises:
            InputError: If `LIMIT_VARIABLE` is set to anything but a number of bytes.
        """
        size = int(np.prod(self.shape))
        parent = self.folder.parent
        limit = _limit()
        if not 0 < size <= limit:
            return False
        try:
            parent.mkdir(parents=True, exist_ok=True)
            if not _make_room(parent, size, limit):
                return False
            self._partial = make_scratch(parent, "partial")
            path = self._partial / _PIXELS
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            # Pictures come in any order, so only now can a full disk be told in time.
            os.posix_fallocate(self._file, 0, size)
        except OSError:
            # The cache only saves time: a full or read-only disk costs that alone.
            self.discard()
            return False
        return True

    def write(self, index: int, picture: NDArray[np.uint8]) -> None:
        """Keep a picture, shape (height, width, 3), uint8; any fork or thread may.

        Written and not mapped, since pages of a mapping would count as our memory.
        """
        if self._file < 0 or self._partial is None:
            return
        pixels = np.ascontiguousarray(picture)
        place = index * pixels.nbytes
        try:
            whole = os.pwrite(self._file, pixels.data, place) == pixels.nbytes
        except OSError:
            whole = False
        if not whole:
            # A fork can tell the others through the disk alone, and even a full one
            # lets a name go.
            (self._partial / _PIXELS).unlink(missing_ok=True)

    def flush(self) -> None:
        """Bring what is written to the disk, from now on, without waiting for it."""
        if self._flusher is None and self._file >= 0:
            self._flusher = _Flusher(self._file)

    def commit(self, broken: Mapping[int, str]) -> None:
        """Make the filled set visible."""
        if self._partial is None or not (self._partial / _PIXELS).exists():
            self.discard()
            return
        text = json.dumps({"broken": {str(k): v for k, v in broken.items()}})
        try:
            # A set that a power cut left full of zeros would look like a whole one.
            os.fsync(self._file)
            (self._partial / _INDEX).write_text(text, encoding="utf-8")
            shutil.rmtree(self.folder, ignore_errors=True)
            self._partial.rename(self.folder)
            self._partial = None
        except OSError:
            pass
        self.discard()

    def discard(self) -> None:
        """Throw a half-filled set away; nobody may be writing any more."""
        if self._flusher is not None:
            self._flusher.stop()
            self._flusher = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial = None


class _Flusher:
    """Brings a file to the disk while it is written, so that its end need not wait."""

    def __init__(self, handle: int) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(handle,), daemon=True)
        self._thread.start()

    def _run(self, handle: int) -> None:
        while not self._stop.wait(_FLUSH_EVERY_S):
            with contextlib.suppress(OSError):
                os.fsync(handle)

    def stop(self) -> None:
        """Return when the file is let go of."""
        self._stop.set()
        self._thread.join()


def _limit() -> int:
    text = os.environ.get(LIMIT_VARIABLE, "")
    if not text:
        return _DEFAULT_LIMIT
    try:
        limit = int(text)
    except ValueError:
        limit = -1
    if limit < 0:
        raise InputError(
            f"{LIMIT_VARIABLE} must be a number of bytes, 0 to keep none; "
            f"received {text!r}"
        )
    return limit


def _make_room(parent: Path, size: int, limit: int) -> bool:
    """Drop the sets used longest ago until the new one fits within the limit."""
    sets: list[tuple[float, int, Path]] = []
    for index in parent.glob(f"*/{_INDEX}"):
        with contextlib.suppress(OSError):
            used = (index.parent / _PIXELS).stat().st_size
            sets.append((index.stat().st_mtime, used, index.parent))
    sets.sort()
    total = sum(used for _, used, _ in sets) + size
    for _, used, folder in sets:
        if total <= limit:
            break
        shutil.rmtree(folder, ignore_errors=True)
        total -= used
    return shutil.disk_usage(parent).free > 2 * size


def decoded_key(content: str, geometry: str, versions: Mapping[str, Any]) -> str:
    """Name a set by what decides its pixels.

    Args:
        content: Digest of the pictures' bytes, in order.
        geometry: `ImagePipeline.geometry_digest()`.
        versions: Versions of the decoder.
    """
    text = json.dumps([content, geometry, dict(sorted(versions.items()))])
    return hashlib.sha256(text.encode()).hexdigest()[:32]
