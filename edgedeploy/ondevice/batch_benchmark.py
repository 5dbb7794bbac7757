"""How many pictures to put through a network at once, measured against the loop.

Every batch size has a process of its own, and rounds are interleaved in shuffled order,
as in `latency`. Batch 1 is the loop over single pictures.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .conditions import ConditionLog, explain_missing
from .contract import ContractError
from .host import describe_host
from .intervals import paired_ratio, percentiles
from .latency import MAX_ROUNDS
from .trial import Trial, TrialError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from .latency import Progress

BATCHES = (1, 2, 4, 8, 16)
# A larger batch takes memory, and answers come later: it has to earn that.
WORTHWHILE = 1.02
# Float sums may be taken in another order; whoever relies on single answers must not
# see more than this.
FLOAT_TOLERANCE = 1e-6


@dataclass
class _Size:
    """A batch size under test and what is known of it so far."""

    trial: Trial
    facts: dict[str, Any]
    samples_ms: list[float] = field(default_factory=list)


def measure_batches(
    model: Path,
    *,
    batches: Sequence[int] = BATCHES,
    threads: int = 1,
    tolerance: float = FLOAT_TOLERANCE,
    min_rounds: int = 7,
    seconds_budget: float = 60.0,
    runtime: str = "auto",
    operators: Sequence[Path] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a model with batches of several sizes.

    Args:
        model: A .tflite file.
        batches: Sizes, each at least 1, ascending, the first of them 1.
        threads: Threads of the interpreter.
        tolerance: Largest difference between an answer in a batch and the same
            picture's answer alone, in the output's real unit; 0.0 for bit for bit.
        min_rounds: Rounds that are run in any case, at least 1.
        seconds_budget: Time for the rounds, in seconds.
        runtime: A name of `installed.RUNTIMES`, or "auto".
        operators: Shared libraries of the operators that the model needs.
        seed: Of the order within the rounds and of the bootstrap.
        progress: Called after each round with the rounds done and None.

    Returns:
        {"host": {…}, "threads", "batches": {"1": {"p50_ms", "p90_ms", "p99_ms",
        "runs", "speedup_vs_loop": {"ratio", "ci95"}, "peak_rss_bytes", "difference"},
        …}, "best_batch", "reason", "conditions", "unmeasured"}. Times are a picture's.
        A size that fails has {"error": reason} instead.

    Raises:
        ContractError: If an argument makes no sense, no runtime works here, or the
            model does not even run picture by picture.
    """
    _check_arguments(batches, min_rounds)
    host = describe_host(runtime)
    log = ConditionLog()
    sizes = {
        n: _Size(trial=Trial(model, runtime, operators), facts={}) for n in batches
    }
    errors: dict[int, str] = {}
    try:
        for batch, size in sizes.items():
            try:
                size.facts["difference"] = size.trial.load(threads, batch)["difference"]
                size.trial.run(threads)
                size.facts["peak_rss_bytes"] = size.trial.peak()
            except TrialError as error:
                errors[batch] = str(error)
        if 1 in errors:
            raise ContractError(errors[1])
        turns = _Turns(
            order=random.Random(seed),  # noqa: S311  (an order, not a secret)
            threads=threads,
            min_rounds=min_rounds,
            seconds_budget=seconds_budget,
        )
        for done in turns.take(sizes, errors):
            log.look()
            if progress:
                progress(done, None)
        conditions = log.finish()
    finally:
        for size in sizes.values():
            size.trial.close()
    if 1 in errors:
        raise ContractError(errors[1])
    rows = {
        batch: {"error": errors[batch]}
        if batch in errors
        else _summarise(size, sizes[1].samples_ms, seed)
        for batch, size in sizes.items()
    }
    best, reason = choose_batch(rows, tolerance)
    return {
        "host": host,
        "threads": threads,
        "batches": {str(batch): row for batch, row in rows.items()},
        "best_batch": best,
        "reason": reason,
        "conditions": conditions,
        "unmeasured": {
            f"batches.{batch}": message for batch, message in sorted(errors.items())
        }
        | explain_missing(conditions),
    }


def choose_batch(
    rows: Mapping[int, Mapping[str, Any]], tolerance: float
) -> tuple[int, str]:
    """Choose the smallest batch that is as good as the fastest.

    Args:
        rows: By size, as `measure_batches` gives them; 1 is among them.
        tolerance: Largest difference of answers allowed.

    Returns:
        The size, and why in a line.
    """
    worth = {
        batch: row["speedup_vs_loop"]["ratio"]
        for batch, row in rows.items()
        if batch > 1
        and "error" not in row
        and row["difference"] <= tolerance
        and row["speedup_vs_loop"]["ci95"][0] > 1.0
        and row["speedup_vs_loop"]["ratio"] >= WORTHWHILE
    }
    if not worth:
        return 1, f"no batch is surely faster than the loop, by {WORTHWHILE - 1:.0%}"
    fastest = max(worth.values())
    best = min(n for n, ratio in worth.items() if ratio * WORTHWHILE >= fastest)
    return best, f"{worth[best]:.2f}x the loop; larger batches add less than 2%"


def _check_arguments(batches: Sequence[int], min_rounds: int) -> None:
    if list(batches) != sorted(set(batches)) or not batches or batches[0] != 1:
        raise ContractError(
            f"batches must begin with 1 and ascend; received {list(batches)}"
        )
    if min_rounds < 1:
        raise ContractError(f"min_rounds must be at least 1; received {min_rounds}")


@dataclass(frozen=True, kw_only=True)
class _Turns:
    """How the rounds go: who is next, and when it is enough."""

    order: random.Random
    threads: int
    min_rounds: int
    seconds_budget: float

    def take(self, sizes: Mapping[int, _Size], errors: dict[int, str]) -> Iterator[int]:
        """Run round after round; give the number of rounds done."""
        deadline = time.monotonic() + self.seconds_budget
        turns = list(sizes)
        for done in range(MAX_ROUNDS):
            if done >= self.min_rounds and time.monotonic() >= deadline:
                return
            self.order.shuffle(turns)
            for batch in turns:
                if batch not in errors:
                    self._time(batch, sizes[batch], errors)
            if 1 in errors:
                return
            yield done + 1

    def _time(self, batch: int, size: _Size, errors: dict[int, str]) -> None:
        try:
            elapsed_ms = size.trial.run(self.threads)
        except TrialError as error:
            errors[batch] = str(error)
        else:
            size.samples_ms.append(elapsed_ms / batch)


def _summarise(size: _Size, loop_ms: Sequence[float], seed: int) -> dict[str, Any]:
    ratio, low, high = paired_ratio(loop_ms, size.samples_ms, seed=seed)
    return {
        **percentiles(size.samples_ms),
        "runs": len(size.samples_ms),
        "speedup_vs_loop": {
            "ratio": round(ratio, 4),
            "ci95": [round(low, 4), round(high, 4)],
        },
        **size.facts,
    }
