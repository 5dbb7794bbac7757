"""The stages that measure latency and choose what to ship."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgedeploy.choose import choose
from edgedeploy.errors import LockError
from edgedeploy.evaluate.alone import only_variant
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.host import usable_cores
from edgedeploy.ondevice.installed import resolve_runtime, runtime_identity
from edgedeploy.ondevice.latency import measure
from edgedeploy.recipes import AS_IS, REFERENCE, recipe_named
from edgedeploy.stages.context import Context
from edgedeploy.stages.devices import (
    HOST,
    compose_benchmark,
    host_path,
    write_device,
)
from edgedeploy.stages.pictures import Pictures
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import code_digest, read_json, write_json

MEASURING_CODE = (
    "ondevice/conditions.py",
    "ondevice/custom_ops.py",
    "ondevice/delegation.py",
    "ondevice/installed.py",
    "ondevice/intervals.py",
    "ondevice/latency.py",
    "ondevice/litert_abi.py",
    "ondevice/runtime.py",
    "ondevice/tensors.py",
    "ondevice/trial.py",
)
SECONDS_BUDGET = 40.0


def benchmark_variants(context: Context, variants: Sequence[Variant]) -> dict[str, Any]:
    """Measure every variant's latency and memory here, and write benchmark.json.

    Returns:
        The value of benchmark.json.
    """
    path = host_path(context.workspace)
    runtime = resolve_runtime(context.options.runtime)
    models = {variant.recipe: variant.sha256 for variant in variants}
    inputs = {
        "models": models,
        "runtime": runtime_identity(runtime),
        "threads": thread_counts(usable_cores()),
        "code": code_digest(*MEASURING_CODE),
    }

    def action(progress: Progress) -> None:
        measured = measure(
            {variant.recipe: variant.path for variant in variants},
            threads=thread_counts(usable_cores()),
            seconds_budget=SECONDS_BUDGET,
            runtime=runtime,
            operators=variants[0].libraries,
            progress=progress,
        )
        for variant in variants:
            entry = measured["variants"][variant.recipe]
            entry["size_bytes"] = variant.facts["size_bytes"]
            entry["deflated_bytes"] = variant.facts["deflated_bytes"]
        unmeasured = measured.pop("unmeasured")
        write_device(path, models=models, device=measured, unmeasured=unmeasured)

    context.stage(
        "benchmark", "benchmark", inputs=inputs, outputs=[path], action=action
    )
    # Other devices' figures stay as long as the models are the same.
    return compose_benchmark(context.workspace, models, context.voice.note)


def select_variant(
    context: Context,
    pictures: Pictures,
    variants: Sequence[Variant],
    evaluation: dict[str, Any],
    benchmark: dict[str, Any] | None,
) -> dict[str, Any]:
    """Choose what to ship, and write selection.json.

    A choice that rests on timing is frozen in the lock, since another run on the
    same machine could measure otherwise.

    Returns:
        The value of selection.json.

    Raises:
        GateError: If no variant is good enough.
        LockError: If the locked choice is not good enough any more.
    """
    options = context.options
    download = options.prefer == "smallest-download"
    size = "deflated_bytes" if download else "size_bytes"
    if evaluation["reference"] == AS_IS:
        selection = only_variant(
            AS_IS, prefer=options.prefer, budgets=options.gate.to_dict()
        )
    else:
        selection = choose(
            evaluation,
            {variant.recipe: variant.facts[size] for variant in variants},
            latencies_ms=latencies_ms(benchmark),
            prefer=options.prefer,
            gate=options.gate,
            smoke=pictures.smoke,
        )
    if options.prefer == "fastest" and evaluation["reference"] != AS_IS:
        selection = _frozen(context, selection)
    path = context.workspace.folder / "selection.json"
    if not path.is_file() or read_json(path) != selection:
        write_json(path, selection)
    return selection


def thread_counts(cores: int) -> list[int]:
    """1, 2, 4 … up to the number of cores."""
    counts = [1]
    while counts[-1] * 2 <= cores:
        counts.append(counts[-1] * 2)
    return counts


def latencies_ms(benchmark: dict[str, Any] | None) -> dict[str, float | None]:
    """The best median of each variant over the thread counts, on this machine."""
    if benchmark is None:
        return {}
    return {
        name: timing["p50_ms"] if timing else None
        for name, timing in _best_timings(benchmark).items()
    }


def _best_timings(benchmark: dict[str, Any]) -> dict[str, dict[str, Any] | None]:
    """Each variant's figures at its best thread count; None where none ran."""
    found = {}
    for name, entry in benchmark["devices"][HOST]["variants"].items():
        timed = [
            timing
            for timing in (entry.get("threads") or {}).values()
            if timing["p50_ms"] is not None
        ]
        found[name] = min(timed, key=lambda one: one["p50_ms"]) if timed else None
    return found


def plain_words(benchmark: dict[str, Any]) -> list[str]:
    """Say which variants are not faster here than float32, or 4 bits than 8."""
    known = latencies_ms(benchmark)
    latencies = {name: own for name, own in known.items() if own is not None}
    wide = {name: own for name, own in latencies.items() if _weights(name) == "int8"}
    timings = _best_timings(benchmark)
    lines = []
    for name, own in latencies.items():
        narrow = "int4" in _weights(name)
        quicker = [
            rival
            for rival in wide
            if narrow and wide[rival] < own and _apart(timings[name], timings[rival])
        ]
        if REFERENCE in latencies and name != REFERENCE and own >= latencies[REFERENCE]:
            lines.append(
                f"{name} is not faster than float32 on this machine "
                f"({own:.1f} ms against {latencies[REFERENCE]:.1f} ms); it only saves "
                "space here"
            )
        elif quicker:
            best = min(quicker, key=lambda rival: wide[rival])
            lines.append(
                f"{name} is slower than {best} on this machine ({own:.1f} ms against "
                f"{wide[best]:.1f} ms): its 4-bit kernels save space, not time"
            )
    return lines


def _apart(slow: dict[str, Any] | None, fast: dict[str, Any] | None) -> bool:
    """Whether the speed-ups' intervals tell two variants apart; so without any."""
    slow_up, fast_up = (
        (timing or {}).get("speedup_vs_float32") or {} for timing in (slow, fast)
    )
    if not slow_up.get("ci95") or not fast_up.get("ci95"):
        return True
    return bool(slow_up["ci95"][1] < fast_up["ci95"][0])


def _weights(recipe: str) -> str:
    """What a recipe makes of the weights, such as "int4 and int8"."""
    return recipe_named(recipe).weights


def _frozen(context: Context, selection: dict[str, Any]) -> dict[str, Any]:
    locked = context.lock.get("fastest")
    if locked is None or context.options.update_lock:
        context.settle("fastest", selection["choice"])
        return selection
    if locked == selection["choice"]:
        return selection
    if locked not in {*selection["passed"], *selection["reasons"]}:
        raise LockError(
            f"edgedeploy.lock pins {locked} as the fastest of "
            f"{context.workspace.model}, but it was not built; add it to --recipes, or "
            "choose anew with --update-lock"
        )
    if locked not in selection["passed"]:
        raise LockError(
            f"edgedeploy.lock pins {locked} as the fastest of "
            f"{context.workspace.model}, but it is not good enough any more; choose "
            "anew with --update-lock"
        )
    reasons = {
        name: why for name, why in selection["reasons"].items() if name != locked
    }
    reasons[selection["choice"]] = f"edgedeploy.lock pins {locked} as the fastest"
    return selection | {
        "choice": locked,
        "reason": "pinned as the fastest by edgedeploy.lock",
        "reasons": reasons,
    }
