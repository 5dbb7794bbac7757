"""A .tflite file with its weights behind the tables, as LiteRT's quantizer writes."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgedeploy.formats.tflite_layout import pack_model

SHIFTED_BYTES = 64


def with_weights_behind(data):
    """Move every buffer of 64 bytes and more behind the flatbuffer."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    moved = {}
    for number, buffer in enumerate(model.buffers):
        if buffer.data is not None and len(buffer.data) >= SHIFTED_BYTES:
            moved[number] = np.asarray(buffer.data, np.uint8).tobytes()
            buffer.data, buffer.size = None, len(moved[number])
            # Any number that takes room; the place is known when all is packed.
            buffer.offset = 2
    at = len(pack_model(model))
    at += -at % 16
    tail = b"\0" * (at - len(pack_model(model)))
    for number, content in moved.items():
        model.buffers[number].offset = at
        padded = content + b"\0" * (-len(content) % 16)
        tail, at = tail + padded, at + len(padded)
    return pack_model(model) + tail
