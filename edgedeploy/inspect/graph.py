"""The operators and tensors of a .tflite file, as its subgraphs list them.

Schema: TensorFlow Lite's schema.fbs; the numbers of fields are their order there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgedeploy.errors import FormatError
from edgedeploy.formats.flatbuffer import Table, root_table
from edgedeploy.formats.tflite import IDENTIFIER, names_by_value

# Vectors may be shared, so a small file can describe endlessly many numbers.
_MAX_NUMBERS = 5_000_000
_ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
# Field of the fused activation in an operator's options.
_ACTIVATION_SLOTS = {
    "ADD": 0,
    "AVERAGE_POOL_2D": 5,
    "CONCATENATION": 1,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "DIV": 0,
    "FULLY_CONNECTED": 0,
    "MAX_POOL_2D": 5,
    "MUL": 0,
    "SUB": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of a subgraph.

    Attributes:
        name: As the file says.
        dtype: "float32", "int8" and so on.
        shape: Sizes as stored.
        shape_signature: The same with -1 for sizes that may change.
        constant: Whether the file holds its values.
        scale: One value per tensor, several per channel; empty when not quantised.
        zero_point: As many as `scale`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    constant: bool
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator of a subgraph.

    Attributes:
        kind: The builtin's name, or the custom operator's.
        version: The operator's version.
        custom: Whether it is no builtin.
        inputs: Numbers of tensors; -1 for an optional one that is absent.
        outputs: Numbers of tensors.
        activation: The fused activation, "NONE" without one.
    """

    kind: str
    version: int
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """One subgraph.

    Attributes:
        tensors: In the file's order.
        nodes: In the order of execution.
        inputs: Numbers of tensors.
        outputs: Numbers of tensors.
    """

    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_graphs(model: bytes) -> tuple[Graph, ...]:
    """Read the subgraphs of a .tflite file.

    Args:
        model: The file's bytes.

    Returns:
        The subgraphs, in the file's order.

    Raises:
        FormatError: If the file is malformed or its numbers contradict each other.
    """
    return _Reader(model).graphs()


class _Reader:
    def __init__(self, model: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._root = root_table(model, IDENTIFIER)
        self._dtypes = names_by_value(schema.TensorType)
        self._builtins = names_by_value(schema.BuiltinOperator)
        self._left = _MAX_NUMBERS
        self._constant = tuple(
            buffer.vector(0, 1)[1] > 0 or buffer.number(2, "<Q") > 0
            for buffer in self._tables(self._root, 4)
        )
        self._codes = tuple(self._code(code) for code in self._tables(self._root, 1))

    def graphs(self) -> tuple[Graph, ...]:
        return tuple(self._graph(graph) for graph in self._tables(self._root, 2))

    def _graph(self, graph: Table) -> Graph:
        tensors = tuple(self._tensor(item) for item in self._tables(graph, 0))
        return Graph(
            tensors=tensors,
            nodes=tuple(
                self._node(item, len(tensors)) for item in self._tables(graph, 3)
            ),
            inputs=self._indices(graph, 1, len(tensors), lowest=0),
            outputs=self._indices(graph, 2, len(tensors), lowest=0),
        )

    def _tensor(self, tensor: Table) -> Tensor:
        dtype = self._dtypes.get(tensor.number(1, "<b"))
        buffer = tensor.number(2, "<I")
        if dtype is None:
            raise FormatError(f"a tensor has the unknown type {tensor.number(1, '<b')}")
        if buffer >= len(self._constant):
            raise FormatError(
                f"a tensor refers to buffer {buffer} of {len(self._constant)}"
            )
        quantization = tensor.table(4)
        shape = self._numbers(tensor, 0, "i")
        signature = self._numbers(tensor, 7, "i")
        return Tensor(
            name=tensor.text(3),
            dtype=dtype.lower(),
            shape=shape,
            shape_signature=signature or shape,
            constant=self._constant[buffer],
            scale=self._floats(quantization) if quantization else (),
            zero_point=self._numbers(quantization, 3, "q") if quantization else (),
        )

    def _node(self, operator: Table, tensors: int) -> Node:
        index = operator.number(0, "<I")
        if index >= len(self._codes):
            raise FormatError(
                f"an operator refers to code {index} of {len(self._codes)}"
            )
        kind, version, custom = self._codes[index]
        return Node(
            kind=kind,
            version=version,
            custom=custom,
            inputs=self._indices(operator, 1, tensors, lowest=-1),
            outputs=self._indices(operator, 2, tensors, lowest=0),
            activation=self._activation(operator, kind),
        )

    def _code(self, code: Table) -> tuple[str, int, bool]:
        # Codes up to 127 are in both fields; old files have the first alone.
        number = max(code.number(0, "<b"), code.number(3, "<i"))
        kind = self._builtins.get(number)
        if kind is None:
            raise FormatError(f"unknown builtin operator {number}")
        version = code.number(2, "<i", 1)
        return (
            (code.text(1), version, True)
            if kind == "CUSTOM"
            else (
                kind,
                version,
                False,
            )
        )

    def _activation(self, operator: Table, kind: str) -> str:
        slot, options = _ACTIVATION_SLOTS.get(kind), operator.table(4)
        number = options.number(slot, "<b") if options and slot is not None else 0
        if not 0 <= number < len(_ACTIVATIONS):
            raise FormatError(f"{kind} has the unknown activation {number}")
        return _ACTIVATIONS[number]

    def _tables(self, owner: Table, slot: int) -> tuple[Table, ...]:
        self._spend(owner.vector(slot, 4)[1])
        return owner.tables(slot)

    def _floats(self, owner: Table) -> tuple[float, ...]:
        self._spend(owner.vector(2, 4)[1])
        return owner.floats(2)

    def _indices(
        self, owner: Table, slot: int, tensors: int, *, lowest: int
    ) -> tuple[int, ...]:
        numbers = self._numbers(owner, slot, "i")
        wrong = [number for number in numbers if not lowest <= number < tensors]
        if wrong:
            raise FormatError(f"a list refers to tensor {wrong[0]} of {tensors}")
        return numbers

    def _numbers(self, owner: Table, slot: int, kind: str) -> tuple[int, ...]:
        first, count = owner.vector(slot, struct.calcsize(f"<{kind}"))
        self._spend(count)
        return struct.unpack_from(f"<{count}{kind}", owner.data, first)

    def _spend(self, numbers: int) -> None:
        self._left -= numbers
        if self._left < 0:
            raise FormatError(f"over {_MAX_NUMBERS} numbers; no model needs as many")
