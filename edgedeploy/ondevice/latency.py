"""Latency, load time and memory of models, measured side by side.

Every model has a process of its own, and rounds are interleaved over models and
numbers of threads in shuffled order, so that heat, clocks and neighbours slow all of
them alike. The host runs this very code.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .conditions import ConditionLog, explain_missing
from .contract import ContractError
from .host import describe_host
from .intervals import paired_ratio, percentiles
from .trial import Trial, TrialError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REFERENCE = "float32"
MAX_ROUNDS = 500

Progress = Callable[[int, "int | None"], None]


@dataclass
class _Candidate:
    """A model under test and what is known of it so far."""

    trial: Trial
    facts: dict[str, Any]
    size: tuple[int, int] | None = None
    samples_ms: dict[int, list[float]] = field(default_factory=dict)


def measure(
    models: Mapping[str, Path],
    *,
    threads: Sequence[int] = (1,),
    warmup_runs: int = 2,
    min_rounds: int = 5,
    seconds_budget: float = 60.0,
    runtime: str = "auto",
    operators: Sequence[Path] = (),
    sizes: Mapping[str, tuple[int, int]] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure models against each other.

    A round times every model once with every number of threads. Rounds go on until
    the budget is used up, but at least `min_rounds`, which a slow model can make
    longer than the budget, and at most `MAX_ROUNDS`.

    Args:
        models: .tflite files by recipe; "float32" is the reference of the ratios.
        threads: Numbers of threads, each at least 1.
        warmup_runs: Untimed runs after the first, for each number of threads.
        min_rounds: Rounds that are run in any case, at least 1.
        seconds_budget: Time for all of it, in seconds.
        runtime: A name of `installed.RUNTIMES`, or "auto".
        operators: Shared libraries of the operators that the models need.
        sizes: (width, height) of the pictures for some of the models, which must
            leave them open; the others get their own. `first_invoke_ms` is then
            with the resizing.
        seed: Of the order within the rounds and of the bootstrap.
        progress: Called after each round with the rounds done and None.

    Returns:
        {"host": {…}, "variants": {recipe: {"size_bytes", "load_ms",
        "first_invoke_ms", "peak_rss_bytes", "delegate", "fallback", "threads": {"1":
        {"p50_ms", "p90_ms", "p99_ms", "runs", "speedup_vs_float32": {"ratio", "ci95"}
        or None}}}}, "conditions": {…} as of `ConditionLog.finish`, "unmeasured":
        {"variants.RECIPE.…": reason}}. A model that fails has {"error": reason}
        instead. Memory is that of the process after the warm-up
        with the first number of threads, Python's own included.

    Raises:
        ContractError: If an argument makes no sense or no runtime works here.
    """
    _check_arguments(models, threads, min_rounds)
    started = time.monotonic()
    host = describe_host(runtime)
    log = ConditionLog()
    candidates: dict[str, _Candidate] = {}
    errors: dict[str, str] = {}
    try:
        for recipe, path in models.items():
            _start(
                recipe,
                path,
                partial(Trial, path, runtime, operators),
                candidates,
                errors,
                (sizes or {}).get(recipe),
            )
        _guard_all(candidates, errors, lambda one: _warm_up(one, threads, warmup_runs))
        _run_rounds(
            candidates,
            errors,
            order=random.Random(seed),  # noqa: S311  (an order, not a secret)
            threads=threads,
            min_rounds=min_rounds,
            deadline=started + seconds_budget,
            after_round=partial(_finish_round, log, progress),
        )
        conditions = log.finish()
    finally:
        for candidate in candidates.values():
            candidate.trial.close()
    variants = {
        recipe: {"error": errors[recipe]}
        if recipe in errors
        else _summarise(candidates, recipe, errors, seed)
        for recipe in models
    }
    return {
        "host": host,
        "variants": variants,
        "conditions": conditions,
        "unmeasured": _unmeasured(variants) | explain_missing(conditions),
    }


def _check_arguments(
    models: Mapping[str, Path], threads: Sequence[int], min_rounds: int
) -> None:
    if not models:
        raise ContractError("benchmark needs at least one model; received none")
    if not threads or any(count < 1 for count in threads):
        raise ContractError(f"threads must be at least 1 each; received {threads}")
    if len(set(threads)) != len(threads):
        raise ContractError(f"threads must differ; received {threads}")
    if min_rounds < 1:
        raise ContractError(f"min_rounds must be at least 1; received {min_rounds}")


def _start(
    recipe: str,
    path: Path,
    begin: Callable[[], Trial],
    candidates: dict[str, _Candidate],
    errors: dict[str, str],
    picture_size: tuple[int, int] | None,
) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        errors[recipe] = f"{path.name}: cannot be read ({error.strerror})"
        return
    candidates[recipe] = _Candidate(
        trial=begin(), facts={"size_bytes": size}, size=picture_size
    )


def _guard_all(
    candidates: Mapping[str, _Candidate],
    errors: dict[str, str],
    work: Callable[[_Candidate], None],
) -> None:
    for recipe in candidates:
        _guard(candidates, errors, recipe, work)


def _guard(
    candidates: Mapping[str, _Candidate],
    errors: dict[str, str],
    recipe: str,
    work: Callable[[_Candidate], None],
) -> None:
    """Do something with a model; a failure ends that model's part only."""
    if recipe in errors:
        return
    try:
        work(candidates[recipe])
    except TrialError as error:
        errors[recipe] = str(error)


def _warm_up(one: _Candidate, threads: Sequence[int], warmup_runs: int) -> None:
    for count in threads:
        facts = one.trial.load(count, size=one.size)
        for _ in range(warmup_runs):
            one.trial.run(count)
        one.samples_ms[count] = []
        if "load_ms" not in one.facts:
            one.facts |= {
                "load_ms": round(facts["load_ms"], 3),
                "first_invoke_ms": round(facts["first_invoke_ms"], 3),
                # Before the next interpreter adds its own copy of the weights.
                "peak_rss_bytes": one.trial.peak(),
                "delegate": facts["delegate"],
                "fallback": facts["fallback"],
            }


def _run_rounds(
    candidates: Mapping[str, _Candidate],
    errors: dict[str, str],
    *,
    order: random.Random,
    threads: Sequence[int],
    min_rounds: int,
    deadline: float,
    after_round: Callable[[int], None],
) -> None:
    turns = [(recipe, count) for recipe in candidates for count in threads]
    for done in range(MAX_ROUNDS):
        if done >= min_rounds and time.monotonic() >= deadline:
            return
        if all(recipe in errors for recipe in candidates):
            return
        order.shuffle(turns)
        for recipe, count in turns:
            _guard(candidates, errors, recipe, partial(_take_turn, threads=count))
        after_round(done + 1)


def _finish_round(log: ConditionLog, progress: Progress | None, done: int) -> None:
    log.look()
    if progress:
        progress(done, None)


def _take_turn(one: _Candidate, threads: int) -> None:
    one.samples_ms[threads].append(one.trial.run(threads))


def _summarise(
    candidates: Mapping[str, _Candidate],
    recipe: str,
    errors: Mapping[str, str],
    seed: int,
) -> dict[str, Any]:
    one = candidates[recipe]
    reference = None if REFERENCE in errors else candidates.get(REFERENCE)
    summary: dict[str, Any] = {}
    for count, samples in one.samples_ms.items():
        speedup = None
        if reference is not None:
            times = reference.samples_ms[count]
            ratio, low, high = paired_ratio(times, samples, seed=seed)
            speedup = {
                "ratio": round(ratio, 4),
                "ci95": [round(low, 4), round(high, 4)],
            }
        summary[str(count)] = {
            **percentiles(samples),
            "runs": len(samples),
            "speedup_vs_float32": speedup,
        }
    return one.facts | {"threads": summary}


def _unmeasured(variants: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Give the reason for every figure that is missing."""
    reasons: dict[str, str] = {}
    without_reference = REFERENCE not in variants or "error" in variants[REFERENCE]
    for recipe, facts in variants.items():
        if "error" in facts:
            reasons[f"variants.{recipe}"] = facts["error"]
            continue
        if facts["peak_rss_bytes"] is None:
            reasons[f"variants.{recipe}.peak_rss_bytes"] = (
                "this system has no /proc/self/status with VmHWM"
            )
        if facts["fallback"] is None:
            reasons[f"variants.{recipe}.fallback"] = (
                "LiteRT does not tell it of models with operators of their own"
            )
        if without_reference:
            reasons[f"variants.{recipe}.speedup_vs_float32"] = (
                "float32 was not measured beside it"
            )
    return reasons
