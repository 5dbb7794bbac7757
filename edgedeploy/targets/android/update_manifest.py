"""Read what an update says of itself, as UpdateManifest.kt does on the phone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgedeploy.errors import FormatError

FORMAT = 1
# Recipes with a budget have an @ in their names.
PART = r"[A-Za-z0-9_][A-Za-z0-9_@.-]*"
FILE_NAME = re.compile(rf"{PART}(/{PART})*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# 18 digits fit into Kotlin's Long.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_HEADER_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateFile:
    """One file of an update.

    Attributes:
        name: Below the model's folder, with forward slashes.
        sha256: Of its content, hexadecimal.
        size_bytes: Of its content.
    """

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateManifest:
    """An update's text.

    Attributes:
        model: The model's name.
        version: The update's version.
        contract: Schema of the contract that the app has to follow.
        min_app_version: versionCode of the oldest app that may take it.
        files: At least one, no name twice.
    """

    model: str
    version: int
    contract: int
    min_app_version: int
    files: tuple[UpdateFile, ...]


def parse_update(content: bytes) -> UpdateManifest:
    """Read an update's text, line by line.

    Args:
        content: The bytes of `update.txt`; docs/updates.md describes them.

    Raises:
        FormatError: If an app would refuse the text; the message names the line.
    """
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError as error:
        raise FormatError(f"byte {error.start} of the text is not ASCII") from error
    lines = text.removesuffix("\n").split("\n")
    if lines[0] != f"edgedeploy-update {FORMAT}":
        raise FormatError(
            f"expected an update of format {FORMAT}; received {lines[0][:40]!r}"
        )
    files = tuple(_read_file(lines, at) for at in range(_HEADER_LINES, len(lines)))
    if not files or len({file.name for file in files}) != len(files):
        raise FormatError("the update lists no files, or one twice")
    return UpdateManifest(
        model=_read_value(lines, 1, "model"),
        version=_read_number(lines, 2, "version"),
        contract=_read_number(lines, 3, "contract"),
        min_app_version=_read_number(lines, 4, "min-app-version"),
        files=files,
    )


def _read_value(lines: list[str], at: int, key: str) -> str:
    found = lines[at] if at < len(lines) else ""
    if not found.startswith(f"{key} "):
        raise FormatError(f"line {at + 1} must say {key}; received {found[:40]!r}")
    return found[len(key) + 1 :]


def _read_number(lines: list[str], at: int, key: str) -> int:
    found = _read_value(lines, at, key)
    if not _NUMBER.fullmatch(found):
        raise FormatError(
            f"{key} must be a whole number of at most 18 digits; "
            f"received {found[:40]!r}"
        )
    return int(found)


def _read_file(lines: list[str], at: int) -> UpdateFile:
    parts = _read_value(lines, at, "file").split(" ")
    if not (
        len(parts) == 3
        and _DIGEST.fullmatch(parts[0])
        and _NUMBER.fullmatch(parts[1])
        and FILE_NAME.fullmatch(parts[2])
    ):
        raise FormatError(
            f"line {at + 1}, {lines[at][:80]!r}, names no file that stays inside"
        )
    return UpdateFile(name=parts[2], sha256=parts[0], size_bytes=int(parts[1]))
