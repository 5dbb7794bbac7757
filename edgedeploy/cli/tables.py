"""Tables on a terminal, also on one that is too narrow for them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

# Room that the last column needs, which alone may be broken.
_LEAST = 6


def print_table(
    console: Console, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Show rows under a header; on a narrow terminal, each row by itself.

    Args:
        console: Where to, and how wide it is.
        header: Names of the columns.
        rows: As many cells each.
    """
    if not _fits(console.width, header, rows):
        for row in rows:
            _print_row(console, header, row)
        return
    grid = Table(box=None, pad_edge=False)
    for name in header:
        grid.add_column(name, no_wrap=name != header[-1])
    for row in rows:
        grid.add_row(*row)
    console.print(grid)


def _fits(width: int, header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    columns = list(zip(header, *rows, strict=True))
    fixed = sum(2 + max(map(cell_len, cells)) for cells in columns[:-1])
    return fixed + _LEAST <= width


def _print_row(console: Console, header: Sequence[str], row: Sequence[str]) -> None:
    """Name every cell that is not empty; the first begins the row."""
    pairs = zip(header, row, strict=True)
    told = [" ".join(f"{name} {cell}".split()) for name, cell in pairs if cell.strip()]
    console.print(Text(told[0] if told else ""))
    for line in told[1:]:
        console.print(Padding(Text(line), (0, 0, 0, 4)))
