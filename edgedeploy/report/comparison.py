"""The table of variants: each figure as text, or a dash and the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgedeploy.recipes import RECIPES
from edgedeploy.report import notation
from edgedeploy.report.data import ReportData, child, reason_for
from edgedeploy.report.kernels import describe_fallback
from edgedeploy.report.measured import (
    Interval,
    MeasuredVariant,
    is_emulated,
    primary_device,
    read_variants,
    reference_name,
)

COLUMNS = (
    "size",
    "deflated",
    "top-1",
    "top-1 drop",
    "agreement",
    "KL",
    "1 thread",
    "best threads",
    "speed-up",
    "peak memory",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A figure as text.

    Attributes:
        column: One of `COLUMNS`.
        text: The figure, or a dash.
        detail: Its interval or thread count, or empty.
        reason: Why there is no figure, or empty.
    """

    column: str
    text: str
    detail: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A variant's line of the table.

    Attributes:
        recipe: Its name.
        summary: What the recipe does, or empty.
        role: "chosen", "reference", "lost" or "undecided".
        outcome: Why it was chosen or lost, in a sentence.
        fallback: Which operators ran outside XNNPACK, in a sentence, or empty.
        cells: One for each of `COLUMNS`.
    """

    recipe: str
    summary: str
    role: str
    outcome: str
    fallback: str
    cells: tuple[Cell, ...]


def compare_variants(data: ReportData) -> tuple[Row, ...]:
    """Write the figures of every variant down, in the order of `read_variants`."""
    return tuple(
        Row(
            recipe=variant.recipe,
            summary=_summarise(variant.recipe),
            role=variant.role,
            outcome=describe_outcome(data, variant),
            fallback=describe_fallback(data, variant.recipe),
            cells=(
                *_size_cells(data, variant),
                *_accuracy_cells(data, variant),
                *_speed_cells(data, variant),
            ),
        )
        for variant in read_variants(data)
    )


def _summarise(name: str) -> str:
    # A budget after @ changes nothing about what the recipe does.
    recipe = RECIPES.get(name.partition("@")[0])
    return recipe.summary if recipe else ""


def describe_outcome(data: ReportData, variant: MeasuredVariant) -> str:
    """Say why a variant was chosen or lost."""
    if variant.role == "chosen":
        return "Chosen to be shipped."
    if variant.role == "reference":
        return "The reference."
    if variant.role == "undecided":
        return f"Not decided: {reason_for(data, 'selection')}."
    reason = child(data.selection, "reasons", variant.recipe)
    if isinstance(reason, str) and reason:
        return f"{reason[0].upper()}{reason[1:]}."
    return f"Not chosen; {reason_for(data, 'selection', variant.recipe)}."


def _size_cells(data: ReportData, variant: MeasuredVariant) -> tuple[Cell, ...]:
    return (
        _cell(
            "size",
            notation.megabytes(variant.size_bytes),
            reason=_speed_reason(data, variant, "size_bytes"),
        ),
        _cell(
            "deflated",
            notation.megabytes(variant.deflated_bytes),
            reason=_speed_reason(data, variant, "deflated_bytes"),
        ),
    )


def _accuracy_cells(data: ReportData, variant: MeasuredVariant) -> tuple[Cell, ...]:
    is_reference = variant.recipe == reference_name(data)
    # Held against itself it agrees by definition, which is not a measurement.
    drop = notation.points(None if is_reference else variant.top1_drop)
    agreement = None if is_reference else variant.agreement_top1
    divergence = None if is_reference else variant.mean_kl
    return (
        _cell(
            "top-1",
            notation.percent(variant.top1),
            _range(variant.top1_ci95, notation.points),
            _accuracy_reason(data, variant, "top1"),
        ),
        _cell(
            "top-1 drop",
            drop if drop == notation.DASH else f"{drop}{notation.SPACE}pt",
            _range(variant.top1_drop_ci95, notation.points),
            _accuracy_reason(data, variant, "top1_drop", compared=True),
        ),
        _cell(
            "agreement",
            notation.percent(agreement),
            _range(variant.agreement_top1_ci95, notation.points),
            reason=_accuracy_reason(data, variant, "agreement_top1", compared=True),
        ),
        _cell(
            "KL",
            notation.divergence(divergence),
            reason=_accuracy_reason(data, variant, "mean_kl", compared=True),
        ),
    )


def _speed_cells(data: ReportData, variant: MeasuredVariant) -> tuple[Cell, ...]:
    single = variant.latency_at(1)
    best = variant.fastest()
    untimed = _speed_reason(data, variant, "p50_ms")
    compared = "speedup_vs_float32"
    return (
        _cell(
            "1 thread",
            notation.milliseconds(single.p50_ms if single else None),
            reason=untimed,
        ),
        _cell(
            "best threads",
            notation.milliseconds(best.p50_ms if best else None),
            notation.threads(best.threads) if best else "",
            untimed,
        ),
        _cell(
            "speed-up",
            notation.ratio(best.speedup if best else None),
            _range(best.speedup_ci95 if best else None, _factor),
            _speed_reason(data, variant, compared, compared=True),
        ),
        _cell(
            "peak memory",
            notation.megabytes(variant.peak_rss_bytes, 0),
            reason=_speed_reason(data, variant, "peak_rss_bytes"),
        ),
    )


def _cell(column: str, text: str, detail: str = "", reason: str = "") -> Cell:
    missing = text == notation.DASH
    return Cell(
        column=column,
        text=text,
        detail="" if missing else detail,
        reason=reason if missing else "",
    )


def _factor(value: float) -> str:
    return notation.decimal(value, 2)


def _range(interval: Interval | None, write: Callable[[float], str]) -> str:
    if interval is None:
        return ""
    return f"{write(interval[0])} to {write(interval[1])}"


def _accuracy_reason(
    data: ReportData, variant: MeasuredVariant, field: str, *, compared: bool = False
) -> str:
    if compared and variant.recipe == reference_name(data):
        return f"{variant.recipe} is what the others are held against"
    keys = (f"variants.{variant.recipe}.{field}", f"{variant.recipe}.{field}", field)
    return reason_for(data, "evaluation", *keys)


def _speed_reason(
    data: ReportData, variant: MeasuredVariant, field: str, *, compared: bool = False
) -> str:
    if compared and variant.recipe == reference_name(data):
        return f"{variant.recipe} is what the others are held against"
    if variant.error:
        return variant.error
    device = primary_device(data)
    if is_emulated(data, device) and field in {"p50_ms", "speedup_vs_float32"}:
        return f"{device} was emulated, and an emulator's times are no device's"
    recipe = variant.recipe
    return reason_for(
        data,
        "benchmark",
        f"devices.{device}.variants.{recipe}.{field}",
        f"{device}.{recipe}.{field}",
        f"{recipe}.{field}",
        field,
        device,
    )
