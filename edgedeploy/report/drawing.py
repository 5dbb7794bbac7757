"""Plots as SVG that takes its colours from the page around it."""

from __future__ import annotations

import io
import re
from html import escape
from typing import Any

from edgedeploy.report import notation
from edgedeploy.report.plots import Plot, Point

# Colours that no palette has: they are exchanged for the page's own afterwards, so
# that one drawing serves light, dark and paper.
_INK = "#010203"
_MUTED = "#010204"
_GRID = "#010205"
_ACCENT = "#010206"
_PAPER = "#010207"
_PAGE_COLOURS = {
    _INK: "currentColor",
    _MUTED: "var(--muted)",
    _GRID: "var(--line)",
    _ACCENT: "var(--accent)",
    _PAPER: "var(--card)",
}
# In inches of 72 points: 432 by 324, so 10-point text stays legible on a phone.
_SIZE = (6.0, 4.5)
_TEXT_SIZE = 12.0
# Left of the axis' label, in points.
_EDGE = 6.0
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "edgedeploy",
    "font.family": "DejaVu Sans",
    "font.size": _TEXT_SIZE,
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "path.simplify": False,
}
# A range wider than this is drawn on a logarithmic axis.
_LOG_RATIO = 20.0
# Where a name may stand, in points from its mark, and how it is anchored.
_PLACES = (
    (9, 7, "left", "bottom"),
    (9, -7, "left", "top"),
    (-9, 7, "right", "bottom"),
    (-9, -7, "right", "top"),
    (9, 20, "left", "bottom"),
    (9, -20, "left", "top"),
    (-9, 20, "right", "bottom"),
    (-9, -20, "right", "top"),
    (9, 33, "left", "bottom"),
    (9, -33, "left", "top"),
    (-9, 33, "right", "bottom"),
    (-9, -33, "right", "top"),
)


def draw_plot(plot: Plot) -> str:
    """Draw a plot.

    Args:
        plot: With at least two points.

    Returns:
        An `<svg>` element without fixed size, scripts, styles or references outside
        itself; the same plot gives the same text.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # The user's own settings must not change the page.
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        figure = Figure(figsize=_SIZE, dpi=72)
        canvas = FigureCanvasSVG(figure)
        axes = figure.add_axes((0.125, 0.135, 0.85, 0.84))
        _scale_axes(axes, plot)
        _style_axes(axes, plot)
        _make_room(axes)
        for point in plot.points:
            _draw_point(axes, point)
        _draw_names(axes, plot.points)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        canvas.print_svg(buffer, metadata=nothing)
    return _adopt(buffer.getvalue(), plot)


def _scale_axes(axes: Any, plot: Plot) -> None:
    xs = [point.x for point in plot.points]
    right = max([*xs, *(p.x_high for p in plot.points if p.x_high is not None)])
    if min(xs) > 0 and max(xs) / min(xs) > _LOG_RATIO:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        axes.set_xscale("log")
        axes.set_xlim(min(xs) / 1.6, right * 1.8)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        # Room on the right for the names of the largest variants.
        axes.set_xlim(0, max(right, 1e-9) * 1.22)
    ys = [point.y for point in plot.points]
    for point in plot.points:
        ys.extend(point.y_range or ())
    if plot.threshold is not None:
        ys.append(plot.threshold)
    margin = max(0.08 * (max(ys) - min(ys)), 0.2)
    least, most = plot.bounds
    axes.set_ylim(max(min(ys) - margin, least), min(max(ys) + margin, most))


def _style_axes(axes: Any, plot: Plot) -> None:
    axes.figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_MUTED)
    axes.grid(visible=True, axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=_MUTED, length=0, pad=6)
    axes.locator_params(axis="y", nbins=6)
    axes.set_xlabel(plot.x_label, color=_MUTED, labelpad=8)
    axes.set_ylabel(plot.y_label, color=_MUTED, labelpad=8)
    if plot.threshold is not None:
        axes.axhline(
            plot.threshold, color=_INK, linewidth=1.2, linestyle=(0, (4, 4)), zorder=1
        )


def _make_room(axes: Any) -> None:
    """Move the left end in until the numbers and the label of that axis fit."""
    figure = axes.figure
    box = axes.yaxis.get_tightbbox(figure._get_renderer())
    missing = max(0.0, _EDGE - box.x0) / figure.bbox.width
    place = axes.get_position()
    axes.set_position(
        (place.x0 + missing, place.y0, place.width - missing, place.height)
    )


def _draw_point(axes: Any, point: Point) -> None:
    chosen = point.role == "chosen"
    colour = _ACCENT if chosen else _INK if point.role == "reference" else _MUTED
    bars = {"color": colour, "linewidth": 1.4, "alpha": 0.6, "zorder": 2}
    if point.y_range is not None:
        axes.vlines(point.x, *point.y_range, **bars)
    if point.x_high is not None:
        axes.hlines(point.y, point.x, point.x_high, **bars)
    axes.plot(
        [point.x],
        [point.y],
        marker="o",
        linestyle="none",
        markersize=11 if chosen else 9,
        markerfacecolor=colour if chosen else _PAPER,
        markeredgecolor=colour,
        markeredgewidth=1.8,
        # At a bound the mark lies half outside.
        clip_on=False,
        zorder=4 if chosen else 3,
    )


def _draw_names(axes: Any, points: tuple[Point, ...]) -> None:
    """Write each name where it covers no mark and no other name, the choice first."""
    renderer = axes.figure._get_renderer()
    frame = axes.get_window_extent(renderer)
    taken = [_mark_box(axes, point) for point in points]
    whiskers = [_whisker_box(axes, point) for point in points if point.y_range]
    for point in sorted(points, key=lambda one: one.role != "chosen"):
        text = axes.annotate(
            notation.printable(point.name),
            (point.x, point.y),
            xytext=(0, 0),
            textcoords="offset points",
            color=_ACCENT if point.role == "chosen" else _INK,
            fontweight="bold" if point.role == "chosen" else "normal",
            zorder=5,
        )
        best = None
        for dx, dy, horizontal, vertical in _PLACES:
            text.set_position((dx, dy))
            text.set_horizontalalignment(horizontal)
            text.set_verticalalignment(vertical)
            box = text.get_window_extent(renderer)
            outside = box.x0 < frame.x0 or box.x1 > frame.x1
            outside = outside or box.y0 < frame.y0 or box.y1 > frame.y1
            cost = sum(box.overlaps(other) for other in taken) + 2 * outside
            # Crossing a whisker is ugly, but the name stays legible.
            cost += 0.3 * sum(box.overlaps(other) for other in whiskers)
            if best is None or cost < best[0]:
                best = (cost, (dx, dy), horizontal, vertical, box)
            if cost == 0:
                break
        if best is not None:
            text.set_position(best[1])
            text.set_horizontalalignment(best[2])
            text.set_verticalalignment(best[3])
            taken.append(best[4].padded(2))


def _mark_box(axes: Any, point: Point) -> Any:
    from matplotlib.transforms import Bbox

    x, y = axes.transData.transform((point.x, point.y))
    return Bbox.from_extents(x - 6, y - 6, x + 6, y + 6)


def _whisker_box(axes: Any, point: Point) -> Any:
    from matplotlib.transforms import Bbox

    low, high = point.y_range or (point.y, point.y)
    x, bottom = axes.transData.transform((point.x, low))
    top = axes.transData.transform((point.x, high))[1]
    return Bbox.from_extents(x - 1, bottom, x + 1, top)


def _adopt(svg: str, plot: Plot) -> str:
    """Turn a standalone SVG file into an element of the page."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'<style type="text/css">.*?</style>', "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    view_box = re.search(r'viewBox="([0-9. ]+)"', body)
    opening = body.index(">") + 1
    content = body[opening:]
    # Ids are unique within a file; the page holds several files.
    content = re.sub(r'\bid="([^"]+)"', rf'id="{plot.key}-\1"', content)
    content = re.sub(r'(?:xlink:)?href="#([^"]+)"', rf'href="#{plot.key}-\1"', content)
    content = re.sub(r"url\(#([^)]+)\)", rf"url(#{plot.key}-\1)", content)
    for sentinel, colour in _PAGE_COLOURS.items():
        content = content.replace(sentinel, colour)
    content = re.sub(r"\n\s*", "\n", content)
    size = view_box.group(1) if view_box else "0 0 432 324"
    title = escape(notation.printable(plot.title))
    description = escape(notation.printable(plot.description))
    return (
        f'<svg viewBox="{size}" role="img" '
        f'aria-labelledby="{plot.key}-title {plot.key}-desc">'
        f'<title id="{plot.key}-title">{title}</title>'
        f'<desc id="{plot.key}-desc">{description}</desc>' + content.rstrip()
    )
