"""Label files: one class a line, in the order of the network's outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_LIMIT_BYTES = 16 << 20
_FIRST_PRINTABLE = " "
_DELETE = "\x7f"


def read_labels(path: Path) -> tuple[str, ...]:
    """Read a label file as it is, duplicates included.

    Args:
        path: UTF-8 text, with or without a byte order mark, LF or CRLF lines.

    Returns:
        One label a line, without surrounding blanks; trailing blank lines dropped.

    Raises:
        InputError: If the file cannot be read, is over 16 MiB, or as `parse_labels`.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > _LIMIT_BYTES:
        raise InputError(f"{path}: over 16 MiB; this is not a label file")
    return parse_labels(data, str(path))


def parse_labels(data: bytes, source: str) -> tuple[str, ...]:
    """Parse the bytes of a label file.

    Args:
        data: As `read_labels` describes.
        source: What to call the bytes in an error.

    Returns:
        The labels.

    Raises:
        InputError: If the bytes are not UTF-8, hold a control character, a blank
            line between labels, or no label at all; the line is in the message.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{source}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8; "
            "save the label file as UTF-8"
        ) from error
    # Not splitlines(): a label may hold U+2028 or U+0085, which it would split at.
    lines = [line.strip(" \t\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise InputError(f"{source}: no labels; expected one class a line")
    for number, label in enumerate(lines, start=1):
        if not label:
            raise InputError(
                f"{source}, line {number}: blank line between labels; it would shift "
                "every class after it, so remove it or name the class"
            )
        if any(char < _FIRST_PRINTABLE or char == _DELETE for char in label):
            raise InputError(
                f"{source}, line {number}: {label!r} has a control character"
            )
    return tuple(lines)


def disambiguate(labels: Iterable[str]) -> tuple[str, ...]:
    """Make labels unique: the second "crane" becomes "crane (2)".

    ImageNet has two "crane" (a bird, a machine) and two "maillot"; a device that
    looks a class up by its label would mix them up.

    Args:
        labels: In the order of the outputs.

    Returns:
        As many labels in the same order; first occurrences keep their name, and a
        number that another label has already is passed over.
    """
    originals = tuple(labels)
    taken = set(originals)
    counts: dict[str, int] = {}
    unique = []
    for label in originals:
        if label not in counts:
            counts[label] = 1
            unique.append(label)
            continue
        number = counts[label] + 1
        while f"{label} ({number})" in taken:
            number += 1
        counts[label] = number
        numbered = f"{label} ({number})"
        taken.add(numbered)
        unique.append(numbered)
    return tuple(unique)


def format_labels(labels: Iterable[str]) -> bytes:
    r"""Write labels as the bytes of a label file.

    Args:
        labels: In the order of the outputs.

    Returns:
        UTF-8 without a byte order mark, LF lines, a final newline;
        `parse_labels` reads back the same labels.

    Raises:
        InputError: If a label is blank, has surrounding blanks or a control
            character, so that reading it back would give another.
    """
    listed = tuple(labels)
    try:
        data = "".join(f"{label}\n" for label in listed).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"a label is not valid Unicode: {error.reason}") from error
    if parse_labels(data, "labels") != listed:
        raise InputError(
            "labels: one has blanks or a byte order mark around it; strip it first"
        )
    return data
