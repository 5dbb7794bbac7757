"""Several functions in one download: each a signature of one .tflite file.

A folder holds `functions.tflite` and `functions.json`, which says for each function how
a picture becomes a tensor and what the classes are called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .bundle import hash_file, place, read_document
from .contract import ContractError, ImagePipeline
from .delivered import BundleError
from .installed import load_runtime, resolve_runtime
from .pictures import prepare
from .runtime import top_k
from .tensors import (
    ModelError,
    TensorInfo,
    decode_scores,
    encode_pictures,
    read_tensor,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOCUMENT = "functions.json"
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Function:
    """One of the functions.

    Attributes:
        signature: Its name in the model file.
        title: Its name for people.
        pipeline: How a picture becomes a tensor.
        labels: Class names in the order of the outputs.
    """

    signature: str
    title: str
    pipeline: ImagePipeline
    labels: tuple[str, ...]


class FunctionFile:
    """A .tflite file with several signatures, loaded once.

    Args:
        path: The file.
        threads: Threads of the interpreter, at least 1.
        runtime: A name of `installed.RUNTIMES`, or "auto".

    Attributes:
        names: The signatures, in the file's order.

    Raises:
        ModelError: If the file cannot be loaded.
        RuntimeUnavailable: If there is no such runtime.
    """

    def __init__(self, path: Path, *, threads: int = 1, runtime: str = "auto") -> None:
        module = load_runtime(resolve_runtime(runtime))
        if not path.is_file():
            raise ModelError(f"{path}: no such model file")
        try:
            self._interpreter = module.Interpreter(
                model_path=str(path), num_threads=threads
            )
            self.names = tuple(self._interpreter.get_signature_list())
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: not a model that LiteRT can load") from error
        self._runners: dict[str, tuple[Any, TensorInfo, TensorInfo]] = {}

    def tensors(self, name: str) -> tuple[TensorInfo, TensorInfo]:
        """Describe a function's input and output.

        Raises:
            ModelError: If there is no such function, or it is no classifier.
        """
        return self._runner(name)[1:]

    def invoke(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        """Run a function.

        Args:
            name: A name of `names`.
            values: Of the input's shape and dtype.

        Returns:
            Of the output's shape and dtype; a copy.

        Raises:
            ModelError: If there is no such function, or the values do not fit.
        """
        runner, taken, given = self._runner(name)
        if values.shape != taken.shape or str(values.dtype) != taken.dtype:
            raise ModelError(
                f"{name} takes {taken.dtype} of shape {taken.shape}; received "
                f"{values.dtype} of shape {values.shape}"
            )
        try:
            return np.array(runner(**{taken.name: values})[given.name])
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"LiteRT cannot run {name} ({error})") from error

    def _runner(self, name: str) -> tuple[Any, TensorInfo, TensorInfo]:
        if name not in self.names:
            raise ModelError(
                f"no function {name!r}; there are {', '.join(self.names) or 'none'}"
            )
        if name not in self._runners:
            try:
                runner = self._interpreter.get_signature_runner(name)
                inputs = runner.get_input_details()
                outputs = runner.get_output_details()
            except (ValueError, RuntimeError) as error:
                raise ModelError(f"LiteRT cannot prepare {name} ({error})") from error
            if len(inputs) != 1 or len(outputs) != 1:
                raise ModelError(
                    f"{name}: a classifier has one input and one output; found "
                    f"{len(inputs)} and {len(outputs)}"
                )
            self._runners[name] = runner, _tensor(inputs), _tensor(outputs)
        return self._runners[name]


class Functions:
    """The functions of a folder, behind their contracts.

    Args:
        folder: With functions.json.
        threads: Threads of the interpreter, at least 1.
        runtime: A name of `installed.RUNTIMES`, or "auto".

    Attributes:
        functions: By name.

    Raises:
        ContractError: If a document or the model is missing or damaged.
    """

    def __init__(
        self, folder: Path | str, *, threads: int = 1, runtime: str = "auto"
    ) -> None:
        folder = Path(folder)
        document = read_document(folder / DOCUMENT)
        if document.get("schema") != SCHEMA:
            raise BundleError(
                f"{folder / DOCUMENT}: schema must be {SCHEMA}; received "
                f"{document.get('schema')!r}"
            )
        try:
            path, sha256 = place(folder, document["file"]), document["sha256"]
            self.functions: Mapping[str, Function] = {
                str(name): _function(folder, str(name), values)
                for name, values in document["functions"].items()
            }
        except ContractError:
            raise
        except KeyError as error:
            raise BundleError(
                f"{folder / DOCUMENT}: {error.args[0]} is missing"
            ) from error
        except (TypeError, ValueError, AttributeError, OSError) as error:
            raise BundleError(f"{folder / DOCUMENT}: {error}") from error
        # Native code reads the file without checking it; a damaged one could crash.
        if hash_file(path) != sha256:
            raise BundleError(f"{path}: not the model that {DOCUMENT} names")
        self._file = FunctionFile(path, threads=threads, runtime=runtime)
        for name, function in self.functions.items():
            outputs = self._file.tensors(name)[1].shape[-1]
            if outputs != len(function.labels):
                raise BundleError(
                    f"{folder}: {name} has {outputs} outputs but "
                    f"{len(function.labels)} labels"
                )

    def classify(
        self, name: str, picture: Path | str | bytes, top: int = 5
    ) -> tuple[tuple[str, float], ...]:
        """Let one function name what a picture shows.

        Args:
            name: A key of `functions`.
            picture: A path, or the bytes of a picture file.
            top: Guesses wanted, at least 1.

        Returns:
            (label, score), best first.

        Raises:
            PictureError: If the picture cannot be decoded.
            ModelError: If there is no such function.
        """
        if top < 1:
            raise ContractError(f"top must be at least 1; received {top}")
        taken, given = self._file.tensors(name)
        function = self.functions[name]
        rgb = prepare(picture, function.pipeline)
        values = encode_pictures(rgb[None], function.pipeline, taken)
        raw = self._file.invoke(name, values)
        scores = decode_scores(raw.reshape(1, -1), given)[0]
        return tuple(
            (function.labels[index], float(scores[index]))
            for index in top_k(scores, top)
        )


def _function(folder: Path, name: str, values: Mapping[str, Any]) -> Function:
    text = place(folder, values["labels"]).read_text(encoding="utf-8")
    return Function(
        signature=name,
        title=str(values["title"]),
        pipeline=ImagePipeline.from_dict(values["pipeline"]),
        # The file ends in a newline, which ends the last label and begins no other.
        labels=tuple(text.removesuffix("\n").split("\n")),
    )


def _tensor(details: Mapping[str, Mapping[str, Any]]) -> TensorInfo:
    ((name, one),) = details.items()
    # The runner is called with the signature's name, which need not be the tensor's.
    return read_tensor({**one, "name": name})
