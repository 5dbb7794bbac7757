"""A delivered model behind its contract: pictures in, names out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image

from .bundle import BundleError, hash_file, read_bundle
from .contract import ContractError
from .pictures import PictureError, fit, prepare
from .runtime import Model, top_k

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

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
        runtime: A name of `runtime.RUNTIMES`, or "auto".

    Attributes:
        bundle: The bundle.
        variant: The model that runs.
        model: The interpreter.

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
    ) -> None:
        self.bundle = read_bundle(Path(folder))
        self.variant = self.bundle.variant(variant)
        # Native code reads the file without checking it; a damaged one could crash.
        if hash_file(self.variant.path) != self.variant.sha256:
            raise BundleError(
                f"{self.variant.path}: not the model that the contract names; "
                "install the bundle again"
            )
        self.model = Model(self.variant.path, threads=threads, runtime=runtime)
        classes, labels = self.model.output.shape[-1], len(self.bundle.labels)
        if classes != labels:
            raise BundleError(
                f"{self.variant.path}: {classes} outputs but {labels} labels"
            )

    def predict(
        self, pictures: Iterable[Picture], top: int = 5
    ) -> list[tuple[Guess, ...]]:
        """Classify pictures; the next is decoded while the network runs.

        Args:
            pictures: Paths, the bytes of picture files, arrays of shape
                (height, width, 3), uint8, RGB, or Pillow images of mode RGB, each of
                any size.
            top: Guesses wanted, at least 1; fewer come where there are fewer classes.

        Returns:
            For each picture its guesses, best first.

        Raises:
            PictureError: If a picture cannot be decoded.
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
        """Classify pictures one after the other; a bad one does not end it.

        One picture is decoded ahead in a second thread, so memory does not grow with
        their number, and the next is taken from `pictures` before an answer is given.

        Args:
            pictures: As `predict` takes them.
            top: Guesses wanted, at least 1.

        Yields:
            Each picture with its guesses, best first, or with what is wrong with it.
        """
        _check_top(top)
        with ThreadPoolExecutor(1, thread_name_prefix="decode") as ahead:
            waiting: Any = None
            for picture in pictures:
                following = picture, ahead.submit(self._prepare_safely, picture)
                if waiting is not None:
                    yield waiting[0], self._answer(waiting[1].result(), top)
                waiting = following
            if waiting is not None:
                yield waiting[0], self._answer(waiting[1].result(), top)

    def classify(self, picture: Picture, top: int = 5) -> tuple[Guess, ...]:
        """Classify one picture, as `predict` does."""
        _check_top(top)
        return self._guess(self._prepare(picture), top)

    def _prepare(self, picture: Any) -> NDArray[np.uint8]:
        pipeline = self.bundle.pipeline
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

    def _answer(
        self, prepared: NDArray[np.uint8] | PictureError, top: int
    ) -> tuple[Guess, ...] | PictureError:
        if isinstance(prepared, PictureError):
            return prepared
        return self._guess(prepared, top)

    def _guess(self, rgb: NDArray[np.uint8], top: int) -> tuple[Guess, ...]:
        scores = self.model.scores(rgb[None], self.bundle.pipeline)[0]
        return tuple(
            Guess(index=i, label=self.bundle.labels[i], score=float(scores[i]))
            for i in top_k(scores, top)
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
