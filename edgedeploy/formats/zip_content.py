"""Reads what a ZIP archive's entries hold, checked against what they declare."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

from edgedeploy.errors import FormatError
from edgedeploy.formats.archive import open_source
from edgedeploy.formats.zip_layout import DEFLATED, STORED, ZipEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE_BYTES = 1 << 20
_DEFAULT_LIMIT_BYTES = 1 << 31


def read_entry(
    source: Path | bytes | memoryview,
    entry: ZipEntry,
    *,
    limit_bytes: int = _DEFAULT_LIMIT_BYTES,
) -> bytes:
    """Read and check one entry's content.

    Args:
        source: The archive the entry came from.
        entry: One of `entries(source)`.
        limit_bytes: Refuse content larger than this.

    Returns:
        The uncompressed content.

    Raises:
        InputError: If the file cannot be opened.
        FormatError: If the size or the checksum differ from the declared ones, the
            method is unknown, the entry is encrypted or over the limit.
    """
    if entry.size_bytes > limit_bytes:
        raise FormatError(
            f"{entry.name!r} declares {entry.size_bytes} bytes; "
            f"at most {limit_bytes} are accepted here"
        )
    with open_source(source) as stream:
        return b"".join(entry_pieces(stream, entry))


def entry_pieces(stream: IO[bytes], entry: ZipEntry) -> Iterator[bytes]:
    """Yield an entry's content in pieces of at most 1 MiB, checking it at the end.

    Args:
        stream: The archive, seekable; not to be moved between the pieces.
        entry: One of its entries.

    Yields:
        Uncompressed bytes, never more in total than the entry declares.

    Raises:
        FormatError: As `read_entry`.
    """
    if entry.encrypted or entry.method not in {STORED, DEFLATED}:
        raise FormatError(
            f"{entry.name!r} is encrypted or uses compression method {entry.method}; "
            "only stored and deflated entries can be read"
        )
    if entry.method == STORED and entry.compressed_bytes != entry.size_bytes:
        raise FormatError(f"{entry.name!r} is stored, but its two sizes differ")
    raw = _raw_pieces(stream, entry)
    pieces = _inflate(raw, entry) if entry.method == DEFLATED else raw
    crc32 = size = 0
    for piece in pieces:
        size += len(piece)
        if size > entry.size_bytes:
            break
        crc32 = zlib.crc32(piece, crc32)
        yield piece
    if size != entry.size_bytes or crc32 != entry.crc32:
        raise FormatError(
            f"{entry.name!r} is corrupt: expected {entry.size_bytes} bytes with CRC "
            f"{entry.crc32:08x}, received {size} with {crc32:08x}"
        )


def _raw_pieces(stream: IO[bytes], entry: ZipEntry) -> Iterator[bytes]:
    stream.seek(entry.data_offset)
    left = entry.compressed_bytes
    while left:
        piece = stream.read(min(left, _PIECE_BYTES))
        if not piece:
            raise FormatError(f"{entry.name!r} is truncated: {left} bytes are missing")
        left -= len(piece)
        yield piece


def _inflate(raw: Iterator[bytes], entry: ZipEntry) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-15)
    try:
        for piece in raw:
            pending = piece
            while pending and not inflater.eof:
                yield inflater.decompress(pending, _PIECE_BYTES)
                pending = inflater.unconsumed_tail
            if inflater.eof and (pending or inflater.unused_data):
                break
        while not inflater.eof and (rest := inflater.decompress(b"", _PIECE_BYTES)):
            yield rest
    except zlib.error as error:
        raise FormatError(f"{entry.name!r} is not deflate data: {error}") from error
    if not inflater.eof or inflater.unused_data:
        raise FormatError(f"{entry.name!r}: its deflate data ends at the wrong place")
