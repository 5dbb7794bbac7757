"""Decoded pictures on disk, so that every further variant skips the decoding.

One folder per (pictures, geometry): rgb.u8, the contract's uint8 RGB pictures one
after another, and index.json with the names of the undecodable. Safe to delete.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
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

    def open(self) -> tuple[NDArray[np.uint8], dict[int, str]] | None:
        """Map the pictures into memory.

        Returns:
            The pictures, shape as given, uint8, and the reason for each undecodable
            one by its index; None where they are not there or not whole.
        """
        try:
            index = json.loads((self.folder / _INDEX).read_text(encoding="utf-8"))
            broken = {int(key): str(why) for key, why in index["broken"].items()}
            pixels = self.folder / _PIXELS
            if pixels.stat().st_size != int(np.prod(self.shape)):
                return None
            mapped = np.memmap(pixels, np.uint8, "r", shape=self.shape)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            # Evicted, half copied or tampered with: decoding again is right in all.
            return None
        # The time of use decides what is dropped first; a read-only cache drops none.
        with contextlib.suppress(OSError):
            os.utime(self.folder / _INDEX)
        return mapped, broken

    def create(self) -> NDArray[np.uint8] | None:
        """Begin to fill the set; None where it would exceed the limit or the disk.

        Raises:
            InputError: If `LIMIT_VARIABLE` is set to anything but a number of bytes.
        """
        size = int(np.prod(self.shape))
        parent = self.folder.parent
        limit = _limit()
        if not 0 < size <= limit:
            return None
        try:
            parent.mkdir(parents=True, exist_ok=True)
            if not _make_room(parent, size, limit):
                return None
            self._partial = make_scratch(parent, "partial")
            path = self._partial / _PIXELS
            with path.open("wb") as file:
                # A sparse file on a disk that fills up later would be a SIGBUS.
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(path, np.uint8, "r+", shape=self.shape)
        except OSError:
            # The cache only saves time: a full or read-only disk costs that alone.
            self.discard()
            return None

    def commit(self, broken: Mapping[int, str]) -> None:
        """Make the filled set visible."""
        if self._partial is None:
            return
        text = json.dumps({"broken": {str(k): v for k, v in broken.items()}})
        try:
            (self._partial / _INDEX).write_text(text, encoding="utf-8")
            shutil.rmtree(self.folder, ignore_errors=True)
            self._partial.rename(self.folder)
        except OSError:
            self.discard()
        self._partial = None

    def discard(self) -> None:
        """Throw a half-filled set away."""
        if self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial = None


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
