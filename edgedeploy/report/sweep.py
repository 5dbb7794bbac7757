"""The page of a sweep: the same pictures side by side, one column a width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from edgedeploy.report.thumbnails import make_thumbnail
from edgedeploy.specs import ModelSpec

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child { text-align: left }
td.changed { background: #fde2e0 }
img { width: 72px; height: 72px; display: block }
.scroll { overflow-x: auto }
"""


def render_sweep(
    value: Mapping[str, Any], spec: ModelSpec, paths: Sequence[Path]
) -> str:
    """Write the page.

    Args:
        value: The value of sweep.json.
        spec: The model, for its labels and contract.
        paths: Where the shown pictures are.

    Returns:
        HTML that needs no other file.
    """
    title = f"{spec.title}: 8 to 1 bits"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(title)}</h1>"
        f"<p>{value['images']} evaluation pictures. Weights are rounded, activations "
        "stay float32. A <em>linear</em> width has a step a channel, a <em>table</em> "
        "holds the values of a tensor.</p>"
        f"{_figures(value)}"
        "<h2>Picture by picture</h2><p>Shaded answers are not float32's.</p>"
        f"{_pictures(value, spec, paths)}</html>\n"
    )


def _figures(value: Mapping[str, Any]) -> str:
    heads = ("weights", "MB", "deflate", "zstd", "brotli", "top-1", "agree", "KL")
    lines = ["".join(f"<th>{head}" for head in (*heads, "on a device"))]
    for row in value["rows"]:
        cells = [
            _width(row),
            *(
                _mb(row[field])
                for field in (
                    "size_bytes",
                    "deflated_bytes",
                    "zstd_bytes",
                    "brotli_bytes",
                )
            ),
            "-" if row["top1"] is None else _share(row, "top1"),
            _share(row, "agreement_top1"),
            f"{row['mean_kl']:.4f}",
            row["runs"],
        ]
        lines.append("".join(f"<td>{escape(cell)}" for cell in cells))
    reasons = "; ".join(
        f"{field}: {reason}" for field, reason in value["unmeasured"].items()
    )
    note = f"<p>Not measured: {escape(reasons)}.</p>" if reasons else ""
    table = "".join(f"<tr>{line}" for line in lines)
    return f"<div class=scroll><table>{table}</table></div>{note}"


def _pictures(value: Mapping[str, Any], spec: ModelSpec, paths: Sequence[Path]) -> str:
    heads = "".join(f"<th>{escape(_width(row))}" for row in value["rows"])
    lines = [f"<th>picture{heads}"]
    for picture, path in zip(value["pictures"], paths, strict=True):
        thumbnail = make_thumbnail(path, spec.pipeline)
        shown = (
            f'<img src="{thumbnail.uri}" alt="">'
            if thumbnail.uri
            else escape(thumbnail.reason)
        )
        first = picture["answers"][0][0]
        cells = "".join(
            f"<td{' class=changed' if one != first else ''}>"
            f"{escape(spec.labels[one])}<br>{100 * confidence:.0f} %"
            for one, confidence in picture["answers"]
        )
        breaks = ", ".join(
            f"{scheme} {'never' if bits is None else f'at {bits}'}"
            for scheme, bits in picture["breaks"].items()
        )
        name = escape(picture["image"])
        lines.append(f"<td>{shown}{name}<br>breaks: {escape(breaks)}{cells}")
    table = "".join(f"<tr>{line}" for line in lines)
    return f"<div class=scroll><table>{table}</table></div>"


def _width(row: Mapping[str, Any]) -> str:
    return "float32" if row["bits"] == 32 else f"{row['scheme']} {row['bits']}"


def _share(row: Mapping[str, Any], field: str) -> str:
    low, high = (100 * end for end in row[f"{field}_ci95"])
    return f"{100 * row[field]:.1f} % ({low:.1f} to {high:.1f})"


def _mb(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:.2f}"
