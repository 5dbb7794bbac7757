"""What Android asks of a shared library: its processor and how its pages are aligned.

Layout: System V Application Binary Interface, "Object Files" and "Program Header".
Since Android 15, devices may have pages of 16 KiB (developer.android.com, "Support
16 KB page sizes"): each loaded segment of a 64-bit library must be aligned to that.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgedeploy.errors import FormatError

LARGE_PAGE_BYTES = 16384
_MACHINES = {
    3: "x86",
    40: "armeabi-v7a",
    62: "x86_64",
    183: "arm64-v8a",
    243: "riscv64",
}
_PT_LOAD = 1
_SHARED_OBJECT = 3
_HEADER_64 = struct.Struct("<16sHHIQQQIHHHHHH")
_HEADER_32 = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM_64 = struct.Struct("<IIQQQQQQ")
_PROGRAM_32 = struct.Struct("<IIIIIIII")


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLibrary:
    """A shared library for Android.

    Attributes:
        abi: In Android's words, such as "arm64-v8a"; "machine 7" for an unknown one.
        bits: 32 or 64.
        load_alignment_bytes: The smallest alignment of its loaded segments.
    """

    abi: str
    bits: int
    load_alignment_bytes: int

    @property
    def fits_large_pages(self) -> bool:
        """Whether it loads on devices with 16 KiB pages; 32 bits need not."""
        return self.bits == 32 or self.load_alignment_bytes % LARGE_PAGE_BYTES == 0


def read_shared_library(data: bytes | memoryview) -> SharedLibrary:
    """Read a shared library's headers.

    Args:
        data: The file's bytes.

    Raises:
        FormatError: If it is no little-endian shared library, or truncated.
    """
    if bytes(data[:4]) != b"\x7fELF" or len(data) < _HEADER_32.size:
        raise FormatError("not an ELF file")
    if data[4] not in (1, 2) or data[5] != 1:
        raise FormatError("an ELF file that is not little-endian, of 32 or 64 bits")
    bits = 64 if data[4] == 2 else 32
    header = _HEADER_64 if bits == 64 else _HEADER_32
    program = _PROGRAM_64 if bits == 64 else _PROGRAM_32
    if len(data) < header.size:
        raise FormatError("an ELF file whose header is truncated")
    fields = header.unpack_from(data)
    kind, machine, offset, size, count = (fields[at] for at in (1, 2, 5, 9, 10))
    if kind != _SHARED_OBJECT:
        raise FormatError(f"an ELF file of type {kind}; expected a shared library (3)")
    if size < program.size or offset + size * count > len(data):
        raise FormatError("an ELF file whose program headers are truncated")
    alignments = []
    for number in range(count):
        entry = program.unpack_from(data, offset + number * size)
        if entry[0] == _PT_LOAD:
            alignments.append(entry[-1])
    if not alignments:
        raise FormatError("a shared library without a segment to load")
    return SharedLibrary(
        abi=_MACHINES.get(machine, f"machine {machine}"),
        bits=bits,
        load_alignment_bytes=min(alignments),
    )
