"""A delivered model behind its contract: pictures in, names out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image

from .batches import check_batch, prepare_in_batches
from .bundle import hash_file, read_bundle
from .contract import ContractError
from .delivered import BundleError, UnknownSize
from .libraries import find_libraries
from .neighbours import read_table
from .pictures import PictureError, fit, prepare
from .runtime import Model, top_k

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from .delivered import Bundle
    from .neighbours import NeighbourTable

    # A path, the bytes of a picture file, an array, or a decoded picture.
    Picture = str | Path | bytes | NDArray[np.uint8] | Image.Image

P = TypeVar("P")


@dataclass(frozen=True, kw_only=True)
class Guess:
    """One answer: a class with its score.

    Attributes:
        index: Class index.
        label: Class name.
        score: The network's output, a probability for a network that ends in softmax.
    """

    index: int
    label: str
    score: float


class Classifier:
    """A bundle's model behind its contract.

    Args:
        folder: The unpacked bundle.
        variant: Which of its recipes to run, or None for its default.
        threads: Threads of the interpreter, at least 1.
        runtime: A name of `installed.RUNTIMES`, or "auto".
        batch: Pictures that `predict` and `stream` put through the network at once,
            1 to `batches.MAX_BATCH`; None for what was measured as best for the
            variant where the bundle was made (1 where nothing was measured).

    Attributes:
        bundle: The bundle.
        variant: The model that runs.
        model: The interpreter.
        batch: Pictures at once.
        pipeline: How a picture becomes a tensor; the bundle's until `resize`.

    Raises:
        ContractError: If the bundle or its model is damaged.
    """

    def __init__(
        self,
        folder: Path | str,
        variant: str | None = None,
        *,
        threads: int = 1,
        runtime: str = "auto",
        batch: int | None = None,
    ) -> None:
        self.bundle = read_bundle(Path(folder))
        self.pipeline = self.bundle.pipeline
        self.variant = self.bundle.variant(variant)
        self.batch = check_batch(self.variant.batch if batch is None else batch)
        # Native code reads the file without checking it; a damaged one could crash.
        if hash_file(self.variant.path) != self.variant.sha256:
            raise BundleError(
                f"{self.variant.path}: not the model that the contract names; "
                "install the bundle again"
            )
        self.model = Model(
            self.variant.path,
            threads=threads,
            runtime=runtime,
            operators=find_libraries(self.bundle),
        )
        outputs = self.model.output.shape[-1]
        if outputs != self.bundle.outputs:
            what = "dimensions" if self.bundle.neighbours else "labels"
            raise BundleError(
                f"{self.variant.path}: {outputs} outputs but {self.bundle.outputs} "
                f"{what}"
            )
        self._table = open_table(self.bundle)

    def resize(self, width: int, height: int) -> None:
        """Take pictures of another size from now on, without loading anything again.

        Args:
            width: In pixels.
            height: In pixels; both together one of the bundle's shapes.

        Raises:
            UnknownSize: If the bundle's models do not take that size.
        """
        shapes, own = self.bundle.shapes, self.bundle.pipeline
        allowed = (
            shapes.allows(width, height)
            if shapes
            else (width, height) == (own.width, own.height)
        )
        if not allowed:
            names = shapes.describe() if shapes else f"{own.width}x{own.height}"
            raise UnknownSize(
                f"{self.bundle.model} takes pictures of {names}; "
                f"received {width}x{height}"
            )
        self.pipeline = replace(self.bundle.pipeline, width=width, height=height)

    def predict(
        self, pictures: Iterable[Picture], top: int = 5
    ) -> list[tuple[Guess, ...]]:
        """Classify pictures; the next are decoded while the network runs.

        Answers do not depend on the batch: a quantised network gives the same bits.

        Args:
            pictures: A list or a stream of paths, the bytes of picture files, arrays
                of shape (height, width, 3), uint8, RGB, or Pillow images of mode RGB,
                each of any size.
            top: Guesses wanted, at least 1; fewer come where there are fewer classes.

        Returns:
            For each picture its guesses, best first.

        Raises:
            PictureError: If a picture cannot be decoded; `stream` goes on after one.
        """
        answers = []
        for _, answer in self.stream(pictures, top):
            if isinstance(answer, PictureError):
                raise answer
            answers.append(answer)
        return answers

    def stream(
        self, pictures: Iterable[P], top: int = 5
    ) -> Iterator[tuple[P, tuple[Guess, ...] | PictureError]]:
        """Classify pictures in batches, in order; a bad one does not end it.

        Pictures are decoded one batch ahead in a second thread, so memory does not
        grow with their number, and the next batch is taken from `pictures` before an
        answer is given. Where answers are wanted at once, the batch must be 1.

        Args:
            pictures: As `predict` takes them.
            top: Guesses wanted, at least 1.

        Yields:
            Each picture with its guesses, best first, or with what is wrong with it;
            the others of its batch are not touched by that.
        """
        _check_top(top)
        for batch in prepare_in_batches(pictures, self._prepare_safely, self.batch):
            yield from self._answer_batch(batch, top)

    def classify(self, picture: Picture, top: int = 5) -> tuple[Guess, ...]:
        """Classify one picture, as `predict` does."""
        _check_top(top)
        return self._guess(self._prepare(picture)[None], top)[0]

    def _prepare(self, picture: Any) -> NDArray[np.uint8]:
        pipeline = self.pipeline
        if isinstance(picture, np.ndarray):
            return fit(_image(picture), pipeline)
        if isinstance(picture, Image.Image):
            return fit(picture, pipeline)
        return prepare(picture, pipeline)

    def _prepare_safely(self, picture: Any) -> NDArray[np.uint8] | PictureError:
        try:
            return self._prepare(picture)
        except PictureError as error:
            return error

    def _answer_batch(
        self, batch: list[tuple[P, NDArray[np.uint8] | PictureError]], top: int
    ) -> Iterator[tuple[P, tuple[Guess, ...] | PictureError]]:
        readable = [rgb for _, rgb in batch if not isinstance(rgb, PictureError)]
        answers = iter(self._guess(np.stack(readable), top) if readable else ())
        for picture, prepared in batch:
            if isinstance(prepared, PictureError):
                yield picture, prepared
            else:
                yield picture, next(answers)

    def _guess(self, rgb: NDArray[np.uint8], top: int) -> list[tuple[Guess, ...]]:
        """Classify prepared pictures, shape (batch, height, width, 3), uint8, RGB."""
        return [
            tuple(
                Guess(index=i, label=self.bundle.labels[i], score=float(scores[i]))
                for i in top_k(scores, top)
            )
            for scores in self._scores(rgb)
        ]

    def _scores(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        outputs = self.model.scores(rgb, self.pipeline)
        return self._table.scores(outputs) if self._table else outputs


def open_table(bundle: Bundle) -> NeighbourTable | None:
    """Read the table of a bundle's neighbours; None where it has none.

    Raises:
        NeighbourError: If it is damaged.
    """
    found = bundle.neighbours
    if found is None:
        return None
    return read_table(
        found.vectors,
        found.classes,
        metric=found.metric,
        k=found.k,
        labels=len(bundle.labels),
    )


def _check_top(top: int) -> None:
    if top < 1:
        raise ContractError(f"top must be at least 1; received {top}")


def _image(values: NDArray[np.uint8]) -> Image.Image:
    if values.dtype != np.uint8 or values.ndim != 3 or values.shape[2] != 3:
        raise PictureError(
            f"an array must be uint8 of shape (height, width, 3); received "
            f"{values.dtype} of shape {values.shape}"
        )
    if 0 in values.shape:
        raise PictureError(f"an array of shape {values.shape} has no pixels")
    return Image.fromarray(np.ascontiguousarray(values))
