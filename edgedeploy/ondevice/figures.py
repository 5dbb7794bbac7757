"""A benchmark's figures as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def print_figures(result: Mapping[str, Any]) -> None:
    """Print what `benchmark.measure` gave, as a table for people."""
    host = result["host"]
    emulated = " (emulated: these times are no device's)" if host["emulated"] else ""
    print(f"{host['cpu'] or host['machine']}, {host['cores']} cores{emulated}")
    print(f"{host['runtime']} {host['runtime_version']}, governor {host['governor']}")
    _print_conditions(result["conditions"])
    print(f"{'recipe':<14}{'threads':>8}{'p50 ms':>10}{'p90 ms':>10}{'vs float32':>22}")
    for recipe, facts in result["variants"].items():
        if "error" in facts:
            print(f"{recipe:<14}{facts['error']}")
            continue
        for count, row in facts["threads"].items():
            times = f"{row['p50_ms']:>10.2f}{row['p90_ms']:>10.2f}"
            print(f"{recipe:<14}{count:>8}{times}{_ratio(row):>22}")


def print_batches(recipe: str, result: Mapping[str, Any]) -> None:
    """Print what `batch_benchmark.measure_batches` gave, as a table for people."""
    threads = result["threads"]
    print(f"{recipe}, {threads} thread{'s' if threads > 1 else ''}")
    print(f"{'batch':>6}{'p50 ms a picture':>18}{'vs loop':>22}{'peak MB':>10}")
    for batch, row in result["batches"].items():
        if "error" in row:
            print(f"{batch:>6}  {row['error']}")
            continue
        peak = row["peak_rss_bytes"]
        memory = "-" if peak is None else f"{peak / 1e6:.0f}"
        ratio = _interval(row["speedup_vs_loop"])
        print(f"{batch:>6}{row['p50_ms']:>18.2f}{ratio:>22}{memory:>10}")
    print(f"best batch: {result['best_batch']} ({result['reason']})")


def _print_conditions(conditions: Mapping[str, Any]) -> None:
    before, after = conditions["before"], conditions["after"]
    if before["temperature_c"] is not None:
        print(
            f"{before['temperature_c']} °C before, {after['temperature_c']} °C after, "
            f"{conditions['hottest_c']} °C at most"
        )
    if conditions["throttled_during"] is None:
        print("throttling: unknown here")
    for warning in conditions["warnings"]:
        print(f"doubtful: {warning}")


def _ratio(row: Mapping[str, Any]) -> str:
    speedup = row["speedup_vs_float32"]
    return "-" if speedup is None else _interval(speedup)


def _interval(speedup: Mapping[str, Any]) -> str:
    low, high = speedup["ci95"]
    return f"{speedup['ratio']:.2f}x [{low:.2f}, {high:.2f}]"
