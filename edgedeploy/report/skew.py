"""The table of what devices' own preprocessing costs, beside quantisation's cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgedeploy.report import notation
from edgedeploy.report.data import ReportData, child, sequence, table
from edgedeploy.report.measured import read_variants, reference_name


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewLine:
    """One variant on one device, as text.

    Attributes:
        recipe: The variant.
        top1: Its accuracy on the device's pictures.
        top1_interval: Its 95 % interval.
        skew: Points lost to the device's preprocessing.
        skew_interval: Its 95 % interval.
        quantisation: Points lost to quantisation, for comparison.
        quantisation_interval: Its 95 % interval.
        flipped: Answers that changed with the preprocessing.
        agreement: Share of those that did not.
        divergence: KL of the device's answers from the contract's, in nats.
        surely: Whether the whole interval of the skew is a loss.
    """

    recipe: str
    top1: str
    top1_interval: str
    skew: str
    skew_interval: str
    quantisation: str
    quantisation_interval: str
    flipped: str
    agreement: str
    divergence: str
    surely: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewPath:
    """One device path.

    Attributes:
        name: Its handle.
        summary: What the device does.
        follows: The source that was emulated.
        lines: The reference first.
    """

    name: str
    summary: str
    follows: str
    lines: tuple[SkewLine, ...]


def tabulate_skew(data: ReportData) -> tuple[SkewPath, ...]:
    """List the device paths that were measured; none where nobody asked for any."""
    measured = table(data.evaluation, "skew", "paths")
    order = [variant.recipe for variant in read_variants(data)]
    return tuple(
        SkewPath(
            name=str(name),
            summary=str(child(one, "summary") or ""),
            follows=str(child(one, "follows") or ""),
            lines=tuple(
                _line(data, recipe, table(one, "variants", recipe))
                for recipe in order
                if child(one, "variants", recipe) is not None
            ),
        )
        for name, one in measured.items()
    )


def describe_peculiar(data: ReportData) -> str:
    """Say which pictures a careless device would show otherwise."""
    counts = table(data.evaluation, "skew", "pictures")
    turned = notation.finite(counts.get("turned"))
    coloured = notation.finite(counts.get("other_colours"))
    if turned is None or coloured is None:
        return ""
    return (
        f"Of the pictures, {notation.count(turned)} need their EXIF orientation and "
        f"{notation.count(coloured)} an embedded colour profile to look right."
    )


def _line(data: ReportData, recipe: str, card: dict[str, Any] | Any) -> SkewLine:
    quantised = table(data.evaluation, "variants", recipe)
    reference = recipe == reference_name(data)
    ends = [notation.finite(end) for end in sequence(card, "top1_drop_ci95")]
    return SkewLine(
        recipe=recipe,
        top1=notation.percent(card.get("top1")),
        top1_interval=_interval(card, "top1_ci95"),
        skew=notation.points(card.get("top1_drop")),
        skew_interval=_interval(card, "top1_drop_ci95"),
        quantisation=notation.points(None if reference else quantised.get("top1_drop")),
        quantisation_interval=(
            "" if reference else _interval(quantised, "top1_drop_ci95")
        ),
        flipped=notation.count(card.get("flipped_count")),
        agreement=notation.percent(card.get("agreement_top1")),
        divergence=notation.divergence(card.get("mean_kl")),
        surely=bool(ends) and ends[0] is not None and ends[0] > 0,
    )


def _interval(card: Any, key: str) -> str:
    ends = sequence(card, key)
    if len(ends) != 2 or any(notation.finite(end) is None for end in ends):
        return ""
    return notation.span((ends[0], ends[1]))
