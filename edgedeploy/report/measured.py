"""The variants' figures, gathered from evaluation, benchmark and selection."""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.recipes import RECIPES, REFERENCE
from edgedeploy.report.data import ReportData, child, sequence, table
from edgedeploy.report.notation import finite

HOST = "host"
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A variant's times at one thread count, in milliseconds; None is not measured.

    Attributes:
        threads: Interpreter threads.
        p50_ms: Median.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        runs: Timed invocations.
        speedup: float32's time over this one's.
        speedup_ci95: Its 95 % interval.
    """

    threads: int
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    runs: float | None
    speedup: float | None
    speedup_ci95: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredVariant:
    """A variant's figures; None is not measured. Fractions in [0, 1], sizes in bytes.

    Attributes:
        recipe: Its name.
        role: "chosen", "reference", "lost" or "undecided".
        error: Why it could not be benchmarked, or empty.
        latencies: By rising thread count.
    """

    recipe: str
    role: str
    size_bytes: float | None
    deflated_bytes: float | None
    top1: float | None
    top1_ci95: Interval | None
    top1_drop: float | None
    top1_drop_ci95: Interval | None
    agreement_top1: float | None
    agreement_top1_ci95: Interval | None
    mean_kl: float | None
    peak_rss_bytes: float | None
    error: str
    latencies: tuple[Latency, ...]

    def latency_at(self, threads: int) -> Latency | None:
        """Give the times at a thread count, or None if it was not measured."""
        for latency in self.latencies:
            if latency.threads == threads:
                return latency
        return None

    def fastest(self) -> Latency | None:
        """Give the times at the thread count with the lowest median."""
        timed = [one for one in self.latencies if one.p50_ms is not None]
        return min(timed, key=lambda one: (one.p50_ms, one.threads), default=None)


def reference_name(data: ReportData) -> str:
    """Name of the variant that the others are held against."""
    name = child(data.evaluation, "reference")
    return name if isinstance(name, str) else REFERENCE


def chosen_name(data: ReportData) -> str | None:
    """Name of the chosen variant, or None if there is none."""
    name = child(data.selection, "choice")
    return name if isinstance(name, str) else None


def is_emulated(data: ReportData, device: str) -> bool:
    """Tell whether a device's times are an emulator's, and so not a device's."""
    return bool(child(data.benchmark, "devices", device, "host", "emulated"))


def primary_device(data: ReportData) -> str:
    """Pick the device that the main table shows: this machine, else the first real."""
    devices = table(data.benchmark, "devices")
    real = sorted(name for name in devices if not is_emulated(data, name))
    if HOST in real or not devices:
        return HOST
    return str((real or sorted(devices))[0])


def read_variants(
    data: ReportData, device: str | None = None
) -> tuple[MeasuredVariant, ...]:
    """Gather the figures of every variant that was evaluated or benchmarked.

    Args:
        data: The build's results.
        device: Whose times to take; the primary device's by default.

    Returns:
        The reference first, then the table of recipes' order, then others by name.
    """
    device = primary_device(data) if device is None else device
    known = list(RECIPES)
    reference = reference_name(data)
    names = {str(name) for name in table(data.evaluation, "variants")} | {
        str(name) for name in table(data.benchmark, "devices", device, "variants")
    }
    ordered = sorted(
        names,
        key=lambda name: (
            name != reference,
            known.index(name) if name in known else len(known),
            name,
        ),
    )
    return tuple(_read_variant(data, device, name) for name in ordered)


def find_variant(
    variants: tuple[MeasuredVariant, ...], recipe: str | None
) -> MeasuredVariant | None:
    """Look a variant up by its recipe's name."""
    for variant in variants:
        if variant.recipe == recipe:
            return variant
    return None


def _read_variant(data: ReportData, device: str, recipe: str) -> MeasuredVariant:
    accuracy = table(data.evaluation, "variants", recipe)
    speed = table(data.benchmark, "devices", device, "variants", recipe)
    timed = {} if is_emulated(data, device) else table(speed, "threads")
    latencies = [
        _read_latency(int(key), values)
        for key, values in timed.items()
        if str(key).isdecimal() and len(str(key)) < 5
    ]
    return MeasuredVariant(
        recipe=recipe,
        role=_role(data, recipe),
        size_bytes=finite(speed.get("size_bytes")),
        deflated_bytes=finite(speed.get("deflated_bytes")),
        top1=finite(accuracy.get("top1")),
        top1_ci95=_interval(accuracy, "top1_ci95"),
        top1_drop=finite(accuracy.get("top1_drop")),
        top1_drop_ci95=_interval(accuracy, "top1_drop_ci95"),
        agreement_top1=finite(accuracy.get("agreement_top1")),
        agreement_top1_ci95=_interval(accuracy, "agreement_top1_ci95"),
        mean_kl=finite(accuracy.get("mean_kl")),
        peak_rss_bytes=finite(speed.get("peak_rss_bytes")),
        error=str(speed.get("error") or ""),
        latencies=tuple(sorted(latencies, key=lambda one: one.threads)),
    )


def _read_latency(threads: int, values: object) -> Latency:
    return Latency(
        threads=threads,
        p50_ms=finite(child(values, "p50_ms")),
        p90_ms=finite(child(values, "p90_ms")),
        p99_ms=finite(child(values, "p99_ms")),
        runs=finite(child(values, "runs")),
        speedup=finite(child(values, "speedup_vs_float32", "ratio")),
        speedup_ci95=_interval(child(values, "speedup_vs_float32"), "ci95"),
    )


def _interval(values: object, key: str) -> Interval | None:
    ends = [finite(end) for end in sequence(values, key)]
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return None
    return ends[0], ends[1]


def _role(data: ReportData, recipe: str) -> str:
    if recipe == chosen_name(data):
        return "chosen"
    if recipe == reference_name(data):
        return "reference"
    return "undecided" if data.selection is None else "lost"
