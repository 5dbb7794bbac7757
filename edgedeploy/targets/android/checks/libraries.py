"""The shared libraries of a package: page alignment, and which runtime it brings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from edgedeploy.errors import FormatError
from edgedeploy.formats.elf import LARGE_PAGE_BYTES, read_shared_library
from edgedeploy.results import Check
from edgedeploy.targets.android.checks.contents import Contents, PackagedFile

_RUNTIMES = (
    "libtensorflowlite_jni.so",
    "libtensorflowlite.so",
    "libtensorflowlite_c.so",
    "liblitert_jni.so",
    "libLiteRt.so",
)
# TFLITE_VERSION_STRING lies among the constants, with zeros around it.
_VERSION = re.compile(
    rb"(?<=\0)([12]\.\d{1,2}\.\d{1,2})(?:-[0-9A-Za-z.+-]{1,20})?(?=\0)"
)
_LIMIT_BYTES = 512 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A TFLite or LiteRT runtime inside a package.

    Attributes:
        name: The library's entry.
        versions: What looks like its version; one if it is known for sure.
    """

    name: str
    versions: tuple[str, ...]


def check_libraries(contents: Contents) -> Iterator[Check]:
    """Check that each shared library loads on devices with 16 KiB pages.

    Args:
        contents: The package.

    Yields:
        One check a library.
    """
    for file in _libraries(contents):
        if not _is_loaded(file):
            yield _check(file, None, "lies where Android loads nothing from")
            continue
        try:
            library = read_shared_library(contents.read(file, _LIMIT_BYTES))
        except FormatError as error:
            yield _check(file, False, str(error))
            continue
        fits = library.fits_large_pages
        detail = f"{library.abi}, segments aligned to {library.load_alignment_bytes}"
        if library.bits == 32:
            detail += "; 16 KiB pages are for 64 bits alone"
        elif not fits:
            detail += f"; devices with 16 KiB pages need {LARGE_PAGE_BYTES}"
        entry = file.entry
        mapped = entry is not None and file.stored and file.name.startswith("lib/")
        # Stored libraries are mapped from the package, so its own offset counts too.
        if fits and mapped and entry is not None and library.bits == 64:
            fits = entry.data_offset % LARGE_PAGE_BYTES == 0
            detail += f"; stored at offset {entry.data_offset}"
            detail += "" if fits else ", no multiple of 16384 (zipalign -P 16)"
        yield _check(file, fits, detail)


def find_runtimes(contents: Contents) -> tuple[Runtime, ...]:
    """Find the runtimes that a package brings, and what they say of their version.

    Args:
        contents: The package.
    """
    found = []
    for file in _libraries(contents):
        if PurePosixPath(file.name).name not in _RUNTIMES:
            continue
        try:
            data = contents.read(file, _LIMIT_BYTES)
        except FormatError:
            continue
        versions = sorted({match[1].decode() for match in _VERSION.finditer(data)})
        found.append(Runtime(name=file.name, versions=tuple(versions)))
    return tuple(found)


def _libraries(contents: Contents) -> list[PackagedFile]:
    return [file for file in contents.files if file.name.endswith(".so")]


def _is_loaded(file: PackagedFile) -> bool:
    """Whether it lies where an installer looks: lib/<abi>/, jni/<abi>/ in an AAR."""
    folders = PurePosixPath(file.name).parts[-3:-1]
    return len(folders) == 2 and folders[0] in ("lib", "jni")


def _check(file: PackagedFile, passed: bool | None, detail: str) -> Check:
    return Check(
        level="file", name=f"{file.name} page size", passed=passed, detail=detail
    )
