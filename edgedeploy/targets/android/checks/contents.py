"""What a package holds, whether it is an archive or a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.zip import STORED, ZipEntry, entries, read_entry

MODEL_SUFFIX = ".tflite"
# A .tflite file's tables end at 2 GiB; what is larger is not looked into.
_LIMIT_BYTES = 2 << 30
_MAX_FILES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedFile:
    """One file of a package.

    Attributes:
        name: With forward slashes, below the package.
        size_bytes: Uncompressed.
        entry: Where it lies in the archive; None in a folder.
    """

    name: str
    size_bytes: int
    entry: ZipEntry | None

    @property
    def stored(self) -> bool:
        """Whether its bytes lie in the package as they are."""
        return self.entry is None or (
            self.entry.method == STORED and not self.entry.encrypted
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """An opened package.

    Attributes:
        path: The archive or the folder.
        files: Sorted by name.
    """

    path: Path
    files: tuple[PackagedFile, ...]

    @property
    def models(self) -> tuple[PackagedFile, ...]:
        """The .tflite files."""
        return tuple(f for f in self.files if f.name.lower().endswith(MODEL_SUFFIX))

    def find(self, name: str) -> PackagedFile | None:
        """Give a file by its name; None where there is none."""
        return next((file for file in self.files if file.name == name), None)

    def read(self, file: PackagedFile, limit_bytes: int = _LIMIT_BYTES) -> bytes:
        """Read a file.

        Args:
            file: One of the files.
            limit_bytes: Refuse larger ones.

        Raises:
            FormatError: If it is too large, damaged or cannot be read.
        """
        if file.entry is not None:
            return read_entry(self.path, file.entry, limit_bytes=limit_bytes)
        if file.size_bytes > limit_bytes:
            raise FormatError(
                f"{file.name}: {file.size_bytes} bytes; at most {limit_bytes} are "
                "accepted here"
            )
        try:
            return (self.path / file.name).read_bytes()
        except OSError as error:
            raise FormatError(f"{file.name}: cannot be read ({error})") from error


def open_contents(path: Path) -> Contents:
    """List what a package holds.

    Args:
        path: An archive, or a folder; links in it are not followed.

    Raises:
        InputError: If it cannot be opened, or the folder has far too many files.
        FormatError: If the archive is malformed.
    """
    if not path.is_dir():
        found = [
            PackagedFile(name=entry.name, size_bytes=entry.size_bytes, entry=entry)
            for entry in entries(path)
            if entry.name[-1:] != "/"
        ]
    else:
        found = []
        for file in path.rglob("*"):
            if file.is_symlink() or not file.is_file():
                continue
            name = PurePosixPath(file.relative_to(path)).as_posix()
            size = file.stat().st_size
            found.append(PackagedFile(name=name, size_bytes=size, entry=None))
            if len(found) > _MAX_FILES:
                raise InputError(
                    f"{path}: over {_MAX_FILES} files; give the folder of one package"
                )
    return Contents(path=path, files=tuple(sorted(found, key=lambda file: file.name)))
