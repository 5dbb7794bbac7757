"""A strict reader of ZIP archives, other people's and hostile ones included.

It trusts nothing twice: the central directory says what there is, and each local
header must agree with it. Layout: PKWARE APPNOTE.TXT 6.3, section 4.3.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from edgedeploy.errors import FormatError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

STORED = 0
DEFLATED = 8

_END_BYTES = 22
_MAX_COMMENT_BYTES = 0xFFFF
_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_ENCRYPTED_FLAG = 0x0001
_DESCRIPTOR_FLAG = 0x0008
_UTF8_FLAG = 0x0800
_PIECE_BYTES = 1 << 20
_DEFAULT_LIMIT_BYTES = 1 << 31


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipEnd:
    """The end of central directory record.

    Attributes:
        offset: Where the record begins in the file.
        count: Entries declared.
        directory_offset: Where the central directory begins in the file.
        directory_bytes: Its size.
        prefix_bytes: Bytes before the archive that its offsets do not count.
    """

    offset: int
    count: int
    directory_offset: int
    directory_bytes: int
    prefix_bytes: int


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


def entries(
    source: Path | bytes | memoryview, *, allow_prefix: bool = False
) -> tuple[ZipEntry, ...]:
    """List an archive's entries in the order of their data.

    Args:
        source: The archive's path or its bytes.
        allow_prefix: Accept offsets that do not count bytes before the archive, as
            in a self-extracting file; Android refuses these.

    Returns:
        The entries. Names are unique, their bytes lie in the file, do not overlap,
        and local headers agree with the central directory.

    Raises:
        InputError: If the file cannot be opened.
        FormatError: If the archive is truncated, contradicts itself, uses ZIP64 or
            spans several files.
    """
    with open_source(source) as stream:
        end = find_end(stream, allow_prefix=allow_prefix)
        found = [_resolve(stream, end, item) for item in _directory(stream, end)]
    found.sort(key=lambda entry: entry.header_offset)
    _check_layout(found, end)
    return tuple(found)


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


def find_end(stream: IO[bytes], *, allow_prefix: bool = False) -> ZipEnd:
    """Find and check the end of central directory record.

    Args:
        stream: The archive, seekable.
        allow_prefix: As in `entries`.

    Returns:
        The record, its offsets counted from the file's start.

    Raises:
        FormatError: If there is none, or it contradicts the file.
    """
    size = stream.seek(0, io.SEEK_END)
    start = max(0, size - _END_BYTES - _MAX_COMMENT_BYTES)
    stream.seek(start)
    tail = stream.read(size - start)
    at = _find_end_record(tail)
    if at < 0:
        raise FormatError(
            f"no ZIP end record in the last {len(tail)} bytes; the file is truncated "
            "or not a ZIP archive"
        )
    _, disk, first_disk, here, count, length, offset, _ = _END.unpack_from(tail, at)
    if 0xFFFF in {disk, first_disk, here, count} or 0xFFFFFFFF in {length, offset}:
        raise FormatError("the archive uses ZIP64, which Android's reader refuses too")
    if disk or first_disk or here != count:
        raise FormatError("the archive spans several files; only one is supported")
    prefix = 0
    # An APK has its signing block between the entries and the directory, so only the
    # directory's own place tells whether the offsets count from the file's start.
    if offset + length != start + at:
        prefix = start + at - length - offset
        if prefix < 0 or not allow_prefix:
            raise FormatError(
                f"the central directory should end at {start + at}, where the end "
                f"record begins; it says it ends at {offset + length}"
            )
    return ZipEnd(
        offset=start + at,
        count=count,
        directory_offset=offset + prefix,
        directory_bytes=length,
        prefix_bytes=prefix,
    )


def _find_end_record(tail: bytes) -> int:
    at = len(tail) - _END_BYTES
    while (at := tail.rfind(b"PK\x05\x06", 0, at + 4)) >= 0:
        comment = int.from_bytes(tail[at + 20 : at + 22], "little")
        if at + _END_BYTES + comment == len(tail):
            return at
        at -= 1
    return -1


def _directory(stream: IO[bytes], end: ZipEnd) -> Iterator[tuple[int, ...]]:
    stream.seek(end.directory_offset)
    data = stream.read(end.directory_bytes)
    if len(data) != end.directory_bytes:
        raise FormatError("the central directory is truncated")
    at = 0
    items = []
    while at < len(data):
        if at + _CENTRAL.size > len(data) or data[at : at + 4] != b"PK\x01\x02":
            raise FormatError(f"no central directory header at byte {at} of it")
        header = _CENTRAL.unpack_from(data, at)
        name_at = at + _CENTRAL.size
        at = name_at + sum(header[10:13])
        if at > len(data):
            raise FormatError("a central directory header runs past its end")
        items.append((*header, end.directory_offset + name_at))
    if len(items) != end.count:
        raise FormatError(
            f"the end record promises {end.count} entries; found {len(items)}"
        )
    return iter(items)


def _resolve(stream: IO[bytes], end: ZipEnd, item: tuple[int, ...]) -> ZipEntry:
    flags, method, crc32, compressed, size = item[3], item[4], *item[7:10]
    if 0xFFFFFFFF in {compressed, size, item[16]}:
        raise FormatError("an entry uses ZIP64, which Android's reader refuses too")
    stream.seek(item[17])
    raw_name = stream.read(item[10])
    name = _decode_name(raw_name, flags)
    header_offset = item[16] + end.prefix_bytes
    stream.seek(header_offset)
    header = stream.read(_LOCAL.size)
    if len(header) != _LOCAL.size or header[:4] != b"PK\x03\x04":
        raise FormatError(f"{name!r} has no local header at {header_offset}")
    local = _LOCAL.unpack(header)
    if stream.read(local[9]) != raw_name or local[3] != method:
        raise FormatError(
            f"{name!r}: the local header's name or method is not the directory's"
        )
    # With bit 3 the local header may hold zeros: the numbers follow the data.
    if not local[2] & _DESCRIPTOR_FLAG and local[6:9] != (crc32, compressed, size):
        raise FormatError(
            f"{name!r}: the local header's sizes or CRC are not the directory's"
        )
    return ZipEntry(
        name=name,
        method=method,
        encrypted=bool((flags | local[2]) & _ENCRYPTED_FLAG),
        crc32=crc32,
        compressed_bytes=compressed,
        size_bytes=size,
        header_offset=header_offset,
        data_offset=header_offset + _LOCAL.size + local[9] + local[10],
    )


def _decode_name(raw: bytes, flags: int) -> str:
    # Many writers put UTF-8 without the flag; Android reads every name as UTF-8.
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if flags & _UTF8_FLAG:
            raise FormatError(f"the entry name {raw!r} is not UTF-8") from error
        return raw.decode("cp437")


def _check_layout(found: list[ZipEntry], end: ZipEnd) -> None:
    free_from = end.prefix_bytes
    names: set[str] = set()
    for entry in found:
        if entry.name in names:
            raise FormatError(f"{entry.name!r} is in the archive twice")
        names.add(entry.name)
        if entry.header_offset < free_from:
            raise FormatError(f"{entry.name!r} overlaps the entry before it")
        free_from = entry.data_offset + entry.compressed_bytes
        if free_from > end.directory_offset:
            raise FormatError(f"{entry.name!r} runs into the central directory")


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
