"""How ZIP lays out bytes: its headers' structures, and an entry as they describe it.

Layout: PKWARE APPNOTE.TXT 6.3, sections 4.3.7 (local header), 4.3.12 (central
directory) and 4.3.16 (end record).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

STORED = 0
DEFLATED = 8
LOCAL = struct.Struct("<IHHHHHIIIHH")
CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
END = struct.Struct("<IHHHHIIH")
UTF8_FLAG = 0x0800


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipEntry:
    """One entry of an archive.

    Attributes:
        name: As the archive says; not necessarily safe to use as a path.
        method: 0 (stored), 8 (deflated) or another number of APPNOTE 4.4.5.
        encrypted: Whether the data is encrypted.
        crc32: Declared checksum of the uncompressed content.
        compressed_bytes: Size in the archive.
        size_bytes: Declared size of the uncompressed content.
        header_offset: Where the local header begins in the file.
        data_offset: Where the data begins in the file, by the local header.
    """

    name: str
    method: int
    encrypted: bool
    crc32: int
    compressed_bytes: int
    size_bytes: int
    header_offset: int
    data_offset: int
