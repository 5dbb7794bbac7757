"""The summary on the terminal: table, choice, warnings, where things are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edgedeploy.report import notation, overview
from edgedeploy.report.data import ReportData, child, is_smoke_test, reason_for, table
from edgedeploy.report.kernels import describe_fallback, is_costly
from edgedeploy.report.measured import (
    MeasuredVariant,
    find_variant,
    read_variants,
    reference_name,
)
from edgedeploy.report.plots import comparison_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

# For terminals whose encoding has only ASCII.
_PLAIN = str.maketrans(
    {
        notation.DASH: "-",
        notation.MINUS: "-",
        notation.SPACE: " ",
        "\N{MULTIPLICATION SIGN}": "x",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    }
)


def print_summary(console: Console, data: ReportData) -> None:
    """Print what a build found out, at most as wide as the console.

    Args:
        console: Where to print; its colour and width settings are kept.
        data: The build's results.
    """
    print_figures(console, data)
    _print(console, "")
    _print(console, overview.describe_choice(data), style="bold")
    gate = overview.describe_gate(data)
    if is_smoke_test(data):
        _print(console, f"Smoke test: {gate[0].lower()}{gate[1:]}", style="bold")
    elif gate:
        _print(console, gate)
    _print(console, overview.describe_evidence(data))
    verdict = overview.judge_verification(data)
    styles = {"passed": "green", "failed": "red"}
    _print(console, verdict.text, style=styles.get(verdict.state, "yellow"))
    for warning in data.warnings or ():
        _print(console, f"Warning: {warning}", style="yellow")
    _print_deliverables(console, data)


def print_figures(console: Console, data: ReportData) -> None:
    """Print the table of variants alone, with the reasons of those that lost.

    Args:
        console: Where to print; its colour and width settings are kept.
        data: The results so far; a dash stands for what was not measured yet.
    """
    weights = child(data.manifest, "weights")
    name = overview.name_model(data)
    _print(console, f"{name} ({weights})" if weights else name, style="bold")
    variants = read_variants(data)
    if variants:
        console.print(_tabulate(console, data, variants))
        _print_intervals(console, variants)
    else:
        _print(console, "Not measured: no variant has been evaluated or timed.")
    _print_reasons(console, data, variants)


def _tabulate(
    console: Console, data: ReportData, variants: tuple[MeasuredVariant, ...]
) -> Table:
    from rich.table import Table

    at = comparison_threads(data)
    latency = "ms" if at is None else f"ms, {at} thr."
    lines = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    lines.add_column("", overflow="fold")
    headings = ("MB", "zip MB", "top-1 %", "drop", "agree %", "KL", latency, "speed")
    for heading in headings:
        lines.add_column(heading, justify="right", no_wrap=True)
    reference = find_variant(variants, reference_name(data))
    for variant in variants:
        cells = (variant.recipe, *_figures(variant, variant is reference, at))
        style = "bold" if variant.role == "chosen" else None
        mark = "> " if variant.role == "chosen" else "  "
        lines.add_row(
            *(plain(console, cell) for cell in (mark + cells[0], *cells[1:])),
            style=style,
        )
    return lines


def _figures(
    variant: MeasuredVariant, is_reference: bool, at: int | None
) -> tuple[str, ...]:
    latency = variant.latency_at(at) if at is not None else None
    return (
        _without_unit(notation.megabytes(variant.size_bytes)),
        _without_unit(notation.megabytes(variant.deflated_bytes)),
        _without_unit(notation.percent(variant.top1)),
        notation.points(None if is_reference else variant.top1_drop),
        _without_unit(
            notation.percent(None if is_reference else variant.agreement_top1)
        ),
        notation.divergence(None if is_reference else variant.mean_kl),
        _without_unit(notation.milliseconds(latency.p50_ms if latency else None)),
        notation.ratio(
            latency.speedup if latency is not None and not is_reference else None
        ),
    )


def _print_intervals(console: Console, variants: tuple[MeasuredVariant, ...]) -> None:
    """Give the accuracies' intervals, for which the table above has no room."""
    from rich.table import Table

    rows = [
        (variant.recipe, *ends)
        for variant in variants
        if any(
            ends := tuple(
                notation.interval(one)
                for one in (
                    variant.top1_ci95,
                    None if variant.role == "reference" else variant.top1_drop_ci95,
                    variant.agreement_top1_ci95,
                )
            )
        )
    ]
    if not rows:
        return
    lines = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    for heading in ("95 % intervals", "top-1 %", "drop", "agree %"):
        lines.add_column(heading, overflow="fold")
    for row in rows:
        lines.add_row(*(plain(console, cell) for cell in row))
    console.print(lines)


def _print_reasons(
    console: Console, data: ReportData, variants: tuple[MeasuredVariant, ...]
) -> None:
    """Say why columns hold nothing, why variants failed, and what is slow in them."""
    if data.benchmark is None:
        why = reason_for(data, "benchmark")
        _print(console, f"Size, latency and memory: not measured; {why}.")
    elif variants and all(one.fastest() is None for one in variants):
        _print(console, f"Latency: not measured; {reason_for(data, 'benchmark')}.")
    if variants and all(one.top1 is None for one in variants):
        why = reason_for(data, "evaluation", "top1")
        _print(console, f"Top-1: not measured; {why}.")
    for variant in variants:
        if variant.error:
            _print(console, f"{variant.recipe}: {variant.error}", style="yellow")
        elif is_costly(data, variant.recipe):
            left = describe_fallback(data, variant.recipe)
            _print(console, f"{variant.recipe}: {left}", style="yellow")


def _print_deliverables(console: Console, data: ReportData) -> None:
    names = [str(name) for name in table(data.manifest, "deliverables")]
    # manifest.json names these as they lie in an app's assets.
    names += [f"android/assets/{name}" for name in table(data.manifest, "files")]
    if names:
        _print(console, "")
        _print(console, "Deliverables, in the build's folder:")
        for line in _fold_trees(names):
            _print(console, f"  {line}")


def _fold_trees(names: Sequence[str]) -> Sequence[str]:
    """Give files by name, and the files of a tree, such as an app's, by number."""
    trees = Counter("/".join(name.split("/")[:2]) for name in names)
    files = set(names)
    return [
        tree if tree in files else f"{tree}/ ({notation.counted(count, 'file')})"
        for tree, count in sorted(trees.items())
    ]


def _print(console: Console, text: str, *, style: str | None = None) -> None:
    # Markup and highlighting would read brackets in labels and paths as commands.
    from rich.text import Text

    console.print(Text(plain(console, text), style=style or ""), overflow="fold")


def plain(console: Console, text: str) -> str:
    """Give a text as the console's encoding can show it, without controls."""
    shown = notation.printable(text)
    encoding = console.encoding or "ascii"
    if encoding.lower().startswith("utf"):
        return shown
    return shown.translate(_PLAIN).encode(encoding, "replace").decode(encoding)


def _without_unit(text: str) -> str:
    return text.split(notation.SPACE)[0]
