"""What is plotted, and the words that go with each plot."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgedeploy.report import notation
from edgedeploy.report.data import ReportData, child, is_smoke_test, reason_for
from edgedeploy.report.measured import (
    HOST,
    Interval,
    MeasuredVariant,
    find_variant,
    primary_device,
    read_variants,
    reference_name,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A variant in a plot.

    Attributes:
        name: Written beside the mark.
        role: As in `MeasuredVariant`; decides the mark.
        x: Horizontal position in the axis' unit.
        y: Vertical position, in percent or in thousandths of a nat.
        x_high: Right end of a whisker, or None.
        y_range: Both ends of a vertical whisker, or None.
    """

    name: str
    role: str
    x: float
    y: float
    x_high: float | None
    y_range: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A scatter plot as values.

    Attributes:
        key: Short name, unique on the page; a valid part of an HTML id.
        title: What is plotted against what.
        description: Every point in words, for those who cannot see the plot.
        caption: What marks and whiskers mean.
        x_label: With its unit.
        y_label: With its unit.
        bounds: Least and most that the height can be; the axis does not go beyond.
        threshold: A horizontal line in percent, or None.
        points: At least two, or the plot is not drawn.
        reason: Why the plot is not drawn, or empty.
    """

    key: str
    title: str
    description: str
    caption: str
    x_label: str
    y_label: str
    bounds: Interval
    threshold: float | None
    points: tuple[Point, ...]
    reason: str = ""


def plan_plots(data: ReportData) -> tuple[Plot, ...]:
    """Choose what to plot: size and latency against accuracy, size against KL."""
    return (_plan_size(data), _plan_latency(data), _plan_frontier(data))


def comparison_threads(data: ReportData) -> int | None:
    """Pick the thread count that latencies are compared at.

    Returns:
        The one at which the choice (or the reference, without a choice) is fastest;
        None where nothing was timed.
    """
    variants = read_variants(data)
    chosen = [variant for variant in variants if variant.role == "chosen"]
    leading = (
        chosen
        or [one for one in variants if one.recipe == reference_name(data)]
        or list(variants)
    )
    best = leading[0].fastest() if leading else None
    return best.threads if best else None


def _plan_size(data: ReportData) -> Plot:
    points = []
    for variant in read_variants(data):
        y = _height(data, variant)
        if variant.size_bytes is not None and y is not None:
            points.append(_point(data, variant, variant.size_bytes / 1e6, y, None))
    measure = _measure(data)
    return _plot(
        data,
        key="size",
        title=f"Size against {measure}",
        x_label="size of the .tflite file, MB",
        unit="MB",
        points=tuple(points),
        whiskers="",
    )


def _plan_latency(data: ReportData) -> Plot:
    at = comparison_threads(data)
    points = []
    for variant in read_variants(data):
        latency = variant.latency_at(at) if at is not None else None
        y = _height(data, variant)
        if latency is not None and latency.p50_ms is not None and y is not None:
            points.append(_point(data, variant, latency.p50_ms, y, latency.p90_ms))
    where = primary_device(data)
    machine = "the build machine" if where == HOST else where
    threads = notation.threads(at) if at is not None else "one thread count"
    return _plot(
        data,
        key="latency",
        title=f"Latency against {_measure(data)}",
        x_label=f"median latency with {threads}, ms",
        unit="ms",
        points=tuple(points),
        whiskers=(
            f"Timed on {machine}. Horizontal whiskers reach from the median to the "
            "90th percentile."
        ),
    )


def _plan_frontier(data: ReportData) -> Plot:
    """Plot size against divergence, which few pictures resolve where top-1 does not."""
    points = tuple(
        Point(
            name=variant.recipe,
            role=variant.role,
            x=variant.size_bytes / 1e6,
            y=1000 * variant.mean_kl,
            x_high=None,
            y_range=None,
        )
        for variant in read_variants(data)
        if variant.size_bytes is not None and variant.mean_kl is not None
    )
    reason = ""
    if len(points) < 2:
        reason = f"fewer than two variants have both figures; {_why_missing(data)}"
    return Plot(
        key="frontier",
        title="Size against divergence from float32",
        description=" ".join(
            f"{point.name}: {notation.decimal(point.x, 2)} MB, "
            f"{notation.decimal(point.y, 1)} thousandths of a nat."
            for point in points
        ),
        caption=(
            "Better is down and to the left. Divergence is the mean change of the "
            "probabilities; several budgets of int4_mixed stand side by side."
        ),
        x_label="size of the .tflite file, MB",
        y_label="divergence, 1/1000 nat",
        bounds=(0.0, math.inf),
        threshold=None,
        points=points,
        reason=reason,
    )


def _plot(
    data: ReportData,
    *,
    key: str,
    title: str,
    x_label: str,
    unit: str,
    points: tuple[Point, ...],
    whiskers: str,
) -> Plot:
    reason = ""
    if len(points) < 2:
        reason = f"fewer than two variants have both figures; {_why_missing(data)}"
    threshold = _threshold(data)
    return Plot(
        key=key,
        title=title,
        description=" ".join(
            f"{point.name}: {notation.decimal(point.x, 2)} {unit}, "
            f"{notation.decimal(point.y, 1)} percent."
            for point in points
        ),
        caption=_caption(data, points, threshold, whiskers),
        x_label=x_label,
        y_label=f"{_measure(data)}, %",
        bounds=(0.0, 100.0),
        threshold=threshold,
        points=points,
        reason=reason,
    )


def _why_missing(data: ReportData) -> str:
    return reason_for(data, "benchmark" if data.benchmark is None else "evaluation")


def _caption(
    data: ReportData,
    points: tuple[Point, ...],
    threshold: float | None,
    whiskers: str,
) -> str:
    measure = "agreement" if _uses_agreement(data) else "top-1"
    parts = ["Better is up and to the left."]
    if any(point.role == "chosen" for point in points):
        parts.append("The filled mark is the choice.")
    if any(point.y_range for point in points):
        parts.append(
            f"Vertical whiskers are 95{notation.SPACE}% intervals of each {measure} by "
            "itself."
        )
        if not _uses_agreement(data):
            parts.append("The paired drop in the table compares more sharply.")
    if whiskers:
        parts.append(whiskers)
    if threshold is not None:
        allowed = notation.points(child(data.selection, "budgets", "max_top1_drop"))
        parts.append(
            f"The dashed line lies {allowed} points below {reference_name(data)}: the "
            "largest drop allowed."
        )
    if _uses_agreement(data):
        parts.append(
            "Agreement is the share of pictures with the same first answer; it is "
            "not an accuracy."
        )
    return " ".join(parts)


def _point(
    data: ReportData, variant: MeasuredVariant, x: float, y: float, high: float | None
) -> Point:
    interval = variant.top1_ci95
    if _uses_agreement(data):
        compared = variant.recipe != reference_name(data)
        interval = variant.agreement_top1_ci95 if compared else None
    return Point(
        name=variant.recipe,
        role=variant.role,
        x=x,
        y=100 * y,
        x_high=high if high is not None and high > x else None,
        y_range=(
            (100 * min(interval[0], y), 100 * max(interval[1], y)) if interval else None
        ),
    )


def _uses_agreement(data: ReportData) -> bool:
    return is_smoke_test(data) or all(
        variant.top1 is None for variant in read_variants(data)
    )


def _measure(data: ReportData) -> str:
    return "agreement with float32" if _uses_agreement(data) else "top-1 accuracy"


def _height(data: ReportData, variant: MeasuredVariant) -> float | None:
    if not _uses_agreement(data):
        return variant.top1
    if variant.agreement_top1 is None and variant.recipe == reference_name(data):
        # It agrees with itself by definition.
        return 1.0
    return variant.agreement_top1


def _threshold(data: ReportData) -> float | None:
    if _uses_agreement(data):
        return None
    reference = find_variant(read_variants(data), reference_name(data))
    allowed = notation.finite(child(data.selection, "budgets", "max_top1_drop"))
    if reference is None or reference.top1 is None or allowed is None:
        return None
    return 100 * (reference.top1 - allowed)
