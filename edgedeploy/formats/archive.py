"""What readers and writers of archives share: names that are safe, and sources."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

from edgedeploy.errors import InputError


def is_safe_name(name: str) -> bool:
    """Whether a name is a plain relative path that cannot leave a folder.

    Args:
        name: An archive entry's name.

    Returns:
        False for absolute paths, "..", ".", empty parts (so folders too),
        backslashes, colons, control characters, and over 65,535 bytes of UTF-8.
    """
    if any(char in "\\:\x7f" or char < " " for char in name):
        return False
    try:
        if len(name.encode()) > 0xFFFF:
            return False
    except UnicodeEncodeError:
        return False
    return all(part not in {"", ".", ".."} for part in name.split("/"))


def open_source(source: Path | bytes | memoryview) -> IO[bytes]:
    """Open an archive for reading.

    Args:
        source: A path or the bytes.

    Returns:
        A seekable binary stream, to be closed by the caller.

    Raises:
        InputError: If the file cannot be opened.
    """
    if not isinstance(source, Path):
        return io.BytesIO(source)
    try:
        return source.open("rb")
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror}") from error
