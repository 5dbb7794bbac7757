"""What a .tflite file holds, read without running it.

Schema: TensorFlow Lite's schema.fbs, through the reader generated from it that
LiteRT ships. Python's FlatBuffers reader checks no bounds, so everything it may
raise is turned into a FormatError here, and the work is bounded.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.flatbuffer import root_table

if TYPE_CHECKING:
    from collections.abc import Iterator

IDENTIFIER = b"TFL3"
# What helps against damage of any kind.
WAY_OUT = "convert or download it again"
# Inception v3 has under a thousand; a hostile file shall cost seconds at most.
_MAX_TABLES = 200_000
MALFORMED = (
    struct.error,
    IndexError,
    ValueError,
    TypeError,
    OverflowError,
    KeyError,
    AttributeError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One tensor of a model.

    Attributes:
        name: As the file says.
        shape: Sizes as stored.
        shape_signature: The same with -1 for sizes that may change; equals `shape`
            when the file has none.
        dtype: "float32", "uint8", "int8", "int4" and so on.
        scale: One value per tensor, several per channel; empty when not quantised.
        zero_point: As many as `scale`.
    """

    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorInfo:
    """How often the model uses one version of an operator.

    Attributes:
        name: The builtin's name, such as "CONV_2D", or the custom operator's.
        version: The operator's version.
        count: Nodes over all subgraphs.
        custom: Whether it is no builtin, so that the app must register it.
    """

    name: str
    version: int
    count: int
    custom: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureInfo:
    """One named entry point.

    Attributes:
        key: Such as "serving_default".
        subgraph: Index of the subgraph it runs.
        inputs: Argument names.
        outputs: Result names.
    """

    key: str
    subgraph: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TfliteSummary:
    """What a .tflite file holds.

    Attributes:
        description: As the converter wrote it.
        inputs: Of the first subgraph.
        outputs: Of the first subgraph.
        signatures: Named entry points.
        operators: Sorted by name and version.
        weight_bytes: (dtype, bytes of constant data), sorted by dtype.
        min_runtime_version: As the converter wrote it, or None.
        metadata_names: Names of the metadata entries, in file order.
    """

    description: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    signatures: tuple[SignatureInfo, ...]
    operators: tuple[OperatorInfo, ...]
    weight_bytes: tuple[tuple[str, int], ...]
    min_runtime_version: str | None
    metadata_names: tuple[str, ...]

    @property
    def custom_ops(self) -> tuple[str, ...]:
        """Names of the operators that the runtime does not bring itself."""
        return tuple(sorted({op.name for op in self.operators if op.custom}))

    @property
    def flex_ops(self) -> tuple[str, ...]:
        """Those of them that need TensorFlow's Flex delegate."""
        return tuple(name for name in self.custom_ops if name.startswith("Flex"))


def read_model_bytes(source: Path | bytes) -> bytes:
    """Read a .tflite file whole.

    Args:
        source: A path, or the bytes themselves.

    Returns:
        The bytes.

    Raises:
        InputError: If the file cannot be read.
    """
    if not isinstance(source, Path):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror}") from error


def summarize(source: Path | bytes) -> TfliteSummary:
    """Say what a .tflite file holds.

    Args:
        source: The file's path or its bytes.

    Returns:
        Inputs, outputs, signatures, operators and sizes.

    Raises:
        InputError: If the file cannot be read.
        FormatError: If the bytes are no .tflite model, are truncated, or contradict
            themselves.
    """
    data = read_model_bytes(source)
    name = str(source) if isinstance(source, Path) else "model"
    try:
        # The identifier and the root are checked before the generated reader starts.
        root_table(data, IDENTIFIER)
        return _Walk(data).summary()
    except MALFORMED as error:
        raise FormatError(
            f"{name}: not a readable .tflite file of {len(data)} bytes ({error}); "
            f"{WAY_OUT}"
        ) from error
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from error


class _Walk:
    """Visits the tables of one model, counting them."""

    def __init__(self, data: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._size = len(data)
        self._visited = 0
        self._types = names_by_value(schema.TensorType)
        self._builtins = names_by_value(schema.BuiltinOperator)
        self._model = schema.Model.GetRootAs(data, 0)
        self._buffers = tuple(self._each(self._model, "Buffers"))

    def summary(self) -> TfliteSummary:
        subgraphs = tuple(self._each(self._model, "Subgraphs"))
        if not subgraphs:
            raise FormatError("the model has no subgraph")
        tensors = tuple(tuple(self._each(graph, "Tensors")) for graph in subgraphs)
        main = subgraphs[0]
        metadata = tuple(self._each(self._model, "Metadata"))
        return TfliteSummary(
            description=_text(self._model.Description()),
            inputs=self._pick(main, "Inputs", tensors[0]),
            outputs=self._pick(main, "Outputs", tensors[0]),
            signatures=tuple(
                self._signature(item, len(subgraphs))
                for item in self._each(self._model, "SignatureDefs")
            ),
            operators=self._operators(subgraphs),
            weight_bytes=self._weight_bytes(tensors),
            min_runtime_version=self._min_runtime_version(metadata),
            metadata_names=tuple(_text(item.Name()) for item in metadata),
        )

    def _each(self, owner: Any, field: str) -> Iterator[Any]:
        for index in range(self._length(owner, field)):
            self._visited += 1
            # Tables may be shared, so a small file can describe an endless tree.
            if self._visited > _MAX_TABLES:
                raise FormatError(f"over {_MAX_TABLES} tables; no model needs as many")
            yield getattr(owner, field)(index)

    def _length(self, owner: Any, field: str) -> int:
        length = int(getattr(owner, f"{field}Length")())
        if not 0 <= length <= self._size:
            raise FormatError(f"{field} claims {length} items in {self._size} bytes")
        return length

    def _pick(
        self, graph: Any, field: str, tensors: tuple[Any, ...]
    ) -> tuple[TensorInfo, ...]:
        return tuple(
            self._tensor(tensors[self._checked(index, len(tensors), field)])
            for index in self._each(graph, field)
        )

    @staticmethod
    def _checked(index: int, count: int, field: str) -> int:
        if not 0 <= index < count:
            raise FormatError(f"{field} refers to number {index} of {count}")
        return index

    def _numbers(self, owner: Any, field: str) -> list[Any]:
        if not self._length(owner, field):
            return []
        values: list[Any] = getattr(owner, f"{field}AsNumpy")().tolist()
        return values

    def _tensor(self, tensor: Any) -> TensorInfo:
        quantization = tensor.Quantization()
        shape = tuple(self._numbers(tensor, "Shape"))
        return TensorInfo(
            name=_text(tensor.Name()),
            shape=shape,
            shape_signature=tuple(self._numbers(tensor, "ShapeSignature")) or shape,
            dtype=self._dtype(tensor),
            scale=tuple(self._numbers(quantization, "Scale")) if quantization else (),
            zero_point=(
                tuple(self._numbers(quantization, "ZeroPoint")) if quantization else ()
            ),
        )

    def _dtype(self, tensor: Any) -> str:
        if tensor.Type() not in self._types:
            raise FormatError(f"a tensor has the unknown type {tensor.Type()}")
        return self._types[tensor.Type()].lower()

    def _signature(self, item: Any, subgraphs: int) -> SignatureInfo:
        return SignatureInfo(
            key=_text(item.SignatureKey()),
            subgraph=self._checked(item.SubgraphIndex(), subgraphs, "a signature"),
            inputs=tuple(_text(entry.Name()) for entry in self._each(item, "Inputs")),
            outputs=tuple(_text(entry.Name()) for entry in self._each(item, "Outputs")),
        )

    def _operators(self, subgraphs: tuple[Any, ...]) -> tuple[OperatorInfo, ...]:
        codes = [
            self._operator_code(c) for c in self._each(self._model, "OperatorCodes")
        ]
        counts = Counter(
            codes[self._checked(operator.OpcodeIndex(), len(codes), "an operator")]
            for graph in subgraphs
            for operator in self._each(graph, "Operators")
        )
        return tuple(
            OperatorInfo(name=name, version=version, count=count, custom=custom)
            for (name, version, custom), count in sorted(counts.items())
        )

    def _operator_code(self, code: Any) -> tuple[str, int, bool]:
        # Codes below 127 are also in the old one-byte field, and only there in files
        # from before 2020.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = self._builtins.get(number)
        if name is None:
            raise FormatError(f"unknown builtin operator {number}")
        if name == "CUSTOM":
            return _text(code.CustomCode()), code.Version(), True
        return name, code.Version(), False

    def _weight_bytes(
        self, tensors: tuple[tuple[Any, ...], ...]
    ) -> tuple[tuple[str, int], ...]:
        sizes: Counter[str] = Counter()
        seen: set[int] = set()
        for tensor in (tensor for graph in tensors for tensor in graph):
            index = self._checked(tensor.Buffer(), len(self._buffers), "a tensor")
            dtype = self._dtype(tensor)
            if index in seen:
                continue
            seen.add(index)
            buffer = self._buffers[index]
            # Files over 2 GiB keep data behind the tables, by offset and size.
            size = self._length(buffer, "Data") or buffer.Size()
            if size:
                sizes[dtype] += size
        return tuple(sorted(sizes.items()))

    def _min_runtime_version(self, metadata: tuple[Any, ...]) -> str | None:
        for item in metadata:
            if _text(item.Name()) == "min_runtime_version":
                index = self._checked(item.Buffer(), len(self._buffers), "metadata")
                data = bytes(self._numbers(self._buffers[index], "Data"))
                return _text(data.rstrip(b"\0")) or None
        return None


@lru_cache(maxsize=4)
def names_by_value(enumeration: type) -> dict[int, str]:
    """Names of an enumeration of the schema by their numbers.

    Args:
        enumeration: A class of `schema_py_generated`, such as `TensorType`.
    """
    return {
        value: name
        for name, value in vars(enumeration).items()
        if isinstance(value, int)
    }


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode()
