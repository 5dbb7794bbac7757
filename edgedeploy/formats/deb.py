"""Debian binary packages: a deterministic writer and a strict reader.

Layout: deb(5), format 2.0: an ar archive (ar(5), the System V/GNU common format) with
`debian-binary`, `control.tar.gz` and `data.tar.gz`, in this order.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgedeploy.errors import FormatError, PackageError
from edgedeploy.formats.tar import (
    MTIME,
    TarEntry,
    TarMember,
    extract_tar_gz,
    pack_tree,
)

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
_FORMAT = b"2.0\n"
_MEMBERS = ("debian-binary", "control.tar.gz", "data.tar.gz")
_CHUNK_BYTES = 1 << 20
# An ar header has ten digits for a size; our own tar reader stops earlier.
_MAX_MEMBER_BYTES = 4 << 30
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+~]*(?:-[A-Za-z0-9.+~]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deb:
    """A package that was unpacked.

    Attributes:
        fields: Of the control file, by name; a line break before each line after
            the first.
        control: Files of the control archive.
        data: Files that an installation would write, by path below the root folder.
    """

    fields: Mapping[str, str]
    control: tuple[TarMember, ...]
    data: tuple[TarMember, ...]


def write_deb(
    path: Path,
    *,
    fields: Mapping[str, str],
    scripts: Mapping[str, bytes],
    data: Sequence[TarEntry],
) -> None:
    """Write a package whose bytes depend on the arguments alone.

    `Installed-Size` and `md5sums` are worked out here. The file appears whole or not
    at all.

    Args:
        path: Where to; an existing file is replaced.
        fields: Of the control file, in order, such as {"Package": "x", …}; lines of a
            value after the first are indented here.
        scripts: Maintainer scripts by name, such as "postinst".
        data: Files to install, by path below the root folder.

    Raises:
        PackageError: If a field or a name is not allowed, or a file cannot be read or
            written.
    """
    try:
        sums, size_bytes = _md5sums(data)
        text = _control(fields, installed_kib=-(-size_bytes // 1024))
        control = [
            TarEntry(name="control", source=text),
            TarEntry(name="md5sums", source=sums),
            *(
                TarEntry(name=name, source=script, executable=True)
                for name, script in scripts.items()
            ),
        ]
        handle, temporary = tempfile.mkstemp(prefix=".deb-", dir=path.parent)
    except OSError as error:
        raise PackageError(f"cannot write {path} ({error})") from error
    try:
        with os.fdopen(handle, "w+b") as file:
            _write(file, control, data)
            file.flush()
            os.fsync(file.fileno())
            # mkstemp's 0600 would keep others from fetching the package.
            os.fchmod(file.fileno(), 0o644)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise PackageError(f"cannot write {path} ({error})") from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def extract_deb(path: Path, folder: Path) -> Deb:
    """Unpack a package, trusting nothing and running nothing.

    Args:
        path: The package.
        folder: Empty; `control/` and `data/` appear in it.

    Returns:
        What was found; the md5sums have been compared.

    Raises:
        FormatError: If it is damaged or hostile, or compressed otherwise than ours.
        PackageError: If the folder cannot be written.
    """
    try:
        with path.open("rb") as file:
            _expect(path, file.read(len(_MAGIC)) == _MAGIC, "is no ar archive")
            for name in _MEMBERS:
                _copy_member(path, file, name, folder)
            _expect(path, not file.read(1), "has data after its end")
    except OSError as error:
        raise PackageError(f"cannot unpack {path.name} ({error})") from error
    _expect(
        path, (folder / _MEMBERS[0]).read_bytes() == _FORMAT, "is not of format 2.0"
    )
    control = extract_tar_gz(folder / _MEMBERS[1], folder / "control")
    data = extract_tar_gz(folder / _MEMBERS[2], folder / "data")
    for name in _MEMBERS:
        (folder / name).unlink()
    fields = _fields(path, folder / "control" / "control")
    _check_md5sums(path, folder, data)
    return Deb(fields=fields, control=control, data=data)


def is_debian_version(text: str) -> bool:
    """Whether a text is a version without epoch (deb-version(7))."""
    return _VERSION.fullmatch(text) is not None


def is_debian_name(text: str) -> bool:
    """Whether a text is a package's name (deb-control(5))."""
    return _PACKAGE.fullmatch(text) is not None


def _control(fields: Mapping[str, str], *, installed_kib: int) -> bytes:
    for name, value in fields.items():
        if not _FIELD.fullmatch(name) or not value.strip():
            raise PackageError(f"{name!r} is no field of a control file, or is empty")
    if not is_debian_name(fields.get("Package", "")):
        raise PackageError(f"{fields.get('Package')!r} is no name of a Debian package")
    if not is_debian_version(fields.get("Version", "")):
        raise PackageError(f"{fields.get('Version')!r} is no Debian version")
    lines = []
    for name, value in {**fields, "Installed-Size": str(installed_kib)}.items():
        first, *more = value.split("\n")
        lines.append(f"{name}: {first}")
        # An empty line would end the paragraph; a dot stands for it.
        lines += [f" {line}" if line.strip() else " ." for line in more]
    return ("\n".join(lines) + "\n").encode()


def _md5sums(data: Sequence[TarEntry]) -> tuple[bytes, int]:
    """Digest every file, and sum their sizes up."""
    lines, total = [], 0
    for entry in sorted(data, key=lambda one: one.name):
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in _chunks(entry.source):
            digest.update(chunk)
            total += len(chunk)
        lines.append(f"{digest.hexdigest()}  {entry.name}\n")
    return "".join(lines).encode(), total


def _chunks(source: Path | bytes) -> Iterable[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _write(
    file: IO[bytes], control: Sequence[TarEntry], data: Sequence[TarEntry]
) -> None:
    file.write(_MAGIC)
    file.write(_header(_MEMBERS[0], len(_FORMAT)) + _FORMAT)
    for name, entries in zip(_MEMBERS[1:], (control, data), strict=True):
        start = file.tell()
        # The size is known when the archive has been written.
        file.write(bytes(_HEADER_BYTES))
        pack_tree(file, name, entries)
        end = file.seek(0, os.SEEK_END)
        size = end - start - _HEADER_BYTES
        if size % 2:
            file.write(b"\n")
        file.seek(start)
        file.write(_header(name, size))
        file.seek(0, os.SEEK_END)


def _header(name: str, size: int) -> bytes:
    """Name, time, owner, group, mode (octal) and size in columns, then the mark."""
    return f"{name:<16}{MTIME:<12}{0:<6}{0:<6}{'100644':<8}{size:<10}`\n".encode()


def _copy_member(path: Path, file: IO[bytes], name: str, folder: Path) -> None:
    header = file.read(_HEADER_BYTES)
    sound = len(header) == _HEADER_BYTES and header[58:] == b"`\n"
    _expect(path, sound, "is truncated or no ar archive")
    found = header[:16].rstrip(b" ").removesuffix(b"/").decode("ascii", "replace")
    _expect(path, found == name, f"has {found!r} where {name} is expected")
    digits = header[48:58].strip()
    _expect(path, digits.isdigit(), "has a malformed size")
    left = int(digits)
    _expect(path, left <= _MAX_MEMBER_BYTES, f"has a {name} that is too large")
    odd = left % 2
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("xb") as target:
        while left:
            chunk = file.read(min(left, _CHUNK_BYTES))
            _expect(path, bool(chunk), "is truncated")
            target.write(chunk)
            left -= len(chunk)
    _expect(path, len(file.read(odd)) == odd, "is truncated")


def _expect(path: Path, condition: bool, complaint: str) -> None:
    if not condition:
        raise FormatError(f"{path.name} {complaint}")


def _fields(path: Path, control: Path) -> dict[str, str]:
    fields: dict[str, str] = {}
    last = ""
    for line in _lines(path, control):
        name, colon, value = line.partition(":")
        if line.startswith(" ") and last:
            fields[last] += "\n" + line[1:]
        elif colon and _FIELD.fullmatch(name) and name not in fields:
            fields[name] = value.strip()
            last = name
        else:
            raise FormatError(f"{path.name}: control has a malformed line")
    return fields


def _check_md5sums(path: Path, folder: Path, data: Sequence[TarMember]) -> None:
    promised: dict[str, str] = {}
    for line in _lines(path, folder / "control" / "md5sums"):
        digest, _, name = line.partition("  ")
        promised[name] = digest
    if set(promised) != {member.name for member in data}:
        raise FormatError(f"{path.name}: md5sums and data.tar list different files")
    for name, digest in promised.items():
        found = hashlib.md5(usedforsecurity=False)
        for chunk in _chunks(folder / "data" / name):
            found.update(chunk)
        if found.hexdigest() != digest:
            raise FormatError(f"{path.name}: {name} does not have its md5sum")


def _lines(path: Path, file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path.name}: {file.name} cannot be read") from error
    return text.removesuffix("\n").split("\n")
