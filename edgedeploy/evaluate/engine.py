"""Scores of one variant over many pictures, in a child process.

Decoding runs in threads ahead of inference and a bounded window of pictures is in
flight, so memory does not grow with the number of pictures.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import EvaluationError
from edgedeploy.images.decoded import DecodedPictures
from edgedeploy.isolate import Progress, run_isolated, silent
from edgedeploy.ondevice.contract import ContractError, ImagePipeline
from edgedeploy.ondevice.neighbours import NeighbourTable, read_array
from edgedeploy.ondevice.pictures import PictureError, prepare
from edgedeploy.ondevice.runtime import Model
from edgedeploy.workspace import atomic_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Pictures decoded ahead per thread: enough to ride out a large one.
_AHEAD = 4
_PROGRESS_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one pass over the pictures gave.

    Attributes:
        scores: Real scores, shape (images, classes), float32; NaN rows for skipped.
        skipped: Index of each undecodable picture and why.
        images_per_s: Pictures per second, decoding included where it was needed.
        delegate: "XNNPACK" or "none".
    """

    scores: NDArray[np.float32]
    skipped: dict[int, str]
    images_per_s: float
    delegate: str


def score_pictures(
    model: Path,
    pictures: Sequence[Path],
    *,
    pipeline: ImagePipeline,
    out: Path,
    decoded: tuple[Path, str] | None,
    threads: int,
    runtime: str,
    what: str,
    operators: Sequence[Path] = (),
    neighbours: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Pass:
    """Run every picture through a model.

    Args:
        model: A .tflite classifier.
        pictures: Picture files.
        pipeline: The contract.
        out: Where the scores go, a .npy file.
        decoded: Folder and key of the decoded pictures, or None to keep none.
        threads: Threads for decoding, and for the interpreter.
        runtime: A runtime's name.
        what: Subject of an error message, such as "evaluating int8".
        operators: Shared libraries of the operators that the model needs.
        neighbours: Where the network gives embeddings: {"vectors", "classes",
            "metric", "k", "labels"}, the first two .npy files.
        progress: Told how many pictures are done.

    Raises:
        EvaluationError: If there are no pictures, the model does not fit them, or it
            answers what is not a number.
        IsolatedError: If the runtime crashed.
    """
    if not pictures:
        raise EvaluationError(f"{what}: there are no pictures")
    with atomic_file(out) as temporary:
        result = run_isolated(
            "edgedeploy.evaluate.engine:run_pass",
            {
                "model": str(model),
                "pictures": [str(path) for path in pictures],
                "pipeline": pipeline.to_dict(),
                "out": str(temporary),
                "decoded": [str(decoded[0]), decoded[1]] if decoded else None,
                "threads": threads,
                "runtime": runtime,
                "operators": [str(library) for library in operators],
                "neighbours": dict(neighbours) if neighbours else None,
            },
            what=what,
            progress=progress,
        )
    return Pass(
        scores=np.load(out, mmap_mode="r"),
        skipped={int(key): reason for key, reason in result["skipped"].items()},
        images_per_s=result["images_per_s"],
        delegate=result["delegate"],
    )


def run_pass(
    *,
    progress: Progress,
    model: str,
    pictures: Sequence[str],
    pipeline: Mapping[str, Any],
    out: str,
    decoded: Sequence[str] | None,
    threads: int,
    runtime: str,
    operators: Sequence[str],
    neighbours: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Be the child of `score_pictures`; arguments are its own as JSON values."""
    contract = ImagePipeline.from_dict(pipeline)
    try:
        network = Model(
            model,
            threads=threads,
            runtime=runtime,
            operators=[Path(library) for library in operators],
        )
    except ContractError as error:
        raise EvaluationError(str(error)) from error
    expected = (contract.height, contract.width, 3)
    if network.input.shape[1:] != expected:
        raise EvaluationError(
            f"{model}: takes {network.input.shape}, but the contract gives "
            f"{(1, *expected)}; mend width and height in the pipeline"
        )
    table = _table(neighbours) if neighbours else None
    outputs = int(np.prod(network.output.shape[1:]))
    classes = int(neighbours["labels"]) if neighbours else outputs
    store = None
    if decoded:
        shape = (len(pictures), *expected)
        store = DecodedPictures(Path(decoded[0]), decoded[1], shape)
    skipped: dict[int, str] = {}
    nothing = np.full(classes, np.nan, np.float32).tobytes()
    started = last = time.perf_counter()
    # Row by row, as the scores of 50,000 pictures need not fit in memory; and written,
    # not mapped, since a full disk kills whoever writes to a mapping.
    with Path(out).open("wb") as file:
        _write_header(file, (len(pictures), classes))
        for done, (index, picture) in enumerate(
            _prepared(pictures, contract, store, threads), start=1
        ):
            if isinstance(picture, str):
                skipped[index] = picture
                file.write(nothing)
            else:
                scores = network.scores(picture[None], contract)
                _check_numbers(scores[0], model, pictures[index])
                scores = table.scores(scores)[0] if table else scores[0]
                file.write(scores.astype("<f4").tobytes())
            now = time.perf_counter()
            if now - last > _PROGRESS_EVERY_S:
                last = now
                progress(done, len(pictures))
    elapsed = time.perf_counter() - started
    progress(len(pictures), len(pictures))
    return {
        "skipped": {str(index): reason for index, reason in skipped.items()},
        "images_per_s": len(pictures) / max(elapsed, 1e-9),
        "delegate": network.delegate,
    }


def _table(neighbours: Mapping[str, Any]) -> NeighbourTable:
    return NeighbourTable(
        read_array(Path(neighbours["vectors"])),
        read_array(Path(neighbours["classes"])),
        metric=neighbours["metric"],
        k=neighbours["k"],
        labels=neighbours["labels"],
    )


def _write_header(file: IO[bytes], shape: tuple[int, int]) -> None:
    """Begin a .npy file of float32 rows."""
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )


def _check_numbers(scores: NDArray[np.float32], model: str, picture: str) -> None:
    """Refuse NaN and infinity, which would pass as an answer."""
    if not np.isfinite(scores).all():
        raise EvaluationError(
            f"{model}: the answer to {picture} is not a number; the arithmetic "
            "overflows, so leave this recipe out"
        )


def _prepared(
    pictures: Sequence[str],
    pipeline: ImagePipeline,
    store: DecodedPictures | None,
    threads: int,
) -> Iterator[tuple[int, NDArray[np.uint8] | str]]:
    """Give each picture as uint8 RGB, or the reason why not, in order."""
    kept = store.open() if store else None
    if kept:
        mapped, broken = kept
        for index in range(len(pictures)):
            yield index, broken.get(index, mapped[index])
        return
    target = store.create() if store else None
    broken = {}
    try:
        for index, picture in _decoding(pictures, pipeline, threads):
            if isinstance(picture, str):
                broken[index] = picture
            elif target is not None:
                target[index] = picture
            yield index, picture
        if store and target is not None:
            store.commit(broken)
    finally:
        if store:
            store.discard()


def _decoding(
    pictures: Sequence[str], pipeline: ImagePipeline, threads: int
) -> Iterator[tuple[int, NDArray[np.uint8] | str]]:
    """Decode in threads, a bounded number of pictures ahead of the consumer."""

    def decode(path: str) -> NDArray[np.uint8] | str:
        try:
            return prepare(path, pipeline)
        except PictureError as error:
            return str(error)

    pending: deque[Future[NDArray[np.uint8] | str]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for index in range(len(pictures) + threads * _AHEAD):
            if index < len(pictures):
                pending.append(pool.submit(decode, pictures[index]))
            ready = index - threads * _AHEAD
            if 0 <= ready < len(pictures):
                yield ready, pending.popleft().result()
