"""Models with operators of one's own, through LiteRT's C API.

LiteRT's Python interpreter cannot be given an operator written in C: the released
libraries export no C++ resolver. Its C API can, so such a model runs in a compiled
model of `libLiteRt.so`, called with ctypes; what it declares is in `litert_abi`.
"""

from __future__ import annotations

import ctypes
from ctypes import (
    byref,
    c_char_p,
    c_int,
    c_int32,
    c_size_t,
    c_void_p,
)
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import litert_abi as abi
from .litert_abi import OperatorError
from .tensors import TensorInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class _Operator:
    """A loaded operator's library with the state that LiteRT passes to it."""

    def __init__(self, path: Path) -> None:
        try:
            self._library = ctypes.CDLL(str(path))
            self.op = abi.DeclaredOperator.in_dll(self._library, "edgedeploy_op")
        except (OSError, ValueError) as error:
            raise OperatorError(
                f"{path}: no operator's library for this machine ({error}); build it "
                "for this processor"
            ) from error
        self.name: str = self.op.name.decode()
        # In 8-byte words, so that it is aligned.
        words = max(1, (self.op.state_bytes + 7) // 8)
        self.state = (ctypes.c_int64 * words)()

    def check(self) -> None:
        """Look whether the operator failed; LiteRT does not tell.

        Raises:
            OperatorError: If it did.
        """
        failure = c_int32.from_buffer(self.state).value
        if failure:
            raise OperatorError(
                f"operator {self.name} refused its tensors or options (line {failure} "
                "of its source)"
            )


class CompiledModel:
    """A .tflite network with one input and one output, and operators of one's own.

    Native code runs in this process: load only libraries that you trust.

    Args:
        path: The .tflite file.
        libraries: The operators' shared libraries.

    Attributes:
        input: The input tensor.
        output: The output tensor.
        operators: Names of the operators that were registered.

    Raises:
        OperatorError: If LiteRT's library or an operator's does not load, or the model
            needs an operator that none of them has.
    """

    def __init__(self, path: Path, libraries: Sequence[Path] = ()) -> None:
        if not path.is_file():
            raise OperatorError(f"{path}: no such model file")
        self._path = path
        self._litert = abi.load_litert()
        self._operators = [_Operator(library) for library in libraries]
        self.operators = tuple(operator.name for operator in self._operators)
        self._handles: list[tuple[str, c_void_p]] = []
        try:
            self._compile()
            self.input = self._describe("Input")
            self.output = self._describe("Output")
        except BaseException:
            self.close()
            raise

    def invoke(self, values: NDArray[Any]) -> NDArray[Any]:
        """Run the network.

        Args:
            values: Of the input's shape and dtype.

        Returns:
            Of the output's shape and dtype.

        Raises:
            OperatorError: If the values do not fit, or an operator or LiteRT failed.
        """
        if values.shape != self.input.shape or str(values.dtype) != self.input.dtype:
            raise OperatorError(
                f"input {self.input.name} takes {self.input.dtype} of shape "
                f"{self.input.shape}; received {values.dtype} of shape {values.shape}"
            )
        self._write(np.ascontiguousarray(values))
        self._call(
            "LiteRtRunCompiledModel",
            *(self._model, c_size_t(0), c_size_t(1), byref(self._in)),
            *(c_size_t(1), byref(self._out)),
        )
        for operator in self._operators:
            operator.check()
        return self._read()

    def close(self) -> None:
        """Give everything back to LiteRT; the model cannot be used afterwards."""
        while self._handles:
            kind, handle = self._handles.pop()
            getattr(self._litert, f"LiteRtDestroy{kind}")(handle)

    def __enter__(self) -> CompiledModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _compile(self) -> None:
        wanted = (abi.EnvironmentOption * 2)(
            abi.EnvironmentOption(
                abi.ACCELERATORS_TAG, abi.AnyValue(abi.ANY_INTEGER, abi.CPU)
            ),
            abi.EnvironmentOption(
                abi.SEVERITY_TAG, abi.AnyValue(abi.ANY_INTEGER, abi.ERRORS_ONLY)
            ),
        )
        environment = self._create("Environment", "Environment", c_int(2), wanted)
        model = self._create(
            "ModelFromFile", "Model", environment, str(self._path).encode()
        )
        self._check_operators(model)
        options = self._create("Options", "Options")
        self._call("LiteRtSetOptionsHardwareAccelerators", options, c_int(abi.CPU))
        for operator in self._operators:
            self._call(
                "LiteRtAddCustomOpKernelOption",
                *(options, operator.op.name, c_int(operator.op.version)),
                *(byref(operator.op.kernel), byref(operator.state)),
            )
        self._model = self._create(
            "CompiledModel", "CompiledModel", environment, model, options
        )
        self._signature = self._get("LiteRtGetModelSignature", model, c_size_t(0))
        for kind in ("Inputs", "Outputs"):
            count = self._count(f"LiteRtGetNumSignature{kind}", self._signature)
            if count != 1:
                raise OperatorError(
                    f"{self._path}: a classifier has one input and one output; found "
                    f"{count} {kind.lower()}"
                )
        self._types = {side: self._declared_type(side) for side in ("Input", "Output")}
        self._close_open_sizes()
        self._in = self._buffer(environment, "Input")
        self._out = self._buffer(environment, "Output")

    def _close_open_sizes(self) -> None:
        """Take one picture where the model leaves the number open."""
        layout = self._types["Input"].layout
        sizes = layout.dimensions[: layout.rank]
        if all(size > 0 for size in sizes):
            return
        closed = (c_int * layout.rank)(*(max(1, size) for size in sizes))
        self._call(
            "LiteRtCompiledModelResizeInputTensor",
            *(self._model, c_size_t(0), c_size_t(0), closed, c_size_t(layout.rank)),
        )
        layout.dimensions[: layout.rank] = list(closed)
        self._call(
            "LiteRtGetCompiledModelOutputTensorLayouts",
            *(self._model, c_size_t(0), c_size_t(1)),
            *(byref(self._types["Output"].layout), ctypes.c_bool(True)),
        )

    def _check_operators(self, model: c_void_p) -> None:
        """Refuse a missing operator here: LiteRT itself would run past it."""
        missing = sorted(self._needed(model) - set(self.operators))
        if missing:
            known = ", ".join(self.operators) or "none"
            raise OperatorError(
                f"{self._path}: needs the operator {', '.join(missing)}, which is not "
                f"registered (registered: {known}); give its library for this processor"
            )

    def _needed(self, model: c_void_p) -> set[str]:
        """Names of the operators that LiteRT does not bring itself."""
        names = set()
        for number in range(self._count("LiteRtGetNumModelSubgraphs", model)):
            graph = self._get("LiteRtGetModelSubgraph", model, c_size_t(number))
            for place in range(self._count("LiteRtGetNumSubgraphOps", graph)):
                node = self._get("LiteRtGetSubgraphOp", graph, c_size_t(place))
                code, name = c_int(), c_char_p()
                self._call("LiteRtGetOpCode", node, byref(code))
                if code.value == abi.CUSTOM_OP_CODE:
                    self._call("LiteRtGetCustomCode", node, byref(name))
                    names.add((name.value or b"").decode(errors="replace"))
        return names

    def _count(self, function: str, owner: c_void_p) -> int:
        count = c_size_t()
        self._call(function, owner, byref(count))
        return count.value

    def _buffer(self, environment: c_void_p, side: str) -> c_void_p:
        requirements = self._get(
            f"LiteRtGetCompiledModel{side}BufferRequirements",
            *(self._model, c_size_t(0), c_size_t(0)),
        )
        kind = self._types[side]
        return self._create(
            "ManagedTensorBufferFromRequirements",
            "TensorBuffer",
            *(environment, byref(kind), requirements),
        )

    def _declared_type(self, side: str) -> abi.TensorType:
        found = abi.TensorType()
        tensor = self._tensor(side)
        self._call("LiteRtGetRankedTensorType", tensor, byref(found))
        return found

    def _tensor(self, side: str) -> c_void_p:
        return self._get(
            f"LiteRtGetSignature{side}TensorByIndex", self._signature, c_size_t(0)
        )

    def _describe(self, side: str) -> TensorInfo:
        tensor, kind = self._tensor(side), self._types[side]
        if kind.element_type not in abi.DTYPES:
            raise OperatorError(
                f"{self._path}: {side.lower()} of type {kind.element_type} is no "
                "picture's or score's"
            )
        name = c_char_p()
        self._call("LiteRtGetTensorName", tensor, byref(name))
        how = c_int()
        self._call("LiteRtGetQuantizationTypeId", tensor, byref(how))
        quantisation = abi.PerTensor()
        if how.value == abi.PER_TENSOR:
            self._call("LiteRtGetPerTensorQuantization", tensor, byref(quantisation))
        layout = kind.layout
        return TensorInfo(
            name=(name.value or b"").decode(errors="replace"),
            shape=tuple(layout.dimensions[: layout.rank]),
            dtype=abi.DTYPES[kind.element_type],
            scale=float(quantisation.scale),
            zero_point=int(quantisation.zero_point),
        )

    def _write(self, values: NDArray[Any]) -> None:
        address = self._lock(self._in, abi.WRITE)
        ctypes.memmove(address, values.ctypes.data, values.nbytes)
        self._call("LiteRtUnlockTensorBuffer", self._in)

    def _read(self) -> NDArray[Any]:
        values = np.empty(self.output.shape, self.output.dtype)
        address = self._lock(self._out, abi.READ)
        ctypes.memmove(values.ctypes.data, address, values.nbytes)
        self._call("LiteRtUnlockTensorBuffer", self._out)
        return values

    def _lock(self, buffer: c_void_p, mode: int) -> c_void_p:
        address = c_void_p()
        self._call("LiteRtLockTensorBuffer", buffer, byref(address), c_int(mode))
        return address

    def _create(self, function: str, kind: str, *arguments: Any) -> c_void_p:
        handle = self._get(f"LiteRtCreate{function}", *arguments)
        self._handles.append((kind, handle))
        return handle

    def _get(self, function: str, *arguments: Any) -> c_void_p:
        handle = c_void_p()
        self._call(function, *arguments, byref(handle))
        return handle

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._litert, function)(*arguments)
        if status:
            raise OperatorError(f"{function} answers status {status}")
