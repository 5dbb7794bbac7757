"""How far two models from disjoint calibration pictures lie apart."""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.report import notation
from edgedeploy.report.data import Json, ReportData, sequence, table


@dataclass(frozen=True, slots=True, kw_only=True)
class StabilityLine:
    """One recipe, as text.

    Attributes:
        recipe: Its name.
        images: Pictures that calibrated each model.
        top1: Accuracy of the first and of the second.
        difference: Points of top-1 between them.
        interval: Its 95 % interval.
        agreement: Share of equal answers.
        flipped: Answers that differ.
        divergence: KL between them, in nats.
        yardstick: Agreement of the shipped variant with the reference.
    """

    recipe: str
    images: str
    top1: str
    difference: str
    interval: str
    agreement: str
    flipped: str
    divergence: str
    yardstick: str


def tabulate_stability(data: ReportData) -> tuple[StabilityLine, ...]:
    """List the recipes whose calibration was repeated; none where nobody asked."""
    measured = table(data.evaluation, "stability")
    return tuple(
        _line(data, str(recipe), table(measured, recipe)) for recipe in measured
    )


def _line(data: ReportData, recipe: str, row: Json) -> StabilityLine:
    ends = [notation.points(end) for end in sequence(row, "top1_difference_ci95")]
    images = [notation.count(count) for count in sequence(row, "calibration_images")]
    top1 = [notation.percent(one) for one in sequence(row, "top1")]
    own = table(data.evaluation, "variants", recipe)
    return StabilityLine(
        recipe=recipe,
        images=" and ".join(images) or notation.DASH,
        top1=" and ".join(top1) or notation.DASH,
        difference=notation.points(row.get("top1_difference")),
        interval=" to ".join(ends),
        agreement=notation.percent(row.get("agreement_top1")),
        flipped=notation.count(row.get("flipped_count")),
        divergence=notation.divergence(row.get("mean_kl")),
        yardstick=notation.percent(own.get("agreement_top1")),
    )
