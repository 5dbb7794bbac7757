"""Weights behind a .tflite file's tables, moved into the tables where editors look.

LiteRT's own quantizer writes every buffer of 1 KiB and more behind the flatbuffer, and
the buffer's `offset` and `size` say where (schema.fbs, Buffer). Python's object API
knows the two numbers alone, so a file that was read and packed again would lose them.
"""

from __future__ import annotations

from edgedeploy.errors import FormatError
from edgedeploy.formats.flatbuffer import root_table
from edgedeploy.formats.tflite import IDENTIFIER, MALFORMED, summarize
from edgedeploy.formats.tflite_layout import pack_model

_MODEL_SUBGRAPHS, _MODEL_BUFFERS = 2, 4
_BUFFER_OFFSET, _BUFFER_SIZE = 1, 2
_SUBGRAPH_OPERATORS, _OPERATOR_LARGE_OFFSET = 3, 9


def inline_buffers(data: bytes) -> bytes:
    """Write a model so that its tables hold all of its weights.

    Args:
        data: A .tflite file without metadata in front of it.

    Returns:
        The same bytes where that is so already; else the model packed anew.

    Raises:
        FormatError: If the bytes are no readable .tflite model, a buffer lies outside
            the file, or a custom operator's options lie behind the tables too.
    """
    root = root_table(data, IDENTIFIER)
    buffers = root.tables(_MODEL_BUFFERS)
    # 1 is written where the place was to be filled in later, and was not.
    places = [
        (number, buffer.number(_BUFFER_OFFSET, "<Q"), buffer.number(_BUFFER_SIZE, "<Q"))
        for number, buffer in enumerate(buffers)
        if buffer.number(_BUFFER_OFFSET, "<Q") > 1
    ]
    if not places:
        return data
    for number, offset, size in places:
        if offset + size > len(data):
            raise FormatError(
                f"buffer {number} takes bytes {offset} to {offset + size} of a file of "
                f"{len(data)}; the file is cut off, fetch it again"
            )
    if any(
        operator.number(_OPERATOR_LARGE_OFFSET, "<Q") > 1
        for graph in root.tables(_MODEL_SUBGRAPHS)
        for operator in graph.tables(_SUBGRAPH_OPERATORS)
    ):
        raise FormatError(
            "a custom operator keeps its options behind the tables, which is not read "
            "here; convert the model anew"
        )
    return _gather(data, places)


def _gather(data: bytes, places: list[tuple[int, int, int]]) -> bytes:
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    summarize(data)
    try:
        model = schema.ModelT.InitFromPackedBuf(data, 0)
    except MALFORMED as error:
        raise FormatError(f"the model cannot be repacked: {error}") from error
    for number, offset, size in places:
        buffer = model.buffers[number]
        buffer.data = np.frombuffer(data, np.uint8, size, offset)
        buffer.offset = buffer.size = 0
    return pack_model(model)
