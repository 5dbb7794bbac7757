"""LiteRT's benchmark_model on a phone: one run of it, and what it printed."""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass

from edgedeploy.devices.adb.client import Adb
from edgedeploy.errors import DeviceError

WHERE = (
    "LiteRT publishes it for Android: see docs/android.md, benchmark_model for "
    "android_aarch64"
)
_RUNS = 5
_TIMEOUT_S = 600.0
_NUMBER = r"([0-9.]+(?:e[+-]?[0-9]+)?)"
_SUMMARY = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}"
)
_COUNTS = re.compile(r"count=(\d+)\b[^\n]*")
_PEAK = re.compile(rf"[Oo]verall peak memory footprint \(MB\)[^:]*: {_NUMBER}")
_DELEGATED = re.compile(r"TfLite(\w+?)(?:Delegate)?\) node")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRun:
    """What one run of benchmark_model said.

    Attributes:
        init_ms: Until the model was loaded and prepared.
        first_ms: The first inference.
        time_ms: Median of the inferences after the warm-up; their mean where the tool
            gives no median, as older ones do.
        is_median: Which of the two.
        count: Inferences after the warm-up.
        peak_bytes: Peak memory of the tool; None where it does not say.
        delegate: Who took over nodes; "none" if nobody did.
    """

    init_ms: float
    first_ms: float
    time_ms: float
    is_median: bool
    count: int
    peak_bytes: int | None
    delegate: str


def run_tool(
    adb: Adb, serial: str, tool: str, model: str, threads: int, *, warmup_runs: int
) -> ToolRun:
    """Run benchmark_model once on a phone.

    Args:
        adb: This machine's adb.
        serial: The phone.
        tool: Path of the program there.
        model: Path of the model there.
        threads: Of the interpreter.
        warmup_runs: Inferences before those that count.

    Raises:
        DeviceError: If the program fails, or prints something else.
    """
    words = (
        tool,
        f"--graph={model}",
        f"--num_threads={threads}",
        "--use_xnnpack=true",
        f"--warmup_runs={warmup_runs}",
        "--warmup_min_secs=0",
        f"--num_runs={_RUNS}",
        "--min_secs=0",
        "--max_secs=120",
        "--report_peak_memory_footprint=true",
    )
    text = adb.shell(serial, shlex.join(words), timeout_s=_TIMEOUT_S)
    return parse_run(serial, text)


def parse_run(serial: str, text: str) -> ToolRun:
    """Read what benchmark_model prints (tensorflow/lite/tools/benchmark).

    Args:
        serial: Whose it is, for errors.
        text: Its standard output and error.

    Raises:
        DeviceError: If there are no figures in it.
    """
    summary = _SUMMARY.search(text)
    counts = _COUNTS.findall(text)
    if summary is None or not counts:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        last = lines[-1][:200] if lines else "nothing"
        raise DeviceError(
            f"{serial}: benchmark_model printed no figures (its last line: {last})"
        )
    # The warm-up prints a line of its own before.
    measured = [m[0] for m in _COUNTS.finditer(text)][-1]
    median = re.search(rf"\bmedian={_NUMBER}", measured)
    peak = _PEAK.search(text)
    delegate = _DELEGATED.search(text)
    try:
        found = ToolRun(
            init_ms=float(summary[1]) / 1000,
            first_ms=float(summary[2]) / 1000,
            time_ms=float(median[1] if median else summary[4]) / 1000,
            is_median=median is not None,
            count=int(counts[-1]),
            peak_bytes=round(float(peak[1]) * (1 << 20)) if peak else None,
            delegate=delegate[1].upper() if delegate else "none",
        )
    except (ValueError, OverflowError) as error:
        raise DeviceError(f"{serial}: benchmark_model printed {error}") from error
    times = (found.init_ms, found.first_ms, found.time_ms)
    if not all(0 < time < math.inf for time in times):
        raise DeviceError(f"{serial}: benchmark_model printed impossible times {times}")
    return found
