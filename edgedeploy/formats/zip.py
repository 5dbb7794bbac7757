"""A deterministic ZIP writer; its reader is `edgedeploy.formats.zip_reader`.

Layout: `edgedeploy.formats.zip_layout`. Alignment: the 0xd935 extra field of Android's
zipalign and apksig, which re-signing tools preserve.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.archive import is_safe_name, open_source
from edgedeploy.formats.zip_content import read_entry
from edgedeploy.formats.zip_layout import (
    CENTRAL,
    DEFLATED,
    END,
    LOCAL,
    STORED,
    UTF8_FLAG,
    ZipEntry,
)
from edgedeploy.formats.zip_reader import entries

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "DEFLATED",
    "STORED",
    "WrittenEntry",
    "ZipEntry",
    "ZipWriter",
    "entries",
    "is_safe_name",
    "read_entry",
]

_CHUNK_BYTES = 1 << 20
_LIMIT_32 = 0xFFFFFFFF
_LIMIT_16 = 0xFFFF
# 1980-01-01 00:00:00 as an MS-DOS time and date: the earliest that ZIP can say.
_DOS_TIME, _DOS_DATE = 0, (1 << 5) | 1
_VERSION = 20
_MADE_ON_UNIX = (3 << 8) | _VERSION
_REGULAR_0644 = 0o100644 << 16
_ALIGNMENT_EXTRA = 0xD935


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenEntry:
    """One entry as it was written.

    Attributes:
        name: Path inside the archive, with forward slashes.
        method: 0 (stored) or 8 (deflated).
        crc32: Checksum of the uncompressed content.
        sha256: Digest of the uncompressed content, 32 bytes.
        compressed_bytes: Size in the archive.
        size_bytes: Size of the uncompressed content.
        header_offset: Where the local header begins in the file.
        data_offset: Where the data begins in the file.
    """

    name: str
    method: int
    crc32: int
    sha256: bytes
    compressed_bytes: int
    size_bytes: int
    header_offset: int
    data_offset: int


class ZipWriter:
    """Writes entries one after the other to a seekable binary stream.

    Nothing but the names, the contents and their order decides the bytes. The
    archive may begin behind other bytes; its offsets count from the stream's start.

    Args:
        stream: Opened for binary writing, seekable, positioned where to begin.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._written: list[WrittenEntry] = []
        self._names: set[str] = set()

    @property
    def written(self) -> tuple[WrittenEntry, ...]:
        """The entries so far, in the order of the file."""
        return tuple(self._written)

    def add(
        self,
        name: str,
        content: Path | bytes,
        *,
        stored: bool = False,
        alignment: int = 1,
    ) -> WrittenEntry:
        """Append one entry, reading a file in pieces.

        Args:
            name: Path inside the archive: relative, forward slashes, no "..".
            content: The bytes, or the file that holds them.
            stored: Keep the content as it is; otherwise it is deflated at level 9.
            alignment: The data's offset becomes a multiple of this, 1 to 32768;
                only for stored entries.

        Returns:
            Where the entry ended up, with its digests.

        Raises:
            InputError: If the name is unsafe or taken, the file cannot be read, or
                the alignment makes no sense.
            FormatError: If the archive would outgrow ZIP without its 64-bit extension.
        """
        self._check_name(name)
        if not 1 <= alignment <= 0x8000 or (alignment > 1 and not stored):
            raise InputError(
                f"{name}: an alignment needs a stored entry and must be 1 to 32768; "
                f"received {alignment}, stored={stored}"
            )
        method = STORED if stored else DEFLATED
        header_offset = self._stream.tell()
        encoded = name.encode()
        extra = _alignment_extra(header_offset + LOCAL.size + len(encoded), alignment)
        blank = _local_header(name, method, 0, 0, 0, len(extra))
        self._stream.write(blank + encoded + extra)
        data_offset = self._stream.tell()
        crc32, sha256, size = self._copy(content, deflate=not stored)
        end = self._stream.tell()
        if end > _LIMIT_32 or size > _LIMIT_32 or len(self._written) >= _LIMIT_16:
            raise FormatError(
                f"{name}: the archive would need ZIP64, which Android's package "
                "reader does not take; ship fewer or smaller files"
            )
        # The checksum and the sizes are known only now that the data was streamed.
        self._stream.seek(header_offset)
        self._stream.write(
            _local_header(name, method, crc32, end - data_offset, size, len(extra))
        )
        self._stream.seek(end)
        entry = WrittenEntry(
            name=name,
            method=method,
            crc32=crc32,
            sha256=sha256,
            compressed_bytes=end - data_offset,
            size_bytes=size,
            header_offset=header_offset,
            data_offset=data_offset,
        )
        self._written.append(entry)
        self._names.add(name)
        return entry

    def pad(self, alignment: int) -> int:
        """Fill with zeros up to a multiple of the alignment.

        Args:
            alignment: In bytes, at least 1.

        Returns:
            The stream's position afterwards.
        """
        self._stream.write(b"\0" * (-self._stream.tell() % alignment))
        return self._stream.tell()

    def central_directory(self) -> bytes:
        """The central directory of the entries so far."""
        return b"".join(map(_central_header, self._written))

    def end_record(self, directory_offset: int) -> bytes:
        """The end of central directory record.

        Args:
            directory_offset: Where in the file the central directory will begin.

        Returns:
            22 bytes.

        Raises:
            FormatError: If the offset needs ZIP64.
        """
        size = len(self.central_directory())
        if directory_offset + size > _LIMIT_32:
            raise FormatError("the archive outgrew 4 GiB; ship fewer or smaller files")
        count = len(self._written)
        return END.pack(0x06054B50, 0, 0, count, count, size, directory_offset, 0)

    def finish(self) -> None:
        """Write the central directory and the end record where the stream is."""
        end_record = self.end_record(self._stream.tell())
        self._stream.write(self.central_directory() + end_record)

    def _check_name(self, name: str) -> None:
        if not is_safe_name(name):
            raise InputError(
                f"{name!r} cannot name an archive entry; expected a relative path with "
                "forward slashes, without '..', '\\', ':' or control characters"
            )
        if name in self._names:
            raise InputError(f"{name!r} is in the archive already; rename one of them")

    def _copy(self, content: Path | bytes, *, deflate: bool) -> tuple[int, bytes, int]:
        crc32, sha256, size = 0, hashlib.sha256(), 0
        compressor = zlib.compressobj(9, zlib.DEFLATED, -15) if deflate else None
        for piece in _pieces(content):
            crc32 = zlib.crc32(piece, crc32)
            sha256.update(piece)
            size += len(piece)
            self._stream.write(compressor.compress(piece) if compressor else piece)
        if compressor:
            self._stream.write(compressor.flush())
        return crc32, sha256.digest(), size


def _pieces(content: Path | bytes) -> Iterator[bytes]:
    with open_source(content) as source:
        while piece := source.read(_CHUNK_BYTES):
            yield piece


def _alignment_extra(offset: int, alignment: int) -> bytes:
    if alignment == 1:
        return b""
    padding = -(offset + 6) % alignment
    return struct.pack(f"<HHH{padding}x", _ALIGNMENT_EXTRA, 2 + padding, alignment)


def _flags(name: str) -> int:
    return 0 if name.isascii() else UTF8_FLAG


def _local_header(
    name: str, method: int, crc32: int, compressed: int, size: int, extra: int
) -> bytes:
    return LOCAL.pack(
        0x04034B50,
        _VERSION,
        _flags(name),
        method,
        _DOS_TIME,
        _DOS_DATE,
        crc32,
        min(compressed, _LIMIT_32),
        min(size, _LIMIT_32),
        len(name.encode()),
        extra,
    )


def _central_header(entry: WrittenEntry) -> bytes:
    encoded = entry.name.encode()
    return (
        CENTRAL.pack(
            0x02014B50,
            _MADE_ON_UNIX,
            _VERSION,
            _flags(entry.name),
            entry.method,
            _DOS_TIME,
            _DOS_DATE,
            entry.crc32,
            entry.compressed_bytes,
            entry.size_bytes,
            len(encoded),
            0,
            0,
            0,
            0,
            _REGULAR_0644,
            entry.header_offset,
        )
        + encoded
    )
