"""Finding the pictures that a command line means."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .pictures import SUFFIXES, PictureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .stop import StopRequest

# Stops an endless pipe; no compressed picture within the pixel limit is as large.
MAX_STDIN_BYTES = 256 * 1024 * 1024
MAX_LINE_BYTES = 64 * 1024
_CHUNK = 1 << 16


def is_picture_name(name: str) -> bool:
    """Whether a file in a folder counts: a known suffix, and not hidden."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def is_folder(path: Path) -> bool:
    """Whether a path is a folder, as far as we may see."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        # Whoever opens it says why it cannot be read.
        return False


def find_pictures(paths: Iterable[Path]) -> Iterator[Path]:
    """Replace folders by the picture files below them, sorted by name.

    Files that are named are kept whatever their suffix; inside folders, only known
    suffixes count and hidden files do not.

    Raises:
        PictureError: If a folder cannot be read or holds no picture.
    """
    for path in paths:
        if not is_folder(path):
            yield path
            continue
        found = sorted(
            Path(folder) / name
            for folder, _, names in os.walk(path, onerror=_refuse_folder)
            for name in names
            if is_picture_name(name)
        )
        if not found:
            raise PictureError(f"{path}: no pictures in this folder")
        yield from found


def _refuse_folder(error: OSError) -> None:
    raise PictureError(f"{error.filename}: cannot be read ({error.strerror})")


def read_picture(stop: StopRequest) -> bytes:
    """Read one picture's bytes from stdin, to its end.

    Returns:
        What came; cut short if `stop` is requested.

    Raises:
        PictureError: If nothing comes, too much, or it cannot be read.
    """
    parts: list[bytes] = []
    size = 0
    while chunk := _read_stdin(stop):
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_STDIN_BYTES:
            raise PictureError(f"-: more than {MAX_STDIN_BYTES} bytes for one picture")
    if not parts:
        raise PictureError("-: expected a picture's bytes on stdin; received none")
    return b"".join(parts)


def read_paths(stop: StopRequest) -> Iterator[Path]:
    """Read paths from stdin, each as soon as its line is there, without empty lines.

    Raises:
        PictureError: If a line is no path, or the list cannot be read.
    """
    pending = b""
    while chunk := _read_stdin(stop):
        *lines, pending = (pending + chunk).split(b"\n")
        if len(pending) > MAX_LINE_BYTES:
            raise PictureError(f"-: a line of over {MAX_LINE_BYTES} bytes is no path")
        for line in lines:
            if line.strip():
                yield _path(line)
    if pending.strip() and not stop.requested:
        yield _path(pending)


def _path(line: bytes) -> Path:
    return Path(os.fsdecode(line.rstrip(b"\r")))


def _read_stdin(stop: StopRequest) -> bytes:
    """Read what is there, waiting for it; nothing at the end or on a signal."""
    if sys.stdin is None:
        raise PictureError("-: stdin is closed")
    try:
        descriptor = sys.stdin.fileno()
        if not stop.wait_for(descriptor, None):
            return b""
        return os.read(descriptor, _CHUNK)
    except (OSError, ValueError) as error:
        raise PictureError(f"-: stdin cannot be read ({error})") from error
