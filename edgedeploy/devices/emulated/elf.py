"""The one fact about an ELF program that matters here: its interpreter.

Layout: System V Application Binary Interface, "Object Files" and "Program Header".
"""

from __future__ import annotations

import struct
from pathlib import Path

from edgedeploy.errors import DeviceError

_MAGIC = b"\x7fELF"
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_PT_INTERP = 3
_CLASS_64, _LITTLE_ENDIAN = 2, 1
_MAX_HEADERS, _MAX_NAME = 64, 4096


def interpreter_of(path: Path) -> str | None:
    """Read which dynamic loader a program asks for.

    Args:
        path: A 64-bit little-endian ELF file.

    Returns:
        The loader's path, or None for a program that runs by itself.

    Raises:
        DeviceError: If it is no such file.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size or header[:6] != (
                _MAGIC + bytes((_CLASS_64, _LITTLE_ENDIAN))
            ):
                raise DeviceError(f"{path}: not a 64-bit ELF program")
            fields = _HEADER.unpack(header)
            offset, size, count = fields[5], fields[9], fields[10]
            for number in range(min(count, _MAX_HEADERS)):
                file.seek(offset + number * size)
                entry = file.read(_PROGRAM_HEADER.size)
                if len(entry) < _PROGRAM_HEADER.size:
                    raise DeviceError(f"{path}: its program headers are truncated")
                kind, _, start, _, _, length, _, _ = _PROGRAM_HEADER.unpack(entry)
                if kind == _PT_INTERP:
                    file.seek(start)
                    name = file.read(min(length, _MAX_NAME))
                    return name.rstrip(b"\0").decode("utf-8", "replace")
    except (OSError, ValueError, OverflowError) as error:
        raise DeviceError(f"{path}: cannot be read ({error})") from error
    return None
