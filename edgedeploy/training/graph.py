"""Subgraphs of a .tflite file under construction, and the values that flow in them.

Written with the object API that LiteRT generates from TensorFlow Lite's schema.fbs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_ALIGNMENT_BYTES = 16
_DTYPES = {
    "float32": "FLOAT32",
    "int32": "INT32",
    "bool": "BOOL",
    "resource": "RESOURCE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A tensor of a subgraph.

    Attributes:
        graph: The subgraph it belongs to.
        index: Its number there.
        shape: Sizes; the first is 1 where the batch is left open.
        dtype: "float32", "int32", "bool" or "resource".
    """

    graph: Graph
    index: int
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(eq=False)
class Graph:
    """One subgraph: tensors and operators in the order in which they run.

    Attributes:
        file: The model it is part of.
        name: The subgraph's name, and its signature's.
        open_batch: Whether the first size of an input may change at run time.
    """

    file: ModelFile
    name: str
    open_batch: bool = False
    tensors: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    inputs: dict[str, Value] = field(default_factory=dict)
    outputs: dict[str, Value] = field(default_factory=dict)
    _constants: dict[tuple[str, tuple[int, ...], bytes], Value] = field(
        default_factory=dict
    )

    def value(
        self, shape: Sequence[int], dtype: str = "float32", *, name: str = ""
    ) -> Value:
        """Add a tensor without data.

        Args:
            shape: Sizes.
            dtype: As of `Value`.
            name: Name in the file; none where it does not matter.

        Returns:
            The new tensor.
        """
        return self._tensor(tuple(shape), dtype, name, 0)

    def input(self, name: str, shape: Sequence[int], dtype: str = "float32") -> Value:
        """Add an argument of the signature."""
        made = self.value(shape, dtype, name=f"{self.name}_{name}")
        if self.open_batch:
            self.tensors[made.index].shapeSignature = [-1, *shape[1:]]
        self.inputs[name] = made
        return made

    def output(self, name: str, value: Value) -> None:
        """Make a tensor a result of the signature."""
        self.outputs[name] = value

    def constant(self, data: NDArray[Any] | float) -> Value:
        """Add a tensor with data; the same data is stored once in the file.

        Args:
            data: float32 or int32; a plain number becomes float32 without dimensions.

        Returns:
            The constant.
        """
        array = np.asarray(data, getattr(data, "dtype", np.float32), order="C")
        raw = array.tobytes()
        key = (array.dtype.name, array.shape, raw)
        if key not in self._constants:
            self._constants[key] = self._tensor(
                array.shape,
                array.dtype.name,
                "",
                self.file.buffer(raw),
            )
        return self._constants[key]

    def integers(self, numbers: Sequence[int]) -> Value:
        """Add a list of int32, as operators take shapes and axes."""
        return self.constant(np.array(numbers, np.int32))

    def data_of(self, value: Value) -> NDArray[Any] | None:
        """Return a constant's data, or None for a value that is computed."""
        for (dtype, shape, raw), constant in self._constants.items():
            if constant is value:
                return np.frombuffer(raw, dtype).reshape(shape)
        return None

    def operator(
        self,
        name: str,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        options: tuple[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Append an operator.

        Args:
            name: Of the schema's BuiltinOperator, such as "CONV_2D".
            inputs: What it reads.
            outputs: What it writes.
            options: Name of its options table, and the fields that are set.
        """
        schema = _schema()
        made = schema.OperatorT()
        made.opcodeIndex = self.file.opcode(name)
        made.inputs = [value.index for value in inputs]
        made.outputs = [value.index for value in outputs]
        if options is not None:
            kind, fields = options
            table = getattr(schema, f"{kind}T")()
            for key, content in fields.items():
                setattr(table, key, content)
            made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            made.builtinOptions = table
        self.operators.append(made)

    def _tensor(
        self, shape: tuple[int, ...], dtype: str, name: str, buffer: int
    ) -> Value:
        schema = _schema()
        made = schema.TensorT()
        made.shape = [int(size) for size in shape]
        made.type = getattr(schema.TensorType, _DTYPES[dtype])
        made.buffer = buffer
        # Thousands of names that nobody reads would take a fiftieth of the file.
        made.name = name or None
        made.hasRank = True
        self.tensors.append(made)
        return Value(graph=self, index=len(self.tensors) - 1, shape=shape, dtype=dtype)


class ModelFile:
    """A .tflite file under construction.

    Args:
        description: What the file says of itself.
    """

    def __init__(self, description: str) -> None:
        self._description = description
        self._graphs: list[Graph] = []
        self._opcodes: dict[str, int] = {}
        # The schema wants the first buffer empty: it stands for "no data".
        self._buffers: dict[bytes, int] = {b"": 0}

    def graph(self, name: str, *, open_batch: bool = False) -> Graph:
        """Add a subgraph; the first is what runs without a signature."""
        made = Graph(file=self, name=name, open_batch=open_batch)
        self._graphs.append(made)
        return made

    def number_of(self, graph: Graph) -> int:
        """Return the number by which other subgraphs call this one."""
        return self._graphs.index(graph)

    def buffer(self, data: bytes) -> int:
        """Store bytes once, and return their number."""
        return self._buffers.setdefault(data, len(self._buffers))

    def opcode(self, name: str) -> int:
        """Return the number of an operator's entry in the file's table."""
        return self._opcodes.setdefault(name, len(self._opcodes))

    def to_bytes(self, signatures: Sequence[Graph]) -> bytes:
        """Write the file.

        Args:
            signatures: Subgraphs that get an entry point of their own name.

        Returns:
            The same bytes for the same content.
        """
        import flatbuffers

        schema = _schema()
        model = schema.ModelT()
        model.version = 3
        model.description = self._description
        model.operatorCodes = [self._operator_code(name) for name in self._opcodes]
        model.subgraphs = [_subgraph(graph) for graph in self._graphs]
        model.buffers = [_AlignedBuffer(data) for data in self._buffers]
        model.signatureDefs = [self._signature(graph) for graph in signatures]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    @staticmethod
    def _operator_code(name: str) -> Any:
        schema = _schema()
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, name)
        code.builtinCode = number
        # The old one-byte field; 127 says that the number is in the new field.
        code.deprecatedBuiltinCode = min(number, 127)
        code.version = 1
        return code

    def _signature(self, graph: Graph) -> Any:
        made = _schema().SignatureDefT()
        made.signatureKey = graph.name
        made.subgraphIndex = self.number_of(graph)
        made.inputs = [_tensor_map(*item) for item in graph.inputs.items()]
        made.outputs = [_tensor_map(*item) for item in graph.outputs.items()]
        return made


class _AlignedBuffer:
    """Bytes of a constant at a multiple of 16, where kernels may load them whole."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def Pack(self, builder: Any) -> int:  # noqa: N802  (the generated code calls it)
        schema = _schema()
        vector = None
        if self._data:
            builder.StartVector(1, len(self._data), _ALIGNMENT_BYTES)
            builder.head -= len(self._data)
            end = builder.head + len(self._data)
            builder.Bytes[builder.head : end] = self._data
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


def _subgraph(graph: Graph) -> Any:
    made = _schema().SubGraphT()
    made.name = graph.name
    made.tensors = graph.tensors
    made.operators = graph.operators
    made.inputs = [value.index for value in graph.inputs.values()]
    made.outputs = [value.index for value in graph.outputs.values()]
    return made


def _tensor_map(name: str, value: Value) -> Any:
    made = _schema().TensorMapT()
    made.name = name
    made.tensorIndex = value.index
    return made


def _schema() -> Any:
    from ai_edge_litert import schema_py_generated

    return schema_py_generated
