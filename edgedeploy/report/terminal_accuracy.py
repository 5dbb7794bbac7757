"""What an evaluation found beside the table of variants, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgedeploy.report.classes import tabulate_classes
from edgedeploy.report.measured import reference_name
from edgedeploy.report.skew import describe_peculiar, tabulate_skew
from edgedeploy.report.stability import tabulate_stability
from edgedeploy.report.terminal import plain

if TYPE_CHECKING:
    from rich.console import Console

    from edgedeploy.report.data import ReportData

# The page shows more.
_TOP = 3
# Columns from which a figure and its interval stand in one line.
_WIDE = 100


def print_skew(console: Console, data: ReportData) -> None:
    """Print what devices' preprocessing costs, beside what quantisation costs.

    Args:
        console: Where to print.
        data: The evaluation; nothing is printed where no device path was measured.
    """
    paths = tabulate_skew(data)
    if not paths:
        return
    rows = [
        (
            path.name if not number else "",
            line.recipe,
            _with(console, line.top1, line.top1_interval),
            _with(console, line.skew, line.skew_interval),
            _with(console, line.quantisation, line.quantisation_interval),
            line.flipped,
        )
        for path in paths
        for number, line in enumerate(path.lines)
    ]
    header = ("as", "", "top-1", "points lost [95 %]", "to quantisation", "flipped")
    _grid(console, header, rows)
    console.print(plain(console, describe_peculiar(data)), highlight=False)


def print_stability(console: Console, data: ReportData) -> None:
    """Print how far two models from disjoint calibration pictures lie apart.

    Args:
        console: Where to print.
        data: The evaluation; nothing is printed where nobody asked.
    """
    rows = [
        (
            line.recipe,
            line.images,
            "\n".join(line.halves),
            _with(console, line.difference, line.interval),
            _with(console, line.agreement, line.agreement_interval),
            line.divergence,
            _with(console, line.yardstick, line.yardstick_interval),
        )
        for line in tabulate_stability(data)
    ]
    if rows:
        header = ("calibrated twice", "pictures", "top-1", "points apart [95 %]")
        yardstick = f"with {reference_name(data)}"
        _grid(console, (*header, "agree", "KL", yardstick), rows)


def print_classes(console: Console, data: ReportData) -> None:
    """Print the confusions that cost each variant most, if any became wrong.

    Args:
        console: Where to print.
        data: The evaluation, with the labels' names.
    """
    rows = [
        (
            variant.recipe if not number else "",
            line.reference,
            line.variant,
            f"{line.losses} of {line.pictures} became wrong",
        )
        for variant in tabulate_classes(data)
        for number, line in enumerate(variant.confusions[:_TOP])
    ]
    if rows:
        header = ("confuses", f"{reference_name(data)} says", "it says", "")
        _grid(console, header, rows)


def _grid(
    console: Console, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    for name in header:
        grid.add_column(name, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(plain(console, cell)) for cell in row))
    console.print(grid)


def _with(console: Console, figure: str, interval: str) -> str:
    if not interval:
        return figure
    ends = interval if "[" in interval else f"[{interval.replace(' to ', ', ')}]"
    # Rich would tear an interval apart where a row is too long.
    return f"{figure}{' ' if console.width >= _WIDE else chr(10)}{ends}"
