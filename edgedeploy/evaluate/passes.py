"""The child that scores pictures, and its workers.

Each core has a worker of its own that decodes a picture and runs it through its own
single-threaded interpreter: none waits for another, and a slow picture holds up
nobody. A picture's answer does not depend on how many workers there are. Memory does
not grow with the pictures.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.evaluate.checkpoint import ScoreCheckpoint
from edgedeploy.evaluate.preparing import find_preparation
from edgedeploy.evaluate.scoring import Scorer
from edgedeploy.evaluate.workers import spread
from edgedeploy.images.decoded import DecodedPictures, KeptPictures
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.pictures import PictureError

if TYPE_CHECKING:
    from numpy.typing import NDArray


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

    # Loaded once: the workers are forks, and share its memory.
    scorer = Scorer(
        Path(model),
        pipeline=contract,
        runtime=runtime,
        operators=[Path(library) for library in operators],
        neighbours=neighbours,
    )
    checkpoint = ScoreCheckpoint(Path(out), identity, (len(pictures), scorer.classes))
    missing = checkpoint.missing
    if checkpoint.facts is None:
        store = None
        if decoded:
            shape = (len(pictures), contract.height, contract.width, 3)
            store = DecodedPictures(Path(decoded[0]), decoded[1], shape)
        source = _Source(pictures, contract, preparation, store, whole=len(missing))
        started = time.perf_counter()
        _fill(scorer, source, checkpoint, missing, threads, progress)
        seconds = time.perf_counter() - started
        checkpoint.finish(
            {
                "images_per_s": len(missing) / max(seconds, 1e-9),
                "delegate": scorer.delegate,
                "fallback": scorer.fallback,
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

    def release(self) -> None:
        """Say that a picture is no longer needed."""
        if self._kept:
            self._kept.release()

    def flush(self) -> None:
        """Bring what was decoded to the disk, without waiting for it."""
        if self._store:
            self._store.flush()

    def close(self, broken: Mapping[int, str] | None) -> None:
        """Keep what was decoded, or with None throw it away."""
        if self._store and broken is not None:
            self._store.commit(broken)
        elif self._store:
            self._store.discard()


def _fill(
    scorer: Scorer,
    source: _Source,
    checkpoint: ScoreCheckpoint,
    rows: Sequence[int],
    processes: int,
    progress: Progress,
) -> None:
    """Score the missing rows, in as many processes as are useful."""

    def score(row: int) -> None:
        try:
            rgb = source.picture(row)
        except PictureError as error:
            checkpoint.skip(row, str(error))
            return
        checkpoint.write(row, scorer.score(rgb, source.pictures[row]))
        source.release()

    def watch() -> None:
        checkpoint.refresh()
        source.flush()
        progress(checkpoint.count, len(source.pictures))

    whole = False
    try:
        spread(rows, score, processes=min(processes, max(1, len(rows))), watch=watch)
        whole = True
    finally:
        source.close(checkpoint.skipped if whole else None)
