"""Classify pictures with a delivered bundle."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .bundle import (
    BundleError,
    default_folder,
    hash_file,
    is_callers_mistake,
    read_bundle,
)
from .contract import ContractError
from .pictures import SUFFIXES, PictureError, fit, prepare
from .runtime import RUNTIMES, Model, top_k

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray


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
        self, pictures: Iterable[str | Path | bytes | NDArray[np.uint8]], top: int = 5
    ) -> list[tuple[Guess, ...]]:
        """Classify pictures.

        Args:
            pictures: Paths, the bytes of picture files, or arrays of shape
                (height, width, 3), uint8, RGB, of any size.
            top: Guesses wanted, at least 1; fewer come where there are fewer classes.

        Returns:
            For each picture its guesses, best first.

        Raises:
            PictureError: If a picture cannot be decoded.
        """
        return [self.classify(picture, top) for picture in pictures]

    def classify(
        self, picture: str | Path | bytes | NDArray[np.uint8], top: int = 5
    ) -> tuple[Guess, ...]:
        """Classify one picture, as `predict` does."""
        if top < 1:
            raise ContractError(f"top must be at least 1; received {top}")
        pipeline = self.bundle.pipeline
        if isinstance(picture, np.ndarray):
            rgb = fit(_image(picture), pipeline)
        else:
            rgb = prepare(picture, pipeline)
        scores = self.model.scores(rgb[None], pipeline)[0]
        return tuple(
            Guess(index=i, label=self.bundle.labels[i], score=float(scores[i]))
            for i in top_k(scores, top)
        )


def find_pictures(paths: Iterable[Path]) -> Iterator[Path]:
    """Replace folders by the picture files below them, sorted by name.

    Files that are named are kept whatever their suffix; inside folders, only known
    suffixes count and hidden files do not.

    Raises:
        PictureError: If a folder cannot be read or holds no picture.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(
            Path(folder) / name
            for folder, _, names in os.walk(path, onerror=_refuse_folder)
            for name in names
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        )
        if not found:
            raise PictureError(f"{path}: no pictures in this folder")
        yield from found


def _refuse_folder(error: OSError) -> None:
    raise PictureError(f"{error.filename}: cannot be read ({error.strerror})")


def main(arguments: Sequence[str] | None = None) -> int:
    """Classify from the command line.

    Returns:
        0, or 1 if a picture or the bundle could not be read, or 2 for a bad value.
    """
    options = _parser().parse_args(arguments)
    folder = options.folder or default_folder()
    _soften_output()
    try:
        classifier = Classifier(
            folder,
            options.variant,
            threads=options.threads,
            runtime=options.runtime,
        )
    except ContractError as error:
        print(f"classify: {error}", file=sys.stderr)
        return 2 if is_callers_mistake(folder, error) else 1
    try:
        return _classify_all(classifier, options)
    except BrokenPipeError:
        # The reader (such as `head`) has what it wanted; Python would complain again
        # when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _classify_all(classifier: Classifier, options: argparse.Namespace) -> int:
    good = [_classify_below(classifier, given, options) for given in options.paths]
    return 0 if all(good) else 1


def _classify_below(
    classifier: Classifier, given: Path, options: argparse.Namespace
) -> bool:
    """Classify a file or a folder; say whether every picture could be read."""
    try:
        good = [
            _classify_file(classifier, path, options) for path in find_pictures([given])
        ]
    except PictureError as error:
        print(f"classify: {error}", file=sys.stderr)
        return False
    return all(good)


def _classify_file(
    classifier: Classifier, path: Path, options: argparse.Namespace
) -> bool:
    try:
        guesses = classifier.classify(path, options.top)
    except PictureError as error:
        print(f"classify: {error}", file=sys.stderr)
        return False
    if options.json:
        answer = {"file": str(path), "top": [asdict(guess) for guess in guesses]}
        print(json.dumps(answer), flush=True)
        return True
    answers = ", ".join(f"{g.label} {g.score:.3f}" for g in guesses)
    print(f"{_printable(str(path))}: {answers}", flush=True)
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="classify", description="Name what pictures show."
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--folder", type=Path, default=None, help="the bundle")
    parser.add_argument("--variant", default=None, help="recipe, such as int8")
    parser.add_argument("--top", type=positive, default=3, help="guesses a picture")
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--runtime", choices=("auto", *RUNTIMES), default="auto")
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    return parser


def positive(text: str) -> int:
    """Read a whole number of at least 1 from the command line."""
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more; received {text!r}")
    return value


def _soften_output() -> None:
    """File names can hold bytes that the terminal's encoding cannot."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)[1:-1]


def _image(values: NDArray[np.uint8]) -> Image.Image:
    if values.dtype != np.uint8 or values.ndim != 3 or values.shape[2] != 3:
        raise PictureError(
            f"an array must be uint8 of shape (height, width, 3); received "
            f"{values.dtype} of shape {values.shape}"
        )
    if 0 in values.shape:
        raise PictureError(f"an array of shape {values.shape} has no pixels")
    return Image.fromarray(np.ascontiguousarray(values))


if __name__ == "__main__":
    sys.exit(main())
