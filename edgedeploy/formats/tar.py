"""Deterministic gzipped tar archives, and a strict reader for other people's.

Layout: POSIX.1-1988 ustar (IEEE Std 1003.1, pax, "ustar Interchange Format"), in
gzip (RFC 1952).
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from edgedeploy.errors import FormatError, PackageError
from edgedeploy.formats.archive import is_safe_name

# 1980-01-01, as in our ZIP files: some tools refuse times before it.
MTIME = 315_532_800
# Wheels do not shrink further and models hardly; higher levels only cost time.
_LEVEL = 6
_BLOCK = 512
_CHUNK_BYTES = 1 << 20
_PERMITTED_MODES = (0o644, 0o755)
MAX_ENTRIES = 10_000
MAX_TOTAL_BYTES = 4 << 30
_GZIP_ERRORS = (EOFError, zlib.error, gzip.BadGzipFile)


@dataclass(frozen=True, slots=True, kw_only=True)
class TarEntry:
    """A file to write.

    Attributes:
        name: Relative path with forward slashes.
        source: Its content, or the file that has it.
        executable: Whether its mode is 0755 rather than 0644.
    """

    name: str
    source: Path | bytes
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TarMember:
    """A file that was extracted.

    Attributes:
        name: Relative path with forward slashes.
        size_bytes: Its size.
        executable: Whether its owner may execute it.
    """

    name: str
    size_bytes: int
    executable: bool


def write_tar_gz(path: Path, entries: Sequence[TarEntry]) -> None:
    """Write an archive whose bytes depend on names, modes and contents alone.

    Entries are sorted; owner, times and compression level are fixed. The file
    appears whole or not at all.

    Args:
        path: Where to; an existing file is replaced.
        entries: What to write.

    Raises:
        PackageError: If a name is unsafe, double or too long for ustar, or a file
            cannot be read or written.
    """
    ordered = _ordered(path.name, entries)
    try:
        handle, temporary = tempfile.mkstemp(prefix=".tar-", dir=path.parent)
    except OSError as error:
        raise PackageError(f"cannot write {path} ({error.strerror})") from error
    try:
        with os.fdopen(handle, "wb") as file:
            _write(file, ordered)
            file.flush()
            os.fsync(file.fileno())
            # mkstemp's 0600 would keep others from fetching the bundle.
            os.fchmod(file.fileno(), 0o644)
        Path(temporary).replace(path)
    except (OSError, ValueError) as error:
        Path(temporary).unlink(missing_ok=True)
        raise PackageError(f"cannot write {path} ({error})") from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def pack_tree(file: IO[bytes], title: str, entries: Sequence[TarEntry]) -> None:
    """Write an archive as Debian's packages have it, folders and all.

    Names begin with "./", and each folder comes before what is in it: dpkg makes no
    folder that is not in the archive.

    Args:
        file: Where to, from the current position on; binary.
        title: What the archive is called in messages.
        entries: What to write; sorted here.

    Raises:
        PackageError: If a name is unsafe, double or too long for ustar.
        OSError: If a file cannot be read or written.
    """
    ordered = _ordered(title, entries)
    folders = {
        parent.as_posix()
        for entry in ordered
        for parent in PurePosixPath(entry.name).parents
    } - {"."}
    try:
        _write(file, ordered, folders=sorted(folders), root="./")
    except ValueError as error:
        raise PackageError(f"{title}: {error}") from error


def extract_tar_gz(path: Path, folder: Path) -> tuple[TarMember, ...]:
    """Unpack an archive, trusting nothing.

    Only plain files and folders are taken; links, devices, extended headers, names
    that leave the folder, doubles and bombs are refused.

    Args:
        path: The archive.
        folder: Empty; files appear in it with modes 0644 or 0755.

    Returns:
        The files, in the archive's order.

    Raises:
        FormatError: If the archive is damaged or hostile.
        PackageError: If the folder cannot be written.
    """
    members: list[TarMember] = []
    seen: set[str] = set()
    room = MAX_TOTAL_BYTES
    try:
        with gzip.open(path, "rb") as stream:
            for header in _headers(path, stream):
                name, size = _name(path, header), _number(path, header[124:136])
                kind = header[156:157]
                if kind == b"5" and size == 0:
                    continue
                if kind not in (b"0", b"\0"):
                    raise FormatError(f"{path.name}: {name!r} is no plain file")
                _admit(path, name, seen)
                room -= size
                if room < 0:
                    raise FormatError(f"{path.name}: unpacks to over {MAX_TOTAL_BYTES}")
                executable = bool(_number(path, header[100:108]) & 0o100)
                _copy_out(path, stream, folder / name, size, executable)
                member = TarMember(name=name, size_bytes=size, executable=executable)
                members.append(member)
    except _GZIP_ERRORS as error:
        raise FormatError(f"{path.name}: truncated or damaged ({error})") from error
    except OSError as error:
        raise PackageError(f"cannot unpack {path.name} ({error})") from error
    return tuple(members)


def _ordered(title: str, entries: Sequence[TarEntry]) -> list[TarEntry]:
    """Sort entries by name, and refuse what no archive should have."""
    ordered = sorted(entries, key=lambda entry: entry.name)
    names = [entry.name for entry in ordered]
    for name in names:
        if not is_safe_name(name):
            raise PackageError(f"{title}: {name!r} is no safe entry name")
    if len(set(names)) != len(names):
        raise PackageError(f"{title}: an entry occurs twice")
    return ordered


def _write(
    file: IO[bytes],
    entries: Sequence[TarEntry],
    *,
    folders: Sequence[str] = (),
    root: str = "",
) -> None:
    with (
        gzip.GzipFile(
            filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0
        ) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in ([""] if root else []) + list(folders):
            folder = tarfile.TarInfo(f"{root}{name}")
            folder.type = tarfile.DIRTYPE
            folder.mtime = MTIME
            folder.mode = 0o755
            folder.uname = folder.gname = "root" if root else ""
            archive.addfile(folder)
        for entry in entries:
            with contextlib.ExitStack() as stack:
                info = tarfile.TarInfo(f"{root}{entry.name}")
                info.mtime = MTIME
                info.uname = info.gname = "root" if root else ""
                info.mode = _PERMITTED_MODES[entry.executable]
                if isinstance(entry.source, bytes):
                    content: IO[bytes] = io.BytesIO(entry.source)
                    info.size = len(entry.source)
                else:
                    content = stack.enter_context(entry.source.open("rb"))
                    info.size = os.fstat(content.fileno()).st_size
                archive.addfile(info, content)


def _headers(path: Path, stream: gzip.GzipFile) -> Iterator[bytes]:
    """Give each header block up to the end mark; the caller reads the content."""
    for _ in range(MAX_ENTRIES):
        header = _read(path, stream, _BLOCK)
        if header == bytes(_BLOCK):
            _drain(path, stream)
            return
        stored = _number(path, header[148:156])
        # The checksum is taken with its own field full of blanks.
        if stored != sum(header[:148]) + 8 * 0x20 + sum(header[156:]):
            raise FormatError(f"{path.name}: a header's checksum is wrong")
        if header[257:262] != b"ustar":
            raise FormatError(f"{path.name}: not a ustar archive")
        yield header
    raise FormatError(f"{path.name}: has over {MAX_ENTRIES} entries")


def _drain(path: Path, stream: gzip.GzipFile) -> None:
    """Read to the end, which checks gzip's own checksum; only padding may follow."""
    for _ in range(64):
        rest = stream.read(_BLOCK)
        if not rest:
            return
        if rest.strip(b"\0"):
            break
    raise FormatError(f"{path.name}: has data after its end")


def _name(path: Path, header: bytes) -> str:
    try:
        name = header[:100].rstrip(b"\0").decode()
        # GNU tar's variant keeps times where the prefix would be.
        if header[257:263] == b"ustar\0":
            prefix = header[345:500].rstrip(b"\0").decode()
            name = f"{prefix}/{name}" if prefix else name
    except UnicodeDecodeError as error:
        raise FormatError(f"{path.name}: an entry's name is not UTF-8") from error
    plain = name.removesuffix("/") if header[156:157] == b"5" else name
    # Debian's packages begin their names so; "." itself is the folder given.
    plain = plain.removeprefix("./")
    if plain == "." and header[156:157] == b"5":
        return plain
    if not is_safe_name(plain):
        raise FormatError(f"{path.name}: {name!r} would leave its folder; refused")
    return plain


def _admit(path: Path, name: str, seen: set[str]) -> None:
    """Refuse a file twice, or below another file."""
    parents = [parent.as_posix() for parent in Path(name).parents][:-1]
    if name in seen or any(parent in seen for parent in parents):
        raise FormatError(f"{path.name}: {name!r} occurs more than once")
    seen.add(name)


def _number(path: Path, field: bytes) -> int:
    text = field.strip(b" \0")
    try:
        number = int(text or b"0", 8)
    except ValueError as error:
        raise FormatError(f"{path.name}: a header's number is malformed") from error
    if number < 0:
        raise FormatError(f"{path.name}: a header's number is negative")
    return number


def _copy_out(
    path: Path, stream: gzip.GzipFile, target: Path, size: int, executable: bool
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = size
    with target.open("xb") as file:
        while left:
            block = _read(path, stream, min(left, _CHUNK_BYTES))
            file.write(block)
            left -= len(block)
    target.chmod(_PERMITTED_MODES[executable])
    _read(path, stream, -size % _BLOCK)


def _read(path: Path, stream: gzip.GzipFile, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise FormatError(f"{path.name}: truncated")
    return data
