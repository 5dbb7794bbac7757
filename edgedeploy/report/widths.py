"""The table of a sweep: one line a width, for its own page and for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgedeploy.report import notation

_SMALL = 100_000
SCHEMES = {
    "linear": "linear",
    "table": "table",
    "grouped": "tables for 16 channels",
}
# Columns of sizes: the field of a row, and the head.
_SIZES = {
    "size_bytes": "packed",
    "deflated_bytes": "deflate",
    "zstd_bytes": "zstd",
    "brotli_bytes": "brotli",
    "kernel_bytes": "for kernels",
    "kernel_deflated_bytes": "deflated",
}
_NAMES = _SIZES | {"top1": "top-1", "top1_drop": "its drop"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthCell:
    """A figure as text.

    Attributes:
        text: The figure, or a dash.
        detail: Its interval, or empty.
    """

    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthLine:
    """A width's line.

    Attributes:
        name: Such as "linear, 4 bits".
        first: Whether a scheme begins here.
        cells: One for each of the columns.
        runs: What a device would do with it.
    """

    name: str
    first: bool
    cells: tuple[WidthCell, ...]
    runs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """The whole table.

    Attributes:
        columns: Heads of the cells.
        lines: One a width.
        unmeasured: Sentences, each a figure and why it is missing.
    """

    columns: tuple[str, ...]
    lines: tuple[WidthLine, ...]
    unmeasured: tuple[str, ...]


def tabulate_widths(value: Mapping[str, Any] | None) -> Widths | None:
    """Write the figures of a sweep down.

    Args:
        value: The value of sweep.json, or None where nobody asked for it.
    """
    if not value:
        return None
    given = value.get("outputs") == "pictures"
    compared = ("PSNR", "SSIM", "lowest") if given else ("top-1", "agreement", "KL")
    rows = value["rows"]
    # What was measured of no width needs no column, only the reason below.
    sizes = [field for field in _SIZES if any(row[field] is not None for row in rows)]
    schemes = [row["scheme"] for row in rows]
    return Widths(
        columns=(*(_SIZES[field] for field in sizes), *compared),
        lines=tuple(
            WidthLine(
                name=name_width(row),
                first=number == schemes.index(row["scheme"]),
                cells=(
                    *(WidthCell(text=_weight(row[field])) for field in sizes),
                    *(_likeness(row) if given else _accuracy(row)),
                ),
                runs=str(row["runs"]),
            )
            for number, row in enumerate(rows)
        ),
        unmeasured=tuple(
            f"{_NAMES.get(field, field)}: {reason}"
            for field, reason in value["unmeasured"].items()
        ),
    )


def name_width(row: Mapping[str, Any]) -> str:
    """Name a width for people."""
    if row["scheme"] == "float32":
        return "float32"
    plural = "" if row["bits"] == 1 else "s"
    return f"{SCHEMES.get(row['scheme'], row['scheme'])}, {row['bits']} bit{plural}"


def _weight(size: int | None) -> str:
    # Style networks are small enough that megabytes would all be 0.00.
    if size is not None and size < _SMALL:
        return f"{notation.decimal(size / 1000, 1)}{notation.SPACE}kB"
    return notation.megabytes(size)


def _accuracy(row: Mapping[str, Any]) -> Sequence[WidthCell]:
    reference = row["scheme"] == "float32"
    return [
        _share(row, "top1"),
        # Held against itself it agrees by definition, which is not a measurement.
        WidthCell(text=notation.DASH) if reference else _share(row, "agreement_top1"),
        WidthCell(text=notation.divergence(None if reference else row["mean_kl"])),
    ]


def _share(row: Mapping[str, Any], field: str) -> WidthCell:
    if row[field] is None:
        return WidthCell(text=notation.DASH)
    low, high = row[f"{field}_ci95"]
    return WidthCell(
        text=notation.percent(row[field]), detail=notation.span((low, high))
    )


def _likeness(row: Mapping[str, Any]) -> Sequence[WidthCell]:
    if row["scheme"] == "float32":
        return [WidthCell(text=notation.DASH)] * 3
    return [
        WidthCell(text=decibels(row["psnr_db"])),
        WidthCell(text=notation.decimal(row["ssim"], 3)),
        WidthCell(text=notation.decimal(row["lowest_ssim"], 3)),
    ]


def decibels(value: float | None) -> str:
    """Write a PSNR; None is that of equal pictures."""
    if value is None:
        return "equal"
    return f"{notation.decimal(value, 1)}{notation.SPACE}dB"
