"""Which of two files is faster, both timed now, in turns, on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedeploy.compare.finding import Finding, Limits
from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.latency import REFERENCE, measure

if TYPE_CHECKING:
    from edgedeploy.compare.side import Side
    from edgedeploy.isolate import Progress

SECONDS = 20.0
_NEW = "new"


def compare_latency(
    old: Side, new: Side, limits: Limits, *, runtime: str, progress: Progress
) -> Finding:
    """Time both sides' files in interleaved rounds with one thread.

    Figures that two builds recorded at different times are not compared: the
    machine's clock, heat and neighbours differ more than the models do.

    Args:
        old: The side that is in use.
        new: The side that shall replace it.
        limits: How much slower the new one may be.
        runtime: A runtime's name.
        progress: Told of the rounds.
    """
    if old.shipped.sha256 == new.shipped.sha256:
        return Finding(
            name="latency", old="", new="", passed=True, detail="the same bytes"
        )
    # `measure` divides by what is called float32.
    models = {REFERENCE: old.shipped.path, _NEW: new.shipped.path}
    try:
        found = measure(
            models, seconds_budget=SECONDS, runtime=runtime, progress=progress
        )["variants"]
    except ContractError as error:
        return _unmeasured(str(error))
    for side, name in ((old, REFERENCE), (new, _NEW)):
        if "error" in found[name]:
            return _unmeasured(f"{side.path}: {found[name]['error']}")
    before, after = (found[name]["threads"]["1"] for name in (REFERENCE, _NEW))
    speedup = after["speedup_vs_float32"]
    low, high = speedup["ci95"]
    slower = 1 / speedup["ratio"] - 1
    return Finding(
        name="latency",
        old=f"{before['p50_ms']:.2f} ms",
        new=f"{after['p50_ms']:.2f} ms",
        change=slower,
        change_ci95=(1 / high - 1, 1 / low - 1),
        limit=limits.max_slowdown,
        passed=slower <= limits.max_slowdown,
        detail=f"medians of {before['runs']} rounds in turns, 1 thread",
    )


def _unmeasured(reason: str) -> Finding:
    return Finding(name="latency", old="", new="", passed=None, detail=reason)
