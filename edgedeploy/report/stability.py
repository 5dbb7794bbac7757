"""How far two models from disjoint calibration pictures lie apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

from edgedeploy.report import notation
from edgedeploy.report.data import Json, ReportData, sequence, table


@dataclass(frozen=True, slots=True, kw_only=True)
class StabilityLine:
    """One recipe, as text.

    Attributes:
        recipe: Its name.
        images: Pictures that calibrated each model.
        halves: Accuracy of the first and of the second, each with its 95 % interval.
        difference: Points of top-1 between them.
        interval: Its 95 % interval.
        agreement: Share of equal answers.
        agreement_interval: Its 95 % interval.
        flipped: Answers that differ.
        divergence: KL between them, in nats.
        yardstick: Agreement of the shipped variant with the reference.
        yardstick_interval: Its 95 % interval.
    """

    recipe: str
    images: str
    halves: tuple[str, ...]
    difference: str
    interval: str
    agreement: str
    agreement_interval: str
    flipped: str
    divergence: str
    yardstick: str
    yardstick_interval: str


def tabulate_stability(data: ReportData) -> tuple[StabilityLine, ...]:
    """List the recipes whose calibration was repeated; none where nobody asked."""
    measured = table(data.evaluation, "stability")
    return tuple(
        _line(data, str(recipe), table(measured, recipe)) for recipe in measured
    )


def _line(data: ReportData, recipe: str, row: Json) -> StabilityLine:
    images = [notation.count(count) for count in sequence(row, "calibration_images")]
    intervals = (_bracketed(one) for one in sequence(row, "top1_ci95"))
    halves = tuple(
        " ".join(filter(None, (notation.percent(one), ends)))
        for one, ends in zip_longest(sequence(row, "top1"), intervals)
    )
    own = table(data.evaluation, "variants", recipe)
    return StabilityLine(
        recipe=recipe,
        images=" and ".join(images) or notation.DASH,
        halves=halves or (notation.DASH,),
        difference=notation.points(row.get("top1_difference")),
        interval=_bracketed(row.get("top1_difference_ci95")),
        agreement=notation.percent(row.get("agreement_top1")),
        agreement_interval=_bracketed(row.get("agreement_top1_ci95")),
        flipped=notation.count(row.get("flipped_count")),
        divergence=notation.divergence(row.get("mean_kl")),
        yardstick=notation.percent(own.get("agreement_top1")),
        yardstick_interval=_bracketed(own.get("agreement_top1_ci95")),
    )


def _bracketed(ends: object) -> str:
    values = [notation.finite(end) for end in ends] if isinstance(ends, list) else []
    if len(values) != 2 or values[0] is None or values[1] is None:
        return ""
    return notation.interval((values[0], values[1]))
