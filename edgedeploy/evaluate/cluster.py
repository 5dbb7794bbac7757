"""Scores of several variants, made by the workers of a dask.distributed cluster.

Pictures are cut into blocks; a block is decoded once by some worker and scored with
each variant, all as tasks of the scheduler, which moves them when a worker dies. The
scores go into the same checkpoints that a pass on one machine leaves: what is there is
not done again, and who publishes them need not know where they come from.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.checkpoint import ScoreCheckpoint
from edgedeploy.evaluate.engine import pass_identity
from edgedeploy.evaluate.preparing import CONTRACT
from edgedeploy.evaluate.roster import Roster
from edgedeploy.evaluate.scheduler import connected, lost
from edgedeploy.evaluate.tasks import (
    Network,
    OtherNodeError,
    decode_block,
    describe_network,
    score_block,
)
from edgedeploy.isolate import Progress, silent

BLOCK = 32
# Blocks handed out per thread of the cluster: one at work, one waiting.
_AHEAD = 2
_LOOK_EVERY_S = 2.0
# A worker that was killed may come back; none for so long is an error.
_ALONE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterVariant:
    """A model whose scores are wanted.

    Attributes:
        name: For messages, such as "int8".
        network: The model, as workers find it.
        out: The .npy file that its scores shall become.
        identity: As in `engine.score_pictures`.
    """

    name: str
    network: Network
    out: Path
    identity: str


@dataclass(slots=True)
class _Job:
    """A variant on its way."""

    variant: ClusterVariant
    checkpoint: ScoreCheckpoint
    facts: Mapping[str, Any]
    resumed: int


@dataclass(slots=True)
class _Flight:
    """A block that is being worked on: its decoding, and a future for each variant."""

    block: int
    decoded: Any
    scores: dict[Any, _Job] = field(default_factory=dict)


def score_on_cluster(
    address: str,
    variants: Sequence[ClusterVariant],
    pictures: Sequence[tuple[str, str]],
    *,
    preparation: str = CONTRACT,
    warn: Callable[[str], None],
    progress: Progress = silent,
) -> dict[str, str]:
    """Fill the checkpoints of several variants.

    Args:
        address: The scheduler's, as `parse_engine` gives it.
        variants: Models of one contract and runtime.
        pictures: Path and SHA-256 of each, the same for all.
        preparation: A name of `preparing.PREPARATIONS`.
        warn: Told of each worker that is refused, in one line.
        progress: Told how many rows of all variants are there.

    Returns:
        What the workers are, as `describe_node` says; `engine.score_pictures` wants
        it to publish the scores.

    Raises:
        InputError: If dask.distributed is not installed.
        EvaluationError: If there is no scheduler, no worker that may be used, or a
            variant cannot be scored. What is scored by then is kept.
    """
    with connected(address) as client:
        roster = Roster(client, variants[0].network.runtime, warn)
        run = _Run(client, roster, variants, pictures, preparation, progress)
        try:
            run.work()
        finally:
            run.close()
        return roster.node


class _Run:
    """One call of `score_on_cluster`."""

    def __init__(
        self,
        client: Any,
        roster: Roster,
        variants: Sequence[ClusterVariant],
        pictures: Sequence[tuple[str, str]],
        preparation: str,
        progress: Progress,
    ) -> None:
        self._client, self._roster, self._progress = client, roster, progress
        self._pictures, self._preparation = pictures, preparation
        self._pipeline = variants[0].network.pipeline
        self._flights: list[_Flight] = []
        self._looked = self._served = time.monotonic()
        self._jobs: list[_Job] = []
        for variant in variants:
            self._jobs.append(self._open(variant))

    def work(self) -> None:
        """Hand out blocks until every row is there."""
        started = time.perf_counter()
        blocks = -(-len(self._pictures) // BLOCK)
        todo = iter([block for block in range(blocks) if self._wanted(block)])
        while self._send(todo):
            finished = self._wait()
            for future in finished:
                self._take(future)
            self._check(idle=not finished)
            self._report()
        seconds = time.perf_counter() - started
        for job in self._jobs:
            self._finish(job, seconds)

    def close(self) -> None:
        """Let go of the files, and of tasks that nobody waits for any more."""
        for job in self._jobs:
            job.checkpoint.close()
        for flight in self._flights:
            with contextlib.suppress(Exception):
                self._client.cancel([flight.decoded, *flight.scores])

    def _open(self, variant: ClusterVariant) -> _Job:
        asked = self._submit(describe_network, variant.network)
        facts = self._result(asked, f"loading {variant.name}")
        shape = (len(self._pictures), int(facts["classes"]))
        identity = pass_identity(variant.identity, self._roster.node)
        checkpoint = ScoreCheckpoint(variant.out, identity, shape)
        return _Job(variant, checkpoint, facts, checkpoint.count)

    def _wanted(self, block: int) -> list[tuple[_Job, list[int]]]:
        """Give the rows of a block that each variant still lacks."""
        rows = range(block * BLOCK, min((block + 1) * BLOCK, len(self._pictures)))
        missing = [(job, job.checkpoint.missing_of(rows)) for job in self._jobs]
        return [(job, own) for job, own in missing if own]

    def _send(self, todo: Iterator[int]) -> bool:
        """Keep every worker busy; False when nothing is left to wait for."""
        while len(self._flights) < self._roster.threads * _AHEAD:
            block = next(todo, None)
            if block is None:
                break
            self._launch(block)
        return bool(self._flights)

    def _launch(self, block: int) -> None:
        wanted = self._wanted(block)
        if not wanted:
            return
        rows = sorted({row for _, own in wanted for row in own})
        named = [(row, *self._pictures[row]) for row in rows]
        decoded = self._submit(
            decode_block,
            named,
            self._pipeline,
            self._preparation,
            self._roster.expected,
        )
        flight = _Flight(block, decoded)
        for job, own in wanted:
            network, expected = job.variant.network, self._roster.expected
            future = self._submit(score_block, network, decoded, own, expected)
            flight.scores[future] = job
        self._flights.append(flight)

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        # Not pure: two blocks of equal pictures are two tasks, each with its own life.
        return self._client.submit(
            function,
            *arguments,
            pure=False,
            workers=self._roster.restriction,
            allow_other_workers=False,
        )

    def _wait(self) -> list[Any]:
        from distributed import wait

        futures = [future for flight in self._flights for future in flight.scores]
        try:
            done = wait(futures, timeout=_LOOK_EVERY_S, return_when="FIRST_COMPLETED")
        except TimeoutError:
            return []
        except CancelledError as error:
            raise EvaluationError(lost("evaluating")) from error
        return list(done.done)

    def _take(self, future: Any) -> None:
        """Keep what a task gave; hand its block out again if the worker was wrong."""
        flight = next((one for one in self._flights if future in one.scores), None)
        if flight is None:
            return
        job = flight.scores.pop(future)
        try:
            rows = self._result(future, f"evaluating {job.variant.name}")
        except OtherNodeError:
            self._roster.look()
            self._again(flight)
            return
        for row, scores in rows.items():
            if isinstance(scores, str):
                job.checkpoint.skip(row, scores)
            else:
                job.checkpoint.write_bytes(row, scores)
        if not flight.scores:
            self._flights.remove(flight)

    def _again(self, flight: _Flight) -> None:
        self._client.cancel([flight.decoded, *flight.scores])
        self._flights.remove(flight)
        self._launch(flight.block)

    def _result(self, future: Any, what: str) -> Any:
        """Wait for a task, and say in one line why it failed."""
        from distributed import KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            raise EvaluationError(
                f"{what}: it took several workers down with it (the native code "
                "crashed, or their memory ran out); evaluate it on this machine to "
                "see which"
            ) from error
        except CancelledError as error:
            raise EvaluationError(lost(what)) from error
        except OSError as error:
            raise EvaluationError(
                f"{what}: the cluster does not answer ({error})"
            ) from (error)

    def _check(self, *, idle: bool) -> None:
        """Look at the cluster now and then."""
        if self._client.status != "running":
            raise EvaluationError(lost("evaluating"))
        now = time.monotonic()
        if self._roster.threads or not idle:
            self._served = now
        if now - self._looked < _LOOK_EVERY_S:
            return
        self._looked = now
        if self._roster.look() and self._roster.restriction is not None:
            # Their tasks may be tied to workers that are gone.
            for flight in list(self._flights):
                self._again(flight)
        if now - self._served > _ALONE_S:
            raise EvaluationError(
                "evaluating: no worker that may be used is left; start one, and run "
                "the same command again: what is scored is kept"
            )

    def _report(self) -> None:
        done = sum(job.checkpoint.count for job in self._jobs)
        self._progress(done, len(self._pictures) * len(self._jobs))

    def _finish(self, job: _Job, seconds: float) -> None:
        if job.checkpoint.facts is not None:
            return
        made = len(self._pictures) - job.resumed
        job.checkpoint.finish(
            {
                "images_per_s": made / max(seconds, 1e-9),
                "delegate": job.facts["delegate"],
                "fallback": job.facts["fallback"],
                "resumed": job.resumed,
            }
        )
