"""A model file that learns: its entry points as plain calls."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .installed import load_runtime, resolve_runtime
from .tensors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_SIGNATURES = ("train", "infer", "evaluate", "save", "restore", "init")


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Labelled rows.

    Attributes:
        x: Pictures or features, shape (rows, …); uint8 stands for 0..1 in steps of
            1/255, float32 for itself.
        labels: Class indices, shape (rows,).
    """

    x: NDArray[Any]
    labels: NDArray[np.integer[Any]]

    def __len__(self) -> int:
        """Rows."""
        return len(self.labels)


class Learner:
    """A trainable .tflite file in a runtime.

    Args:
        source: Path of the file.
        threads: Threads of the interpreter, at least 1.
        runtime: A name of `RUNTIMES`, or "auto".

    Attributes:
        sha256: Digest of the file.
        batch_size: Rows of a step.
        input_shape: Of one row.
        classes: Numbers in a row of labels.

    Raises:
        ModelError: If the file is missing, no model, or has no training signatures.
        RuntimeUnavailable: If there is no such runtime, or it does not start.
    """

    def __init__(
        self, source: Path, *, threads: int = 1, runtime: str = "auto"
    ) -> None:
        if threads < 1:
            raise ModelError(f"threads must be at least 1; received {threads}")
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise ModelError(f"{source}: cannot be read ({error.strerror})") from error
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._name = str(source)
        self._signatures = _open(data, self._name, threads, resolve_runtime(runtime))
        details = self._signatures["train"].get_input_details()
        x, y = details["x"]["shape"], details["y"]["shape"]
        self.batch_size = int(x[0])
        self.input_shape = tuple(int(size) for size in x[1:])
        self.classes = int(y[-1])

    def step(self, x: NDArray[Any], labels: NDArray[Any], rate: float) -> float:
        """Learn from at most a batch of rows.

        Args:
            x: Shape (rows, …), as of `Examples`.
            labels: Class indices, shape (rows,).
            rate: Learning rate.

        Returns:
            The mean loss of the rows before the step.
        """
        values, targets = self._batch(x, labels)
        lr = np.array([rate], np.float32)
        return float(self._call("train", x=values, y=targets, lr=lr)["loss"][0])

    def evaluate(self, examples: Examples) -> tuple[float, float]:
        """Measure on rows that it does not learn from.

        Args:
            examples: At least one row.

        Returns:
            Accuracy, a fraction, and mean loss.

        Raises:
            ModelError: If there are no rows.
        """
        if not len(examples):
            raise ModelError(f"{self._name}: cannot be evaluated on no examples")
        correct = total = 0.0
        for start in range(0, len(examples), self.batch_size):
            part = slice(start, start + self.batch_size)
            values, targets = self._batch(examples.x[part], examples.labels[part])
            found = self._call("evaluate", x=values, y=targets)
            correct += float(found["correct"][0])
            total += float(found["loss"][0]) * float(found["count"][0])
        return correct / len(examples), total / len(examples)

    def infer(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Score any number of rows, shape (rows, classes)."""
        return np.asarray(self._call("infer", x=as_numbers(x))["output"], np.float32)

    def save(self) -> dict[str, NDArray[Any]]:
        """Copy all state: weights, statistics, optimizer, counters."""
        return {name: np.array(value) for name, value in self._call("save").items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Bring state back.

        Raises:
            ModelError: If it is another model's.
        """
        wanted = self._signatures["restore"].get_input_details()
        shapes = {name: tuple(detail["shape"]) for name, detail in wanted.items()}
        if {name: value.shape for name, value in state.items()} != shapes:
            raise ModelError(f"{self._name}: the state is that of another model")
        kinds = {name: detail["dtype"] for name, detail in wanted.items()}
        if any(value.dtype != kinds[name] for name, value in state.items()):
            raise ModelError(f"{self._name}: the state has other types of numbers")
        self._call("restore", **state)

    def initialise(self) -> None:
        """Bring the file's own first weights back."""
        self._call("init")

    def _batch(
        self, x: NDArray[Any], labels: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Fill up with rows of zeros, which the model takes for padding."""
        if x.shape[1:] != self.input_shape:
            raise ModelError(
                f"{self._name}: learns from rows of {self.input_shape}; "
                f"received {x.shape[1:]}"
            )
        if len(labels) and not 0 <= labels.min() <= labels.max() < self.classes:
            raise ModelError(
                f"{self._name}: labels must be 0 to {self.classes - 1}; received "
                f"{labels.min()} to {labels.max()}"
            )
        values = np.zeros((self.batch_size, *self.input_shape), np.float32)
        values[: len(x)] = as_numbers(x)
        targets = np.zeros((self.batch_size, self.classes), np.float32)
        targets[np.arange(len(labels)), labels] = 1.0
        return values, targets

    def _call(self, signature: str, **values: NDArray[Any]) -> dict[str, NDArray[Any]]:
        try:
            found: dict[str, NDArray[Any]] = self._signatures[signature](**values)
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"{self._name}: LiteRT cannot run {signature} ({error})"
            ) from error
        return found


def as_numbers(x: NDArray[Any]) -> NDArray[np.float32]:
    """Turn rows into float32; 8-bit numbers are shares of 255."""
    if x.dtype == np.uint8:
        return x.astype(np.float32) * np.float32(1.0 / 255.0)
    return np.asarray(x, np.float32)


def _open(data: bytes, name: str, threads: int, runtime: str) -> dict[str, Any]:
    module = load_runtime(runtime)
    try:
        interpreter = module.Interpreter(model_content=data, num_threads=threads)
        known = interpreter.get_signature_list()
        missing = [key for key in _SIGNATURES if key not in known]
        if not missing:
            return {key: interpreter.get_signature_runner(key) for key in _SIGNATURES}
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{name}: not a model that LiteRT can load") from error
    raise ModelError(
        f"{name}: cannot learn, for it has no signature {', '.join(missing)}; export "
        "it with inv train.export"
    )
