"""Several models in one .tflite file: a signature each, and equal weights once.

Tables: TensorFlow Lite's schema.fbs. A model's subgraph is taken over as it is; only
the numbers of its operator codes and buffers change, and buffers of equal content
become one. Tensors and operators that are equal after that are written once too, since
FlatBuffers lets two vectors refer to one table; quantisation scales lie there. Names of
inner tensors, which nothing reads, are left out, as they would keep tables apart. So
models with a common part, heads on one backbone say, share it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from edgedeploy.errors import FormatError
from edgedeploy.formats.metadata import remove
from edgedeploy.formats.tflite import MALFORMED, summarize
from edgedeploy.formats.tflite_layout import pack_model

_SCHEMA_VERSION = 3
_MIN_RUNTIME = "min_runtime_version"
# As TensorFlow writes it: padded, so that a later tool can overwrite it in place.
_MIN_RUNTIME_BYTES = 16


def merge_models(models: Mapping[str, bytes]) -> bytes:
    """Put models into one file.

    Args:
        models: .tflite files by the signature that each gets; TFLite Metadata and
            associated files are left out, since they describe a file with one model.

    Returns:
        A .tflite file; the first model is its main subgraph. The same models in the
        same order give the same bytes.

    Raises:
        FormatError: If there are none, or one is malformed, has more than one subgraph
            (control flow), or keeps data behind its tables.
    """
    from ai_edge_litert import schema_py_generated as schema

    if not models:
        raise FormatError("merging needs at least one model; received none")
    merger = _Merger()
    for key, data in models.items():
        bare = remove(data)
        # A walk with bounds first: the object API below has none.
        summary = summarize(bare)
        try:
            merger.add(key, schema.ModelT.InitFromPackedBuf(bare, 0))
        except MALFORMED as error:
            raise FormatError(f"{key}: the model cannot be merged: {error}") from error
        merger.need_runtime(summary.min_runtime_version)
    return pack_model(merger.finish())


class _Shared:
    """A table that is written once, whatever refers to it."""

    def __init__(self, table: Any, written: dict[bytes, int]) -> None:
        self.table, self._written = table, written

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the object API's name
        import flatbuffers

        alone = flatbuffers.Builder(256)
        alone.Finish(self.table.Pack(alone))
        content = type(self.table).__name__.encode() + bytes(alone.Output())
        if content not in self._written:
            self._written[content] = self.table.Pack(builder)
        return self._written[content]


class _Merger:
    """Collects the tables of the merged model."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._codes: dict[tuple[int, bytes, int], int] = {}
        # Buffer 0 is the empty one, by the schema's rule.
        self._buffers: dict[str, int] = {}
        self._min_runtime: tuple[int, ...] = ()
        self._written: dict[bytes, int] = {}
        self._model = schema.ModelT()
        self._model.version = _SCHEMA_VERSION
        self._model.description = b"edgedeploy functions"
        self._model.operatorCodes = []
        self._model.subgraphs = []
        self._model.signatureDefs = []
        self._model.buffers = [schema.BufferT()]

    def add(self, key: str, model: Any) -> None:
        if len(model.subgraphs) != 1:
            raise FormatError(
                f"{key}: has {len(model.subgraphs)} subgraphs; models with control "
                "flow cannot be merged"
            )
        (graph,) = model.subgraphs
        codes = [self._code(code) for code in model.operatorCodes]
        buffers = [self._buffer(key, buffer) for buffer in model.buffers]
        for operator in graph.operators:
            if operator.largeCustomOptionsOffset > 1:
                raise FormatError(f"{key}: keeps options behind its tables")
            operator.opcodeIndex = codes[operator.opcodeIndex]
        for tensor in graph.tensors:
            tensor.buffer = buffers[tensor.buffer]
        ends = {int(tensor) for tensor in (*graph.inputs, *graph.outputs)}
        for number, tensor in enumerate(graph.tensors):
            if number not in ends:
                tensor.name = None
        graph.tensors = [_Shared(tensor, self._written) for tensor in graph.tensors]
        graph.operators = [_Shared(one, self._written) for one in graph.operators]
        graph.name = key.encode()
        self._model.subgraphs.append(graph)
        self._model.signatureDefs.append(self._signature(key, model, graph))

    def need_runtime(self, version: str | None) -> None:
        parts = (version or "").split(".")
        if all(part.isdigit() for part in parts):
            self._min_runtime = max(self._min_runtime, tuple(map(int, parts)))

    def finish(self) -> Any:
        if self._min_runtime:
            text = ".".join(map(str, self._min_runtime)).encode()
            entry = self._schema.MetadataT()
            entry.name = _MIN_RUNTIME
            entry.buffer = self._keep(text.ljust(_MIN_RUNTIME_BYTES, b"\0"))
            self._model.metadata = [entry]
        return self._model

    def _code(self, code: Any) -> int:
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        identity = kind, bytes(code.customCode or b""), code.version
        if identity not in self._codes:
            self._codes[identity] = len(self._model.operatorCodes)
            self._model.operatorCodes.append(code)
        return self._codes[identity]

    def _buffer(self, key: str, buffer: Any) -> int:
        if buffer.offset > 1:
            raise FormatError(f"{key}: keeps data behind its tables, as over 2 GiB")
        if buffer.data is None or not len(buffer.data):
            return 0
        return self._keep(bytes(buffer.data))

    def _keep(self, content: bytes) -> int:
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._buffers:
            buffer = self._schema.BufferT()
            buffer.data = content
            self._buffers[digest] = len(self._model.buffers)
            self._model.buffers.append(buffer)
        return self._buffers[digest]

    def _signature(self, key: str, model: Any, graph: Any) -> Any:
        """Take a model's own names over, or its tensors' where it has none."""
        made = self._schema.SignatureDefT()
        made.signatureKey = key.encode()
        made.subgraphIndex = len(self._model.subgraphs) - 1
        own = model.signatureDefs[0] if model.signatureDefs else None
        made.inputs = own.inputs if own else self._entries(graph, graph.inputs)
        made.outputs = own.outputs if own else self._entries(graph, graph.outputs)
        return made

    def _entries(self, graph: Any, tensors: Any) -> list[Any]:
        entries = []
        for tensor in tensors:
            entry = self._schema.TensorMapT()
            entry.name = graph.tensors[tensor].table.name
            entry.tensorIndex = int(tensor)
            entries.append(entry)
        return entries
