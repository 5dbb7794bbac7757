"""Where a .tflite file keeps its bytes: alignment, repacking, adding metadata.

Kernels may load weights with 16-byte instructions, so schema.fbs declares Buffer's
data `force_align: 16`. Python's object API forgets that when it packs.
"""

from __future__ import annotations

import struct
from typing import Any

from edgedeploy.errors import FormatError
from edgedeploy.formats.flatbuffer import Table, root_table
from edgedeploy.formats.tflite import IDENTIFIER, MALFORMED, summarize

ALIGNMENT_BYTES = 16
_LIMIT_BYTES = 0x7FFFFFFF

# Field numbers of schema.fbs.
_MODEL_VERSION, _MODEL_SUBGRAPHS, _MODEL_BUFFERS, _MODEL_METADATA = 0, 2, 4, 6
_MODEL_FIELDS = 10
_BUFFER_DATA, _BUFFER_OFFSET = 0, 1
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_SUBGRAPH_OPERATORS, _OPERATOR_LARGE_OFFSET = 3, 9

# Our front piece says so, and how long it is, in bytes that FlatBuffers leaves free.
_FRONT_MARK = b"EDMD"
_FRONT_HEADER = struct.Struct("<I4s4sI")


def misaligned_buffers(model: bytes) -> tuple[int, ...]:
    """Numbers of the buffers whose data is not on a 16-byte boundary of the file.

    Args:
        model: A .tflite file.

    Returns:
        Indices into the model's buffers; empty is good.

    Raises:
        FormatError: If the bytes are no readable .tflite model.
    """
    buffers = root_table(model, IDENTIFIER).tables(_MODEL_BUFFERS)
    places = ((i, *buffer.vector(_BUFFER_DATA, 1)) for i, buffer in enumerate(buffers))
    return tuple(i for i, first, count in places if count and first % ALIGNMENT_BYTES)


def pack_model(model: Any) -> bytes:
    """Serialise an edited model with every buffer's data 16-byte aligned.

    Args:
        model: A `schema_py_generated.ModelT`; it is left as it was.

    Returns:
        A .tflite file without associated files.

    Raises:
        FormatError: If the model has more than 2 GiB or is not consistent.
    """
    import flatbuffers

    buffers = model.buffers or []
    size = sum(0 if b.data is None else len(b.data) for b in buffers)
    if size > _LIMIT_BYTES:
        raise FormatError(f"{size} bytes of weights; a .tflite file ends at 2 GiB")
    # Room enough from the start: growing would copy the whole model.
    room = size + size // 64 + 64 * len(buffers) + (1 << 20)
    builder = flatbuffers.Builder(room)
    try:
        model.buffers = [_AlignedBuffer(buffer) for buffer in buffers]
        builder.Finish(model.Pack(builder), IDENTIFIER)
    except (TypeError, ValueError, AttributeError, struct.error) as error:
        raise FormatError(f"the edited model cannot be packed: {error}") from error
    finally:
        model.buffers = buffers
    return bytes(memoryview(builder.Bytes)[builder.Head() :])


def align_buffers(model: bytes) -> bytes:
    """Give a model's weights the alignment that the schema demands.

    TensorFlow's converter finishes in Python, so even its own files need this.

    Args:
        model: A .tflite file without associated files.

    Returns:
        The same bytes when they are aligned already, otherwise the model repacked.

    Raises:
        FormatError: If the bytes are no readable .tflite model, or keep data by
            absolute offset.
    """
    if not misaligned_buffers(model):
        return model
    from ai_edge_litert import schema_py_generated as schema

    # A walk with bounds first: the object API below has none.
    summarize(model)
    _refuse_absolute_offsets(root_table(model, IDENTIFIER))
    try:
        return pack_model(schema.ModelT.InitFromPackedBuf(model, 0))
    except MALFORMED as error:
        raise FormatError(f"the model cannot be repacked: {error}") from error


class _AlignedBuffer:
    """Packs like the schema's BufferT, but on a 16-byte boundary."""

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the object API's name
        from ai_edge_litert import schema_py_generated as schema

        data = None
        if self._buffer.data is not None:
            payload = _bytes_view(self._buffer.data)
            builder.StartVector(1, len(payload), ALIGNMENT_BYTES)
            builder.head -= len(payload)
            builder.Bytes[builder.head : builder.head + len(payload)] = payload
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        schema.BufferAddOffset(builder, self._buffer.offset)
        schema.BufferAddSize(builder, self._buffer.size)
        end: int = schema.BufferEnd(builder)
        return end


def _bytes_view(data: Any) -> memoryview:
    if isinstance(data, bytes | bytearray):
        return memoryview(data)
    import numpy as np

    # The object API gives arrays, and takes lists; arrays are not copied again.
    array: Any = np.ascontiguousarray(data, dtype=np.uint8)
    return memoryview(array)


def read_metadata_buffer(model: bytes, name: bytes) -> bytes | None:
    """The content of a model's metadata entry.

    Args:
        model: A .tflite file.
        name: The entry's name.

    Returns:
        The bytes, or None when there is no such entry.

    Raises:
        FormatError: If the model is malformed or the entry refers to no buffer.
    """
    root = root_table(model, IDENTIFIER)
    buffers = root.tables(_MODEL_BUFFERS)
    for entry in root.tables(_MODEL_METADATA):
        if entry.content(_METADATA_NAME) == name:
            index = entry.number(_METADATA_BUFFER, "<I")
            if index >= len(buffers):
                raise FormatError(f"metadata {name!r} refers to buffer {index}")
            return buffers[index].content(_BUFFER_DATA)
    return None


def remove_metadata_front(model: bytes) -> bytes:
    """Undo `put_metadata_front`.

    Args:
        model: A .tflite file.

    Returns:
        The file before metadata was put in front of it, byte for byte; the same
        bytes when none was.

    Raises:
        FormatError: If the front piece contradicts the file.
    """
    if len(model) < _FRONT_HEADER.size:
        return model
    _, identifier, mark, length = _FRONT_HEADER.unpack_from(model)
    if identifier != IDENTIFIER or mark != _FRONT_MARK:
        return model
    if length % ALIGNMENT_BYTES or model[length + 4 : length + 8] != IDENTIFIER:
        raise FormatError(
            f"the model says its metadata takes the first {length} bytes, but no "
            "model begins there; convert it again"
        )
    return model[length:]


def put_metadata_front(model: bytes, name: bytes, content: bytes) -> bytes:
    """Add a metadata entry without touching a byte of the model.

    A new root table, new vectors of buffers and metadata, and the content are written
    in front; they refer ahead to the old tables. Everything old keeps its distances
    and, since the front piece is a multiple of 16 bytes, its alignment.

    Args:
        model: A .tflite file without a front piece and without associated files.
        name: The entry's name; an entry of that name is replaced.
        content: The entry's content.

    Returns:
        A .tflite file that ends with `model`, unchanged.

    Raises:
        FormatError: If the model is malformed, has fields unknown to this schema,
            keeps data by absolute offset, or would exceed 2 GiB.
    """
    root = root_table(model, IDENTIFIER)
    if root.field_count() > _MODEL_FIELDS:
        raise FormatError(
            "the model uses a newer schema than this edgedeploy knows; update it"
        )
    _refuse_absolute_offsets(root)
    front = _FrontPiece(root, name, content).assemble()
    if len(front) + len(model) > _LIMIT_BYTES:
        raise FormatError("with metadata the model would exceed 2 GiB")
    return front + model


def _refuse_absolute_offsets(root: Table) -> None:
    shifted = any(
        b.number(_BUFFER_OFFSET, "<Q") > 1 for b in root.tables(_MODEL_BUFFERS)
    )
    shifted = shifted or any(
        operator.number(_OPERATOR_LARGE_OFFSET, "<Q") > 1
        for graph in root.tables(_MODEL_SUBGRAPHS)
        for operator in graph.tables(_SUBGRAPH_OPERATORS)
    )
    if shifted:
        raise FormatError(
            "the model keeps data behind its tables, as files over 2 GiB do; "
            "metadata cannot be added to such a file"
        )


class _FrontPiece:
    """Lays out the tables that go before an existing model."""

    def __init__(self, root: Table, name: bytes, content: bytes) -> None:
        self._root = root
        self._name = name
        self._content = content
        kept = [
            entry.position
            for entry in root.tables(_MODEL_METADATA)
            if entry.content(_METADATA_NAME) != name
        ]
        self._old_metadata = kept
        self._old_buffers = [b.position for b in root.tables(_MODEL_BUFFERS)]

    def assemble(self) -> bytes:
        fields = [slot for slot in range(_MODEL_FIELDS) if self._root.field(slot)]
        fields = sorted({*fields, _MODEL_BUFFERS, _MODEL_METADATA})
        vtable = _FRONT_HEADER.size
        table = vtable + 4 + 2 * _MODEL_FIELDS
        buffers = table + 4 + 4 * len(fields)
        metadata = buffers + 4 + 4 * (len(self._old_buffers) + 1)
        buffer_vtable = metadata + 4 + 4 * (len(self._old_metadata) + 1)
        # Two vtables of 8 bytes and two tables of 8 and 12 bytes, then the name.
        buffer_table = buffer_vtable + 8
        entry_vtable = buffer_table + 8
        entry_table = entry_vtable + 8
        name = entry_table + 12
        data = name + 4 + len(self._name) + 1
        data += -(data + 4) % ALIGNMENT_BYTES
        length = data + 4 + len(self._content)
        length += -length % ALIGNMENT_BYTES

        front = bytearray(length)
        _FRONT_HEADER.pack_into(front, 0, table, IDENTIFIER, _FRONT_MARK, length)
        places = dict.fromkeys(range(_MODEL_FIELDS), 0)
        places.update({slot: 4 + 4 * i for i, slot in enumerate(fields)})
        struct.pack_into(
            f"<{2 + _MODEL_FIELDS}H",
            front,
            vtable,
            4 + 2 * _MODEL_FIELDS,
            4 + 4 * len(fields),
            *places.values(),
        )
        struct.pack_into("<i", front, table, table - vtable)
        for slot in fields:
            at = table + places[slot]
            value = self._root.number(slot, "<I")
            if slot == _MODEL_BUFFERS:
                value = buffers - at
            elif slot == _MODEL_METADATA:
                value = metadata - at
            elif slot != _MODEL_VERSION:
                value = length + self._root.target(slot) - at
            struct.pack_into("<I", front, at, value)
        old = [length + position for position in self._old_buffers]
        _put_vector(front, buffers, [*old, buffer_table])
        old = [length + position for position in self._old_metadata]
        _put_vector(front, metadata, [*old, entry_table])
        struct.pack_into("<4H", front, buffer_vtable, 6, 8, 4, 0)
        at = buffer_table + 4
        struct.pack_into("<iI", front, buffer_table, 8, data - at)
        struct.pack_into("<4H", front, entry_vtable, 8, 12, 4, 8)
        at = entry_table + 4
        index = len(self._old_buffers)
        struct.pack_into("<iII", front, entry_table, 8, name - at, index)
        _put_bytes(front, name, self._name)
        _put_bytes(front, data, self._content)
        return bytes(front)


def _put_vector(front: bytearray, at: int, targets: list[int]) -> None:
    struct.pack_into("<I", front, at, len(targets))
    for place, target in enumerate(targets):
        item = at + 4 + 4 * place
        struct.pack_into("<I", front, item, target - item)


def _put_bytes(front: bytearray, at: int, content: bytes) -> None:
    struct.pack_into("<I", front, at, len(content))
    front[at + 4 : at + 4 + len(content)] = content
