"""The size of picture that a .tflite file begins with, and whether it may change.

Schema: TensorFlow Lite's schema.fbs; the numbers of fields are their order there. The
vectors keep their lengths, so both are changed in place and no other byte is.
"""

from __future__ import annotations

import struct

from edgedeploy.errors import FormatError
from edgedeploy.formats.flatbuffer import Table, root_table
from edgedeploy.formats.tflite import IDENTIFIER, summarize

_SUBGRAPHS, _TENSORS, _INPUTS = 2, 0, 1
_SHAPE, _SIGNATURE = 0, 7


def begin_with_size(model: bytes, width: int, height: int) -> bytes:
    """Let a model of open size begin with a size, and stay open.

    The converter writes 1 x 1 for open sizes, which many networks cannot prepare for.

    Args:
        model: A .tflite file with one picture as input, height and width open.
        width: In pixels.
        height: In pixels.

    Returns:
        The file with the size as the input's shape.

    Raises:
        FormatError: If the file is malformed or its input has no open size.
    """
    changed = _changed(model, width, height, pinned=False)
    shape = summarize(changed).inputs[0].shape
    if shape[1:3] != (height, width):
        raise FormatError(f"the model's input has shape {shape} after the change")
    return changed


def pin_size(model: bytes, width: int, height: int) -> bytes:
    """Fix the size of picture, as if the model had been converted for it.

    Args:
        model: A .tflite file with one picture as input, height and width open.
        width: In pixels.
        height: In pixels.

    Returns:
        The file with that size, which cannot be changed at run time.

    Raises:
        FormatError: If the file is malformed or its input has no open size.
    """
    return _changed(model, width, height, pinned=True)


def _changed(model: bytes, width: int, height: int, *, pinned: bool) -> bytes:
    root = root_table(model, IDENTIFIER)
    graphs = root.tables(_SUBGRAPHS)
    if len(graphs) != 1:
        raise FormatError(f"expected one subgraph; found {len(graphs)}")
    tensor = _input(graphs[0])
    changed = bytearray(model)
    places = {
        slot: tensor.vector(slot, 4)[0]
        for slot in (_SHAPE, _SIGNATURE)
        if tensor.vector(slot, 4)[1] == 4
    }
    signature = places.get(_SIGNATURE)
    if _SHAPE not in places or signature is None:
        raise FormatError("the model's input has no open size")
    if struct.unpack_from("<2i", model, signature + 4) != (-1, -1):
        raise FormatError("height and width of the model's input are not both open")
    struct.pack_into("<2i", changed, places[_SHAPE] + 4, height, width)
    if pinned:
        struct.pack_into("<2i", changed, signature + 4, height, width)
    _check_others(graphs[0], bytes(changed))
    return bytes(changed)


def _input(graph: Table) -> Table:
    at, count = graph.vector(_INPUTS, 4)
    tensors = graph.tables(_TENSORS)
    index = struct.unpack_from("<i", graph.data, at)[0] if count == 1 else -1
    if not 0 <= index < len(tensors):
        raise FormatError("expected a model with one input")
    return tensors[index]


def _check_others(graph: Table, changed: bytes) -> None:
    """Insist that no other tensor shares the vectors."""
    own = _input(graph).position
    after = root_table(changed, IDENTIFIER).tables(_SUBGRAPHS)[0].tables(_TENSORS)
    for before, now in zip(graph.tables(_TENSORS), after, strict=True):
        if before.position != own and _sizes(before) != _sizes(now):
            raise FormatError("tensors of the model share their shapes; convert again")


def _sizes(tensor: Table) -> tuple[bytes, ...]:
    return tuple(
        bytes(tensor.data[at : at + 4 * count])
        for at, count in (tensor.vector(slot, 4) for slot in (_SHAPE, _SIGNATURE))
    )
