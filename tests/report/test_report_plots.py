"""What is plotted, and how it is drawn."""

import math
import re
from dataclasses import replace

import pytest

from edgedeploy.report import ReportData
from edgedeploy.report.drawing import draw_plot
from edgedeploy.report.plots import comparison_threads, plan_plots


def test_points_are_the_measured_figures(data):
    size, latency, _ = plan_plots(data)
    points = {point.name: point for point in size.points}
    assert points["int8"].x == 5.270016
    assert points["int8"].y == 87.9
    assert points["int8"].y_range == (
        100 * (0.879 - 0.021),
        100 * (0.879 + 0.019),
    )
    assert points["dynamic_int8"].role == "chosen"
    # The choice is fastest with 2 threads, so all are compared there.
    assert comparison_threads(data) == 2
    assert {point.name: point.x for point in latency.points}["int8"] == 2.6
    # 88.2 % less the allowed 0.8 points.
    assert round(size.threshold, 6) == 87.4


def test_the_frontier_plots_size_against_divergence(data):
    *_, frontier = plan_plots(data)
    points = {point.name: (point.x, point.y) for point in frontier.points}
    card = data.evaluation["variants"]["int8"]
    assert points["int8"] == (5.270016, 1000 * card["mean_kl"])
    assert frontier.threshold is None
    assert points["float32"][1] == 0
    assert "nat" in frontier.y_label


def test_smoke_test_plots_agreement_without_a_threshold(smoke_values):
    size, *_ = plan_plots(ReportData(**smoke_values))
    points = {point.name: point for point in size.points}
    assert points["int8"].y == 98.0
    assert points["float32"].y == 100.0
    assert size.threshold is None
    assert "not an accuracy" in size.caption


def test_unlabelled_pictures_plot_agreement(values):
    for variant in values["evaluation"]["variants"].values():
        variant["top1"] = None
    size, *_ = plan_plots(ReportData(**values))
    assert size.y_label.startswith("agreement")


def test_too_few_points_give_a_reason(values):
    values["benchmark"] = None
    values["unmeasured"] = {"benchmark": "no runtime"}
    for plot in plan_plots(ReportData(**values)):
        assert "no runtime" in plot.reason


def test_drawing_takes_the_colours_of_the_page(data):
    for plot in plan_plots(data):
        svg = draw_plot(plot)
        assert not re.search(r"#0[01]0\d0\d", svg)
        assert set(re.findall(r"#[0-9a-fA-F]{6}\b", svg)) == set()
        assert "currentColor" in svg
        assert "var(--accent)" in svg
        assert "<image" not in svg
        assert "http" not in svg
        assert "<style" not in svg


def test_drawing_keeps_its_text_as_text(data):
    svg = draw_plot(plan_plots(data)[0])
    for name in ("float32", "float16", "dynamic_int8", "int8", "int16x8"):
        assert re.search(rf"<text[^>]*>{name}</text>", svg)


def test_drawings_share_no_ids(data):
    ids = [
        name
        for plot in plan_plots(data)
        for name in re.findall(r'\bid="([^"]+)"', draw_plot(plot))
    ]
    assert ids
    assert len(ids) == len(set(ids))


def test_equal_figures_can_be_drawn(values):
    for variant in values["evaluation"]["variants"].values():
        variant |= {"top1": 0.0, "top1_ci95": [0.0, 0.0]}
    for variant in values["benchmark"]["devices"]["host"]["variants"].values():
        variant["size_bytes"] = 0
        for times in variant["threads"].values():
            times |= {"p50_ms": 0.0, "p90_ms": 0.0}
    for plot in plan_plots(ReportData(**values)):
        assert draw_plot(plot).endswith("</svg>")


def _narrow_plot(plot, heights, bounds):
    points = (
        replace(point, y=y, y_range=None)
        for point, y in zip(plot.points, heights, strict=False)
    )
    return replace(plot, points=tuple(points), bounds=bounds, threshold=None)


def test_label_of_the_upright_axis_is_not_clipped_by_long_numbers(data):
    plot = _narrow_plot(plan_plots(data)[0], (99.71, 99.9), (0.0, 100.0))
    drawing = draw_plot(plot)
    assert ">100.0<" in drawing
    (baseline,) = re.findall(r"rotate\(-90 ([\d.]+) ", drawing)
    # Letters of 12 points rise less than 12 above it, here to the left.
    assert float(baseline) >= 12


@pytest.mark.parametrize(
    ("heights", "bounds"),
    [((0.0, 3.1), (0.0, math.inf)), ((97.0, 100.0), (0.0, 100.0))],
)
def test_axis_ends_where_the_measure_does(data, heights, bounds):
    plot = _narrow_plot(plan_plots(data)[0], heights, bounds)
    texts = re.findall(r"text-anchor: end[^>]*>([^<]+)</text>", draw_plot(plot))
    names = {point.name for point in plot.points}
    ticks = [text.replace("\N{MINUS SIGN}", "-") for text in texts if text not in names]
    found = [float(tick) for tick in ticks]
    assert len(found) >= 3
    assert bounds[0] <= min(found)
    assert max(found) <= bounds[1]
