"""Fine-tune a written variant, and keep what came of it only if it is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import InputError
from edgedeploy.ondevice.contract import ImagePipeline, normalise
from edgedeploy.ondevice.pictures import PictureError, prepare
from edgedeploy.quantize.finetune.train import Schedule, settle_tensorflow, train
from edgedeploy.quantize.layers import Layer
from edgedeploy.quantize.search import Closeness, closeness
from edgedeploy.quantize.wave import scores_of
from edgedeploy.quantize.write import SolvedLayer, write_solved
from edgedeploy.workspace import file_digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEPS = 150
# Kept prepared in memory: 150 kB each for a network of 224 pixels.
MAXIMUM = 1024
_MINIMUM = 16
# One in five of the pictures only judges.
_JUDGES = 5
_MOST_JUDGES = 128
# Gradients hold the outputs of every layer, for every picture of a step.
_BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningPictures:
    """Who learns, and who judges.

    Attributes:
        learning: Prepared pictures that are trained on, shape (height, width, 3).
        judging: Prepared pictures that took no part in anything.
        unreadable: How many could not be decoded.
    """

    learning: tuple[NDArray[np.uint8], ...]
    judging: tuple[NDArray[np.uint8], ...]
    unreadable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What came of it.

    Attributes:
        data: The .tflite file to keep: the tuned one, or the one there was.
        kept: Whether that is the tuned one.
        before: The solved file on the pictures that judge.
        after: The tuned file on them.
        learning: Pictures that were trained on.
        judging: Views and pictures that judged.
        unreadable: Pictures that could not be decoded.
    """

    data: bytes
    kept: bool
    before: Closeness
    after: Closeness
    learning: int
    judging: int
    unreadable: int

    def to_dict(self) -> dict[str, Any]:
        """Give the facts as JSON values."""
        return {
            "kept": self.kept,
            "steps": STEPS,
            "images": self.learning,
            "judged_on": self.judging,
            "unreadable": self.unreadable,
            "mean_kl": [round(x.mean_kl, 6) for x in (self.before, self.after)],
            "agreement": [round(x.agreement, 6) for x in (self.before, self.after)],
        }


def read_pictures(
    paths: Sequence[str],
    pipeline: ImagePipeline,
    *,
    solving: Sequence[str],
    choosing: Sequence[str],
) -> TuningPictures:
    """Prepare pictures and divide them by content into those that learn and judge.

    Args:
        paths: Files to fine-tune with.
        pipeline: The contract.
        solving: Calibration files that solved the layers; they may learn, not judge.
        choosing: Calibration files that chose; they judge anyway, so never learn.

    Raises:
        InputError: If fewer than 16 can learn.
    """
    solved = {file_digest(Path(path)) for path in solving}
    chose = {file_digest(Path(path)) for path in choosing}
    by_digest = {file_digest(Path(path)): path for path in paths}
    wanted = sorted(set(by_digest) - chose)[:MAXIMUM]
    fresh = [digest for digest in wanted if digest not in solved]
    judges = set(fresh[: min(len(fresh) // _JUDGES, _MOST_JUDGES)])
    learning: list[NDArray[np.uint8]] = []
    judging: list[NDArray[np.uint8]] = []
    unreadable = 0
    for digest in wanted:
        try:
            picture = prepare(by_digest[digest], pipeline)
        except PictureError:
            unreadable += 1
            continue
        (judging if digest in judges else learning).append(picture)
    if len(learning) < _MINIMUM:
        raise InputError(
            f"--finetune needs at least {_MINIMUM} pictures to learn from; {len(paths)}"
            f" were given, {len(set(by_digest) & chose)} of them judge, {unreadable} "
            f"cannot be read, and {len(learning)} are left. Add pictures"
        )
    return TuningPictures(
        learning=tuple(learning), judging=tuple(judging), unreadable=unreadable
    )


def tune(
    model: Any,
    layers: Sequence[Layer],
    solved: Sequence[SolvedLayer],
    widths: Mapping[int, float],
    pictures: TuningPictures,
    pipeline: ImagePipeline,
    *,
    original: bytes,
    solution: bytes,
    choosing: Sequence[NDArray[np.float32]],
    threads: int,
    tick: Callable[[], None],
) -> Tuned:
    """Fine-tune solved layers by distillation; for a child process.

    Args:
        model: The float32 `ModelT`.
        layers: Its layers.
        solved: The same, solved.
        widths: Bits of their grids, by operator number.
        pictures: Who learns, and who judges beside those that choose.
        pipeline: The contract.
        original: The float32 .tflite file's bytes.
        solution: The solved one's.
        choosing: Normalised views of the pictures that choose.
        threads: Threads to use.
        tick: Called after each of `STEPS` steps.

    Raises:
        QuantizationError: If the network cannot be trained.
    """
    judges = [*choosing, *(normalise(one, pipeline) for one in pictures.judging)]
    reference = scores_of(original, judges, threads)
    settle_tensorflow(threads)
    trained = train(
        model,
        layers,
        solved,
        widths,
        pictures.learning,
        pipeline,
        checked=(judges[0], reference[0]),
        schedule=Schedule(steps=STEPS, batch=_BATCH),
        tick=tick,
    )
    data = write_solved(model, trained)
    before = closeness(reference, scores_of(solution, judges, threads))
    after = closeness(reference, scores_of(data, judges, threads))
    kept = after.mean_kl < before.mean_kl
    return Tuned(
        data=data if kept else solution,
        kept=kept,
        before=before,
        after=after,
        learning=len(pictures.learning),
        judging=len(judges),
        unreadable=pictures.unreadable,
    )
