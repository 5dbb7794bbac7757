"""The child that scores pictures, and its threads.

Each core has a thread of its own that decodes a picture and runs it through its own
single-threaded interpreter: decoding, resizing and inference all leave Python's lock,
no thread waits for another, and a slow picture holds up nobody. A picture's answer
does not depend on how many threads there are. Memory does not grow with the pictures.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.checkpoint import ScoreCheckpoint
from edgedeploy.evaluate.preparing import find_preparation
from edgedeploy.evaluate.scoring import Scorer
from edgedeploy.images.decoded import DecodedPictures, KeptPictures
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.pictures import PictureError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PROGRESS_EVERY_S = 0.1


def run_pass(
    *,
    progress: Progress,
    model: str,
    pictures: Sequence[str],
    pipeline: Mapping[str, Any],
    out: str,
    identity: str,
    decoded: Sequence[str] | None,
    threads: int,
    runtime: str,
    operators: Sequence[str],
    neighbours: Mapping[str, Any] | None,
    preparation: str,
) -> dict[str, Any]:
    """Be the child of `engine.score_pictures`; arguments are its own as JSON values."""
    contract = ImagePipeline.from_dict(pipeline)

    def load() -> Scorer:
        return Scorer(
            Path(model),
            pipeline=contract,
            runtime=runtime,
            operators=[Path(library) for library in operators],
            neighbours=neighbours,
        )

    first = load()
    checkpoint = ScoreCheckpoint(Path(out), identity, (len(pictures), first.classes))
    missing = checkpoint.missing
    if checkpoint.facts is None:
        store = None
        if decoded:
            shape = (len(pictures), contract.height, contract.width, 3)
            store = DecodedPictures(Path(decoded[0]), decoded[1], shape)
        scorers = [first]
        if missing:
            scorers += [load() for _ in range(min(threads, len(missing)) - 1)]
        source = _Source(pictures, contract, preparation, store, whole=len(missing))
        work = _Work(source=source, checkpoint=checkpoint, todo=iter(missing))
        seconds = _run(scorers, work, progress)
        checkpoint.finish(
            {
                "images_per_s": len(missing) / max(seconds, 1e-9),
                "delegate": first.delegate,
                "resumed": len(pictures) - len(missing),
            }
        )
    facts = checkpoint.facts or {}
    checkpoint.publish()
    progress(len(pictures), len(pictures))
    skipped = sorted(checkpoint.skipped.items())
    return {"skipped": {str(row): reason for row, reason in skipped}, **facts}


class _Source:
    """Pictures of the contract's size: from the decoded ones, or decoded now."""

    def __init__(
        self,
        pictures: Sequence[str],
        pipeline: ImagePipeline,
        preparation: str,
        store: DecodedPictures | None,
        *,
        whole: int,
    ) -> None:
        self.pictures = pictures
        self._pipeline = pipeline
        self._prepare = find_preparation(preparation)
        self._kept: KeptPictures | None = store.open() if store else None
        self._store = None
        # What a killed pass decoded is gone with it, so a set would have gaps.
        if store and self._kept is None and whole == len(pictures) and store.create():
            self._store = store

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Give a picture, uint8 RGB.

        Raises:
            PictureError: If it cannot be decoded.
        """
        if self._kept is None:
            found = self._prepare(self.pictures[index], self._pipeline)
            if self._store:
                self._store.write(index, found)
            return found
        if index in self._kept.broken:
            raise PictureError(self._kept.broken[index])
        return self._kept.picture(index)

    def release(self, index: int) -> None:
        """Say that a picture is no longer needed."""
        if self._kept:
            self._kept.release(index)

    def close(self, broken: Mapping[int, str] | None) -> None:
        """Keep what was decoded, or with None throw it away."""
        if self._store and broken is not None:
            self._store.commit(broken)
        elif self._store:
            self._store.discard()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What the threads share.

    Attributes:
        source: Gives the pictures.
        checkpoint: Takes the scores.
        todo: Rows to fill. Whoever is free takes the next one; a list's iterator is
            safe under Python's lock.
        stop: Set when somebody failed.
        failures: Rows whose answer is an error, and the error.
    """

    source: _Source
    checkpoint: ScoreCheckpoint
    todo: Iterator[int]
    stop: threading.Event = field(default_factory=threading.Event)
    failures: list[tuple[int, EvaluationError]] = field(default_factory=list)


def _run(scorers: Sequence[Scorer], work: _Work, progress: Progress) -> float:
    """Fill the missing rows, a thread a scorer.

    Returns:
        Seconds from the first picture to the last.
    """
    checkpoint, total = work.checkpoint, len(work.source.pictures)
    started = time.perf_counter()
    whole = False
    with ThreadPoolExecutor(len(scorers)) as pool:
        jobs = [pool.submit(_serve, scorer, work) for scorer in scorers]
        try:
            _watch(jobs, lambda: progress(checkpoint.count, total))
            seconds = time.perf_counter() - started
            whole = not work.failures
        finally:
            work.stop.set()
            wait(jobs)
            work.source.close(checkpoint.skipped if whole else None)
    if work.failures:
        # Every row before it was tried too, so it is the same each time.
        raise min(work.failures, key=lambda failure: failure[0])[1]
    return seconds


def _watch(jobs: Sequence[Future[None]], report: Callable[[], None]) -> None:
    """Report now and then until all are done, or one has failed."""
    waiting = set(jobs)
    while waiting:
        done, waiting = wait(waiting, _PROGRESS_EVERY_S, return_when=FIRST_EXCEPTION)
        for job in done:
            job.result()
        report()


def _serve(scorer: Scorer, work: _Work) -> None:
    """Be one thread: picture after picture until none is left."""
    source, checkpoint = work.source, work.checkpoint
    while not work.stop.is_set():
        row = next(work.todo, None)
        if row is None:
            return
        try:
            rgb = source.picture(row)
            checkpoint.write(row, scorer.score(rgb, source.pictures[row]))
            source.release(row)
        except PictureError as error:
            checkpoint.skip(row, str(error))
        except EvaluationError as error:
            work.failures.append((row, error))
            work.stop.set()
