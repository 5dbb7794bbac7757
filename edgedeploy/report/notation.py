"""How figures are written: units, fixed decimals, a true minus, a dash for nothing."""

from __future__ import annotations

import math
import unicodedata

DASH = "—"
MINUS = "\N{MINUS SIGN}"
# A number and its unit must not be torn apart at a line's end.
SPACE = "\N{NO-BREAK SPACE}"
_HIDDEN = frozenset({"Cc", "Cf", "Cs"})
# Line feed and tab are harmless; the joiners are letters' parts in many scripts.
_ALLOWED = frozenset("\n\t\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")


def finite(value: object) -> float | None:
    """Give a JSON value as a number.

    Args:
        value: Anything.

    Returns:
        The number, or None for what is not one: null, NaN, infinities, booleans.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def decimal(value: object, decimals: int) -> str:
    """Write a number with thousands separators and a true minus sign."""
    number = finite(value)
    if number is None:
        return DASH
    text = f"{number:,.{decimals}f}"
    # Rounding can leave "-0.0", which is not a negative figure.
    if text.startswith("-") and not text.strip("-0.,"):
        text = text[1:]
    return text.replace("-", MINUS)


def count(value: object) -> str:
    """Write a whole number: "1,000"."""
    return decimal(value, 0)


def percent(fraction: object, decimals: int = 1) -> str:
    """Write a fraction in [0, 1] as a percentage: "88.2 %"."""
    return _scaled(fraction, 100.0, decimals, f"{SPACE}%")


def points(fraction: object) -> str:
    """Write a difference of fractions in percentage points, without the unit."""
    return _scaled(fraction, 100.0, 1, "")


def interval(ends: tuple[float, float] | None) -> str:
    """Write an interval of fractions in percent or points: "[86.1, 90.0]", or ""."""
    return f"[{points(ends[0])}, {points(ends[1])}]" if ends else ""


def span(ends: tuple[float, float] | None) -> str:
    """Write an interval as pages do, in percent or points: "86.1 to 90.0", or ""."""
    return f"{points(ends[0])} to {points(ends[1])}" if ends else ""


def megabytes(size_bytes: object, decimals: int = 2) -> str:
    """Write a size in megabytes of 1,000,000 bytes: "22.90 MB"."""
    return _scaled(size_bytes, 1e-6, decimals, f"{SPACE}MB")


def exact_bytes(size_bytes: object) -> str:
    """Write a size in bytes: "22,901,184 B"."""
    return _scaled(size_bytes, 1.0, 0, f"{SPACE}B")


def milliseconds(value: object) -> str:
    """Write a duration given in milliseconds: "4.60 ms"."""
    return _scaled(value, 1.0, 2, f"{SPACE}ms")


def ratio(value: object) -> str:
    """Write a factor: 1.93 and a multiplication sign."""
    return _scaled(value, 1.0, 2, "\N{MULTIPLICATION SIGN}")


def divergence(value: object) -> str:
    """Write a Kullback-Leibler divergence in nats: "0.0026"."""
    return decimal(value, 4)


def threads(number: int) -> str:
    """Write a thread count: "1 thread", "2 threads"."""
    return f"{number}{SPACE}thread{'' if number == 1 else 's'}"


def counted(number: int, noun: str) -> str:
    """Write a count with its noun: "1 picture", "1,000 pictures"."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def printable(value: object) -> str:
    """Give a text without characters that hide, reorder or cannot be encoded.

    Labels and file names come from strangers: escape sequences would reach the
    terminal, bidirectional overrides would show another text than there is, and
    lone surrogates (names that are not UTF-8) could not be written at all.

    Args:
        value: Anything; `str` is taken of it.

    Returns:
        The text, each such character replaced by U+FFFD; line feeds and tabs stay.
    """
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(character) in _HIDDEN and character not in _ALLOWED
        else character
        for character in text
    )


def _scaled(value: object, factor: float, decimals: int, unit: str) -> str:
    number = finite(value)
    if number is None:
        return DASH
    return decimal(number * factor, decimals) + unit
