"""Values on the command line, read and checked; each function is an argparse type."""

from __future__ import annotations

import argparse
import math
import re

from .batches import MAX_BATCH
from .contract import ContractError
from .shapes import parse_size

MAX_SECONDS = 86400.0


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more; received {text!r}")
    return value


def batch_size(text: str) -> int:
    """Read a number of pictures at once."""
    value = positive(text)
    if value > MAX_BATCH:
        raise argparse.ArgumentTypeError(
            f"expected 1 to {MAX_BATCH} pictures; received {text!r}"
        )
    return value


def seconds(text: str) -> float:
    """Read a time from 0 to a day, in seconds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(
            f"expected 0 to {MAX_SECONDS:.0f} seconds; received {text!r}"
        )
    return value


def picture_size(text: str) -> tuple[int, int]:
    """Read the size that a network's pictures have: (width, height) in pixels."""
    try:
        return parse_size(text)
    except ContractError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def frame_size(text: str) -> tuple[int, int]:
    """Read a camera's frame size, such as 640x480: (width, height) in pixels."""
    found = re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})", text)
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    # YUYV keeps the colour of two pixels together.
    if width < 2 or width % 2 or height < 1:
        raise argparse.ArgumentTypeError(
            f"expected WIDTHxHEIGHT with an even width, such as 640x480; "
            f"received {text!r}"
        )
    return width, height
