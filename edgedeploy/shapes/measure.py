"""Latency and memory of one model at several sizes of picture, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgedeploy.ondevice.latency import Progress, measure
from edgedeploy.ondevice.shapes import Size, size_name

# Each size has a process with the whole model in it, all at the same time.
MAX_MEASURED = 8


def spread_sizes(sizes: Sequence[Size]) -> tuple[Size, ...]:
    """Pick at most `MAX_MEASURED` sizes, from the smallest picture to the largest.

    Args:
        sizes: At least one.
    """
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    if len(ordered) <= MAX_MEASURED:
        return tuple(ordered)
    last = len(ordered) - 1
    picked = [
        ordered[round(n * last / (MAX_MEASURED - 1))] for n in range(MAX_MEASURED)
    ]
    return tuple(dict.fromkeys(picked))


def measure_sizes(
    path: Path,
    sizes: Sequence[Size],
    *,
    seconds_budget: float = 20.0,
    runtime: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a model at several sizes, one thread, in interleaved rounds.

    Args:
        path: A .tflite file with open height and width.
        sizes: (width, height) of each.
        seconds_budget: Time for the rounds, in seconds.
        runtime: A name of `ondevice.installed.RUNTIMES`, or "auto".
        progress: Called after each round with the rounds done and None.

    Returns:
        {"host", "sizes": {"224x224": {"p50_ms", "p90_ms", "p99_ms", "runs",
        "load_ms", "first_invoke_ms": with the resizing, "peak_rss_bytes"}},
        "conditions", "unmeasured": {"sizes.…": reason}}. A size that fails has
        {"error": reason} instead.
    """
    measured = {size_name(size): size for size in spread_sizes(sizes)}
    found = measure(
        dict.fromkeys(measured, path),
        sizes=measured,
        seconds_budget=seconds_budget,
        runtime=runtime,
        progress=progress,
    )
    unmeasured = {
        field.replace("variants.", "sizes.", 1): reason
        for field, reason in found["unmeasured"].items()
        if "speedup" not in field
    }
    left = [size_name(size) for size in sizes if size_name(size) not in measured]
    if left:
        unmeasured[f"sizes.{left[0]}"] = (
            f"at most {MAX_MEASURED} sizes are timed; so are not {', '.join(left)}"
        )
    return {
        "host": found["host"],
        "sizes": {name: _row(row) for name, row in found["variants"].items()},
        "conditions": found["conditions"],
        "unmeasured": unmeasured,
    }


def _row(row: dict[str, Any]) -> dict[str, Any]:
    if "error" in row:
        return row
    times = {
        field: value
        for field, value in row["threads"]["1"].items()
        if field != "speedup_vs_float32"
    }
    kept = ("load_ms", "first_invoke_ms", "peak_rss_bytes")
    return times | {field: row[field] for field in kept}
