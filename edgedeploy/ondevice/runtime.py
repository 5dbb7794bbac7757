"""The one gateway to LiteRT: ai-edge-litert, tflite-runtime or TensorFlow's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .custom_ops import CompiledModel
from .delegation import Delegation, observe_delegation
from .installed import load_runtime, resolve_runtime
from .tensors import (
    ModelError,
    NeedsXnnpack,
    decode_scores,
    encode_pictures,
    open_dimensions,
    read_tensor,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from .contract import ImagePipeline


class Model:
    """A .tflite classifier or network with one input and one output.

    Args:
        source: Path of a .tflite file, or its bytes.
        threads: Threads of the interpreter, at least 1.
        runtime: A name of `installed.RUNTIMES`, or "auto".
        xnnpack: False keeps the XNNPACK delegate out.
        operators: Shared libraries of operators of one's own; with some, the model
            runs in `custom_ops.CompiledModel`, whatever the runtime, and one picture
            after the other. They are native code: give only those that you trust.

    Attributes:
        input: The input tensor.
        output: The output tensor.
        runtime: The name of the runtime in use.
        delegate: "XNNPACK" where it took at least one operator, else "none".
        fallback: Operators that it left to LiteRT's own, slower kernels, with how many
            of each; None where LiteRT does not tell, with operators of one's own.

    Raises:
        ModelError: If the file is missing, or no model of that kind.
        NeedsXnnpack: If the answers would be nonsense without XNNPACK.
        RuntimeUnavailable: If there is no such runtime, or it does not start.
    """

    def __init__(
        self,
        source: str | Path | bytes,
        *,
        threads: int = 1,
        runtime: str = "auto",
        xnnpack: bool = True,
        operators: Sequence[Path] = (),
    ) -> None:
        if threads < 1:
            raise ModelError(f"threads must be at least 1; received {threads}")
        self.runtime = resolve_runtime(runtime)
        self._compiled: CompiledModel | None = None
        if operators:
            self._compile(source, operators)
            return
        name = "model" if isinstance(source, bytes) else str(source)
        self._interpreter = _interpreter(source, name, threads, self.runtime, xnnpack)
        try:
            self._interpreter.allocate_tensors()
            inputs = self._interpreter.get_input_details()
            outputs = self._interpreter.get_output_details()
            seen = observe_delegation(self._interpreter)
        # A damaged file can load, and then have names that are no text.
        # A runtime may drop what lists the operators, which is no public interface.
        except (ValueError, RuntimeError, AttributeError) as error:
            raise ModelError(_cannot_prepare(name, str(error))) from error
        _check_blockwise(name, seen)
        self.delegate = seen.delegate
        self.fallback: Mapping[str, int] | None = seen.fallback
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{name}: a classifier has one input and one output; "
                f"found {len(inputs)} and {len(outputs)}"
            )
        self._in, self._out = inputs[0]["index"], outputs[0]["index"]
        self.input, self.output = read_tensor(inputs[0]), read_tensor(outputs[0])
        if not self.input.shape or not self.output.shape:
            raise ModelError(
                f"{name}: input and output need a batch dimension; "
                f"found {self.input.shape} and {self.output.shape}"
            )
        self._shape: tuple[int, ...] | None = self.input.shape
        self._open = open_dimensions(inputs[0], self.input.shape)

    def _compile(self, source: str | Path | bytes, operators: Sequence[Path]) -> None:
        if isinstance(source, bytes):
            raise ModelError("a model with operators of its own is opened from a file")
        self._compiled = CompiledModel(Path(source), operators)
        self.input, self.output = self._compiled.input, self._compiled.output
        # LiteRT's CPU accelerator is XNNPACK.
        self.delegate = "XNNPACK"
        self.fallback = None
        self._open = frozenset()

    def invoke(self, values: NDArray[Any]) -> NDArray[Any]:
        """Run a batch through the network, resizing the input where it differs.

        Nothing is loaded again for another batch or another size of picture.

        Args:
            values: Shape (batch, …) as the input's, and of the input's dtype; sizes
                that the model leaves open may be others.

        Returns:
            Shape (batch, …) as the output's, in the output's dtype; a copy.

        Raises:
            ModelError: If shape or dtype do not fit the input, or the network has its
                number of pictures fixed.
        """
        if str(values.dtype) != self.input.dtype:
            raise ModelError(
                f"input {self.input.name} takes {self.input.dtype}; "
                f"received {values.dtype}"
            )
        if not self._takes(values.shape):
            raise ModelError(
                f"input {self.input.name} takes shape {self.input.shape}; "
                f"received {values.shape}"
            )
        if self._compiled:
            singles = [self._compiled.invoke(value[None]) for value in values]
            return np.concatenate(singles)
        try:
            if values.shape != self._shape:
                # None until it has worked, so that a failure is not permanent.
                self._shape = None
                self._interpreter.resize_tensor_input(self._in, values.shape)
                self._interpreter.allocate_tensors()
                self._shape = values.shape
            self._interpreter.set_tensor(self._in, values)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"LiteRT cannot run the model ({error})") from error
        answers = np.asarray(self._interpreter.get_tensor(self._out))
        if answers.shape[:1] != values.shape[:1]:
            raise ModelError(
                f"output {self.output.name} has shape {answers.shape} for "
                f"{len(values)} pictures; this network takes no such batch, so give "
                "them one by one"
            )
        return answers

    def run(self, fill: Callable[[NDArray[Any]], None]) -> NDArray[Any]:
        """Run one picture that a function writes into the input tensor itself.

        It saves the copies of a tensor that is made, handed over and thrown away.

        Args:
            fill: Writes all of an array, shape (1, …) as the input's and of its dtype;
                it must not keep the array, whose memory is the interpreter's.

        Returns:
            Shape (1, …) as the output's, in the output's dtype; a copy.

        Raises:
            ModelError: If the runtime cannot run the model.
        """
        one = (1, *self.input.shape[1:])
        if self._compiled or self._shape != one:
            values = np.empty(one, self.input.dtype)
            fill(values)
            return self.invoke(values)
        try:
            fill(self._interpreter.tensor(self._in)())
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"LiteRT cannot run the model ({error})") from error
        return np.asarray(self._interpreter.get_tensor(self._out))

    def tensor(self, rgb: NDArray[np.uint8], pipeline: ImagePipeline) -> NDArray[Any]:
        """Turn 8-bit RGB pictures into this model's input values.

        Args:
            rgb: Shape (batch, height, width, 3), uint8, RGB.
            pipeline: The contract.

        Returns:
            Shape as given, of the input's dtype.
        """
        return encode_pictures(rgb, pipeline, self.input)

    def scores(
        self, rgb: NDArray[np.uint8], pipeline: ImagePipeline
    ) -> NDArray[np.float32]:
        """Classify 8-bit RGB pictures.

        Args:
            rgb: Shape (batch, height, width, 3), uint8, RGB.
            pipeline: The contract.

        Returns:
            Shape (batch, classes), float32, real values.
        """
        return self.real(self.invoke(self.tensor(rgb, pipeline)))

    def real(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Turn output values into real scores, shape (batch, classes), float32."""
        return decode_scores(values, self.output)

    def _takes(self, shape: tuple[int, ...]) -> bool:
        own = self.input.shape
        return len(shape) == len(own) and all(
            size > 0 if axis == 0 or axis in self._open else size == own[axis]
            for axis, size in enumerate(shape)
        )


def top_k(scores: Sequence[float] | NDArray[Any], k: int) -> list[int]:
    """Indices of the k best scores, best first; ties go to the lower index."""
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    return [int(index) for index in order[:k]]


def _interpreter(
    source: str | Path | bytes, name: str, threads: int, runtime: str, xnnpack: bool
) -> Any:
    module = load_runtime(runtime)
    options: dict[str, Any] = {"num_threads": threads}
    if not xnnpack:
        resolver = _resolver_type(module)
        options["experimental_op_resolver_type"] = (
            resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
    if isinstance(source, bytes):
        options["model_content"] = source
    else:
        if not Path(source).is_file():
            raise ModelError(f"{name}: no such model file")
        options["model_path"] = str(source)
    try:
        return module.Interpreter(**options)
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{name}: not a model that LiteRT can load") from error


def _check_blockwise(name: str, seen: Delegation) -> None:
    """Refuse what LiteRT's own kernels would answer nonsense to, without a word."""
    if seen.blockwise:
        raise NeedsXnnpack(
            f"{name}: has layers with a step for every few weights, which only "
            f"XNNPACK computes rightly; it does not run {seen.blockwise} of them here "
            f"(delegate: {seen.delegate}). Leave XNNPACK on, or take a variant "
            "without such steps (int4_mixed with --prefer fastest, or int8)"
        )


def _cannot_prepare(name: str, reason: str) -> str:
    """Say why a model cannot run; a missing operator by its name alone."""
    missing = re.search(r"unresolved custom op: (\S+?)\.?\s", reason + " ")
    if missing is None:
        return f"{name}: LiteRT cannot prepare it ({reason})"
    return (
        f"{name}: needs the operator {missing[1]}, which is not registered; give its "
        "library for this processor"
    )


def _resolver_type(module: Any) -> Any:
    if hasattr(module, "OpResolverType"):
        return module.OpResolverType
    return module.experimental.OpResolverType
