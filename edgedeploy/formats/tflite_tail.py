"""A network's closing softmax: what it is given, and a model that stops before it.

Schema: TensorFlow Lite's schema.fbs; the numbers of fields are their order there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgedeploy.errors import FormatError
from edgedeploy.formats.flatbuffer import Table, root_table

IDENTIFIER = b"TFL3"
_SOFTMAX, _QUANTIZE = 25, 114
_DTYPES = {3: "uint8", 9: "int8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantisedTensor:
    """How a tensor's numbers are read.

    Attributes:
        dtype: "uint8" or "int8".
        scale: Quantisation step.
        zero_point: Quantised value of real 0.
    """

    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftmaxTail:
    """A quantised softmax at the end of a network, and what follows it.

    Attributes:
        beta: Factor of the logits.
        logits: The softmax's input.
        scores: The softmax's output.
        output: The model's output: the scores, maybe as the other of uint8 and int8.
        without: The model with the logits as its output.
    """

    beta: float
    logits: QuantisedTensor
    scores: QuantisedTensor
    output: QuantisedTensor
    without: bytes


def softmax_tail(model: bytes) -> SoftmaxTail | None:
    """Find the quantised softmax that a network ends with.

    Args:
        model: A .tflite file's bytes.

    Returns:
        The softmax, or None if the network ends otherwise.

    Raises:
        FormatError: If the file is damaged.
    """
    root = root_table(model, IDENTIFIER)
    graphs = root.tables(2)
    if len(graphs) != 1:
        return None
    graph = graphs[0]
    at, count = graph.vector(2, 4)
    if count != 1:
        return None
    output = _number(model, at)
    scores = output
    operator = _maker(model, graph, scores)
    if operator is not None and _code(root, operator) == _QUANTIZE:
        scores = _only_input(model, operator)
        operator = _maker(model, graph, scores)
    if operator is None or _code(root, operator) != _SOFTMAX:
        return None
    logits = _only_input(model, operator)
    tensors = [_tensor(graph, index) for index in (logits, scores, output)]
    options = operator.table(4)
    beta = _float(model, options, 0) if options else 0.0
    if None in tensors or not beta > 0:
        return None
    first, second, third = (tensor for tensor in tensors if tensor is not None)
    changed = bytearray(model)
    struct.pack_into("<i", changed, at, logits)
    for place in _signature_outputs(root, output):
        struct.pack_into("<I", changed, place, logits)
    return SoftmaxTail(
        beta=beta, logits=first, scores=second, output=third, without=bytes(changed)
    )


def _signature_outputs(root: Table, tensor: int) -> list[int]:
    """Places where a signature says which tensor it gives back."""
    places = []
    for signature in root.tables(7):
        for entry in signature.tables(1):
            at = entry.field(1)
            if at and entry.number(1, "<I") == tensor:
                places.append(at)
    return places


def _maker(model: bytes, graph: Table, tensor: int) -> Table | None:
    """Find the operator that writes a tensor."""
    for operator in reversed(graph.tables(3)):
        at, count = operator.vector(2, 4)
        if any(_number(model, at + 4 * index) == tensor for index in range(count)):
            return operator
    return None


def _code(root: Table, operator: Table) -> int:
    codes = root.tables(1)
    index = operator.number(0, "<I")
    if index >= len(codes):
        raise FormatError(f"operator code {index} of {len(codes)}")
    # Codes up to 127 are in both fields; old files have the first alone.
    return max(codes[index].number(0, "<b"), codes[index].number(3, "<i"))


def _only_input(model: bytes, operator: Table) -> int:
    at, count = operator.vector(1, 4)
    return _number(model, at) if count == 1 else -1


def _tensor(graph: Table, index: int) -> QuantisedTensor | None:
    tensors = graph.tables(0)
    if not 0 <= index < len(tensors):
        return None
    dtype = _DTYPES.get(tensors[index].number(1, "<b"))
    quantisation = tensors[index].table(4)
    if dtype is None or quantisation is None:
        return None
    scales = quantisation.floats(2)
    at, count = quantisation.vector(3, 8)
    if len(scales) != 1 or count > 1:
        return None
    zero_point = _number(quantisation.data, at, "<q") if count else 0
    return QuantisedTensor(dtype=dtype, scale=scales[0], zero_point=zero_point)


def _float(model: bytes, table: Table, slot: int) -> float:
    at = table.field(slot)
    if not at:
        return 0.0
    if at + 4 > len(model):
        raise FormatError(f"a number at {at} lies outside the file")
    return float(struct.unpack_from("<f", model, at)[0])


def _number(data: bytes | memoryview, at: int, layout: str = "<i") -> int:
    try:
        return int(struct.unpack_from(layout, data, at)[0])
    except struct.error as error:
        raise FormatError(f"a number at {at} lies outside the file") from error
