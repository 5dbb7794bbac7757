"""The table of a model's sizes of picture: time and memory at each."""

from __future__ import annotations

from typing import Any

from edgedeploy.report import notation
from edgedeploy.report.data import ReportData, child, table


def tabulate_sizes(data: ReportData) -> list[dict[str, Any]]:
    """List what was measured at each size of picture, variant by variant.

    Args:
        data: The build's results.

    Returns:
        One entry a variant: "recipe", "lines" (each with "size", "latency", "first",
        "memory", "error") and "notes"; empty for a model of one size.
    """
    found = []
    variants = table(data.shapes, "variants")
    for recipe in sorted(str(name) for name in variants):
        lines = []
        for size, row in table(variants, recipe, "sizes").items():
            lines.append(
                {
                    "size": str(size),
                    "latency": notation.milliseconds(child(row, "p50_ms")),
                    "first": notation.milliseconds(child(row, "first_invoke_ms")),
                    "memory": notation.megabytes(child(row, "peak_rss_bytes"), 0),
                    "error": str(child(row, "error") or ""),
                }
            )
        notes = [
            str(reason)
            for field, reason in table(variants, recipe, "unmeasured").items()
            if str(field).startswith("sizes.")
        ]
        found.append({"recipe": recipe, "lines": lines, "notes": notes})
    return found
