"""Reads the APK Signing Block, between a package's entries and its directory."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from edgedeploy.errors import FormatError

if TYPE_CHECKING:
    from edgedeploy.formats.zip_reader import ZipEnd

_MAGIC = b"APK Sig Block 42"
_FOOTER = struct.Struct("<Q16s")
_MAX_BLOCK_BYTES = 64 << 20
_DIRECTORY_OFFSET_AT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningBlocks:
    """The pairs of the signing block and what the signatures cover.

    Attributes:
        pairs: Values by id; empty when the package has no signing block.
        entries_bytes: Where the entries end: where the block begins, or the
            directory when there is none.
        directory_offset: Where the central directory begins.
        directory_bytes: Its size.
        end_record: The end record with the directory's offset replaced by
            `entries_bytes`, as the schemes digest it.
    """

    pairs: dict[int, bytes]
    entries_bytes: int
    directory_offset: int
    directory_bytes: int
    end_record: bytes


class Cursor:
    """Reads little-endian numbers and length-prefixed parts, checking bounds."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def at_end(self) -> bool:
        """Whether everything was read."""
        return self._at == len(self._data)

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def number(self, layout: str = "<I") -> int:
        """Read one number.

        Args:
            layout: A `struct` format of one integer.

        Returns:
            The number.

        Raises:
            FormatError: If too few bytes are left.
        """
        data = self.take(struct.calcsize(layout))
        value: int = struct.unpack(layout, data)[0]
        return value

    def take(self, length: int) -> bytes:
        """Read some bytes.

        Args:
            length: How many.

        Returns:
            That many bytes.

        Raises:
            FormatError: If too few bytes are left.
        """
        if length > len(self._data) - self._at:
            raise FormatError(
                f"signing block: a part of {length} bytes at {self._at} of "
                f"{len(self._data)} runs outside"
            )
        self._at += length
        return self._data[self._at - length : self._at]

    def part(self) -> bytes:
        """Read bytes that follow their length in four bytes.

        Raises:
            FormatError: If too few bytes are left.
        """
        return self.take(self.number())

    def parts(self) -> tuple[bytes, ...]:
        """Read a length-prefixed sequence of length-prefixed parts.

        Raises:
            FormatError: If a part runs outside the sequence.
        """
        inner = Cursor(self.part())
        found = []
        while not inner.at_end:
            found.append(inner.part())
        return tuple(found)

    def finish(self, what: str) -> None:
        """Insist that nothing is left.

        Args:
            what: Name of the structure, for the error.

        Raises:
            FormatError: If bytes are left.
        """
        if not self.at_end:
            left = len(self._data) - self._at
            raise FormatError(f"signing block: {left} bytes too many after {what}")


def read_blocks(stream: IO[bytes], end: ZipEnd) -> SigningBlocks:
    """Read the signing block, if there is one.

    Args:
        stream: The package, seekable.
        end: Its end record.

    Returns:
        The pairs, and the parts of the file that signatures cover.

    Raises:
        FormatError: If the block is malformed or an id occurs twice.
    """
    content, start = _block_content(stream, end.directory_offset)
    pairs: dict[int, bytes] = {}
    cursor = Cursor(content)
    while not cursor.at_end:
        pair = Cursor(cursor.take(cursor.number("<Q")))
        identifier = pair.number()
        if identifier in pairs:
            raise FormatError(f"signing block: id {identifier:#010x} occurs twice")
        pairs[identifier] = pair.take(pair.remaining)
    stream.seek(end.offset)
    record = bytearray(stream.read())
    struct.pack_into("<I", record, _DIRECTORY_OFFSET_AT, start)
    return SigningBlocks(
        pairs=pairs,
        entries_bytes=start,
        directory_offset=end.directory_offset,
        directory_bytes=end.directory_bytes,
        end_record=bytes(record),
    )


def _block_content(stream: IO[bytes], directory_offset: int) -> tuple[bytes, int]:
    footer_at = directory_offset - _FOOTER.size
    if footer_at < 8:
        return b"", directory_offset
    stream.seek(footer_at)
    size, magic = _FOOTER.unpack(stream.read(_FOOTER.size))
    if magic != _MAGIC:
        return b"", directory_offset
    start = directory_offset - size - 8
    if start < 0 or not _FOOTER.size <= size <= _MAX_BLOCK_BYTES:
        raise FormatError(f"signing block: it claims {size} bytes")
    stream.seek(start)
    if struct.unpack("<Q", stream.read(8))[0] != size:
        raise FormatError("signing block: its two sizes differ")
    return stream.read(size - _FOOTER.size), start
