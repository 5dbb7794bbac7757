"""The one gateway to LiteRT: ai-edge-litert, tflite-runtime or TensorFlow's own.

Quantised tensors are converted by scale and zero point, never by a straight cast.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .contract import ContractError, ImagePipeline, dequantise, normalise, quantise
from .delegation import Delegation, observe_delegation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from .custom_ops import CompiledModel

# Name for --runtime: (module with Interpreter, distribution that brings it).
RUNTIMES = {
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite-runtime"),
    "tensorflow": ("tensorflow.lite.python.interpreter", "tensorflow"),
}


class RuntimeUnavailable(ContractError):  # noqa: N818  (named as the state it reports)
    """No runtime of that name works here; the message says why."""


class ModelError(ContractError):
    """The runtime refused a model file, or the model does not fit its contract."""


class NeedsXnnpack(ModelError):  # noqa: N818  (named as the state it reports)
    """Only XNNPACK computes the model rightly, and it does not run here."""


@dataclass(frozen=True)
class TensorInfo:
    """A model's input or output tensor.

    Attributes:
        name: As the model gives it.
        shape: With batch first; 1 where the model leaves a dimension open.
        dtype: NumPy name, such as "float32" or "uint8".
        scale: Quantisation step; 0.0 for float tensors.
        zero_point: Quantised value of real 0.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int

    @property
    def quantised(self) -> bool:
        """Whether values need scale and zero point to become real numbers."""
        return self.scale != 0.0


def runtime_version(name: str) -> str | None:
    """Version of an installed runtime, or None where it is missing."""
    try:
        return importlib.metadata.version(RUNTIMES[name][1])
    except importlib.metadata.PackageNotFoundError:
        return None


def available_runtimes() -> tuple[str, ...]:
    """Names of the runtimes that are installed, the default first."""
    return tuple(name for name in RUNTIMES if runtime_version(name))


def resolve_runtime(name: str) -> str:
    """Find the runtime to use; "auto" is the first that is installed.

    Raises:
        RuntimeUnavailable: If the name is unknown or the runtime can't work here.
    """
    if name == "auto":
        found = available_runtimes()
        if not found:
            raise RuntimeUnavailable(
                "no LiteRT runtime is installed; pip install ai-edge-litert"
            )
        name = found[0]
    if name not in RUNTIMES:
        raise RuntimeUnavailable(
            f"runtime must be auto, {', '.join(RUNTIMES)}; received {name!r}"
        )
    distribution = RUNTIMES[name][1]
    if runtime_version(name) is None:
        raise RuntimeUnavailable(
            f"runtime {name} is not installed; pip install {distribution}"
        )
    if name == "tflite-runtime" and int(np.__version__.split(".")[0]) >= 2:
        # It was built against NumPy 1 and dies in Interpreter() beside NumPy 2.
        raise RuntimeUnavailable(
            f"tflite-runtime needs numpy<2; found numpy {np.__version__}. Install the "
            "extra edgedeploy[tflite-runtime] in an environment of its own"
        )
    return name


class Model:
    """A .tflite classifier or network with one input and one output.

    Args:
        source: Path of a .tflite file, or its bytes.
        threads: Threads of the interpreter, at least 1.
        runtime: A name of `RUNTIMES`, or "auto".
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
        self.input, self.output = _tensor(inputs[0]), _tensor(outputs[0])
        if not self.input.shape or not self.output.shape:
            raise ModelError(
                f"{name}: input and output need a batch dimension; "
                f"found {self.input.shape} and {self.output.shape}"
            )
        self._shape: tuple[int, ...] | None = self.input.shape
        self._open = _open_dimensions(inputs[0], self.input.shape)

    def _compile(self, source: str | Path | bytes, operators: Sequence[Path]) -> None:
        # It builds upon this module.
        from .custom_ops import CompiledModel

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
        if not self.input.quantised:
            return normalise(rgb, pipeline)
        return quantise(
            rgb,
            pipeline,
            dtype=self.input.dtype,
            scale=self.input.scale,
            zero_point=self.input.zero_point,
        )

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
        flat = values.reshape(len(values), -1)
        if not self.output.quantised:
            return np.asarray(flat, np.float32)
        return dequantise(flat, self.output.scale, self.output.zero_point)

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
    try:
        module = importlib.import_module(RUNTIMES[runtime][0])
    except (ImportError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RuntimeUnavailable(
            f"runtime {runtime} is installed but does not load ({first}); install "
            "it again, or take another with --runtime"
        ) from error
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


def _open_dimensions(details: dict[str, Any], shape: tuple[int, ...]) -> frozenset[int]:
    """Axes whose size the model leaves open."""
    signature = [int(size) for size in details.get("shape_signature", ())]
    if len(signature) != len(shape):
        return frozenset()
    return frozenset(axis for axis, size in enumerate(signature) if size < 0)


def _tensor(details: dict[str, Any]) -> TensorInfo:
    scale, zero_point = details["quantization"]
    return TensorInfo(
        name=str(details["name"]),
        shape=tuple(int(n) for n in details["shape"]),
        dtype=np.dtype(details["dtype"]).name,
        scale=float(scale),
        zero_point=int(zero_point),
    )
