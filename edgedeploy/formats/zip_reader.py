"""A strict list of a ZIP archive's entries, other people's and hostile ones included.

It trusts nothing twice: the central directory says what there is, and each local
header must agree with it. What an entry holds is read by `formats.zip_content`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from edgedeploy.errors import FormatError
from edgedeploy.formats.archive import open_source
from edgedeploy.formats.zip_layout import CENTRAL, END, LOCAL, UTF8_FLAG, ZipEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_COMMENT_BYTES = 0xFFFF
_ENCRYPTED_FLAG = 0x0001
_DESCRIPTOR_FLAG = 0x0008


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
    start = max(0, size - END.size - _MAX_COMMENT_BYTES)
    stream.seek(start)
    tail = stream.read(size - start)
    at = _find_end_record(tail)
    if at < 0:
        raise FormatError(
            f"no ZIP end record in the last {len(tail)} bytes; the file is truncated "
            "or not a ZIP archive"
        )
    _, disk, first_disk, here, count, length, offset, _ = END.unpack_from(tail, at)
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
    at = len(tail) - END.size
    while (at := tail.rfind(b"PK\x05\x06", 0, at + 4)) >= 0:
        comment = int.from_bytes(tail[at + 20 : at + 22], "little")
        if at + END.size + comment == len(tail):
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
        if at + CENTRAL.size > len(data) or data[at : at + 4] != b"PK\x01\x02":
            raise FormatError(f"no central directory header at byte {at} of it")
        header = CENTRAL.unpack_from(data, at)
        name_at = at + CENTRAL.size
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
    header = stream.read(LOCAL.size)
    if len(header) != LOCAL.size or header[:4] != b"PK\x03\x04":
        raise FormatError(f"{name!r} has no local header at {header_offset}")
    local = LOCAL.unpack(header)
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
        data_offset=header_offset + LOCAL.size + local[9] + local[10],
    )


def _decode_name(raw: bytes, flags: int) -> str:
    # Many writers put UTF-8 without the flag; Android reads every name as UTF-8.
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if flags & UTF8_FLAG:
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
