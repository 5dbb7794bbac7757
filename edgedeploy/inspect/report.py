"""Everything that can be told of a .tflite file, as one value."""

from __future__ import annotations

import hashlib
import stat
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.metadata_reader import read as read_metadata
from edgedeploy.formats.operator_versions import newest, runtime_since
from edgedeploy.formats.tflite import WAY_OUT, read_model_bytes, summarize
from edgedeploy.inspect.delegation import Delegation, measure_delegation
from edgedeploy.inspect.graph import Graph, read_graphs
from edgedeploy.inspect.limits import dynamic_tensors, explain

if TYPE_CHECKING:
    from edgedeploy.formats.metadata_reader import ModelMetadata
    from edgedeploy.formats.tflite import SignatureInfo, TensorInfo, TfliteSummary

SCHEMA = 1
# A .tflite file's tables end at 2 GiB; the weights may lie behind them.
_LIMIT_BYTES = 8 << 30
_PACKAGES = (".aab", ".aar", ".apk", ".deb", ".tar.gz", ".tgz", ".zip")


def inspect_model(path: Path) -> dict[str, Any]:
    """Say what a .tflite file holds and how LiteRT would run it.

    Args:
        path: The file, anybody's.

    Returns:
        JSON values: {"schema": 1, "path", "size_bytes", "sha256", "description",
        "subgraphs", "inputs", "outputs": [tensor], "signatures", "operators",
        "xnnpack", "weight_bytes": {dtype: bytes}, "min_runtime_version": {"declared",
        "operators"}, "flexible", "metadata", "associated_files", "unmeasured":
        {field: reason}}. What could not be measured is None.

    Raises:
        InputError: If there is no such file, or it is no sound .tflite file.
    """
    data = _read(path)
    try:
        summary = summarize(data)
        graphs = read_graphs(data)
    except FormatError as error:
        # It is the user's file, and another one would help.
        reason = str(error).removesuffix(f"; {WAY_OUT}")
        raise InputError(
            f"{path}: not a sound .tflite file ({reason}); {WAY_OUT}"
        ) from error
    unmeasured: dict[str, str] = {}
    delegation = measure_delegation(path, graphs[0])
    return {
        "schema": SCHEMA,
        "path": str(path),
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "description": summary.description,
        "subgraphs": len(graphs),
        "inputs": [_tensor(tensor) for tensor in summary.inputs],
        "outputs": [_tensor(tensor) for tensor in summary.outputs],
        "signatures": [_listed(signature) for signature in summary.signatures],
        "operators": _operators(summary, graphs, delegation, unmeasured),
        "xnnpack": _xnnpack(graphs, delegation, unmeasured),
        "weight_bytes": dict(summary.weight_bytes),
        "min_runtime_version": _min_runtime_version(summary, unmeasured),
        "flexible": _flexible(summary),
        **_metadata(data, summary, unmeasured),
        "unmeasured": unmeasured,
    }


def _read(path: Path) -> bytes:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no such file to inspect") from error
    # A pipe would be waited for without end.
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path}: expected a .tflite file; this is no plain file")
    if path.name.lower().endswith(_PACKAGES):
        raise InputError(
            f"{path}: expected a .tflite file; this is a package: check it with "
            "inv verify --path, or unpack it and inspect the model inside"
        )
    if found.st_size > _LIMIT_BYTES:
        raise InputError(
            f"{path}: {found.st_size} bytes, over the limit of {_LIMIT_BYTES}"
        )
    return read_model_bytes(path)


def _listed(value: SignatureInfo | ModelMetadata) -> dict[str, Any]:
    """Give a value's fields with lists for tuples, as JSON has them."""
    return {
        name: list(field) if isinstance(field, tuple) else field
        for name, field in asdict(value).items()
    }


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "shape_signature": list(tensor.shape_signature),
        "scale": tensor.scale[0] if tensor.scale else 0.0,
        "zero_point": tensor.zero_point[0] if tensor.zero_point else 0,
    }


def _operators(
    summary: TfliteSummary,
    graphs: tuple[Graph, ...],
    delegation: Delegation,
    unmeasured: dict[str, str],
) -> list[dict[str, Any]]:
    """Count each version of an operator, and what XNNPACK took and left of it."""
    graph, taken = graphs[0], delegation.taken
    took: Counter[tuple[str, int]] = Counter()
    left: dict[tuple[str, int], Counter[str]] = {}
    dynamic = dynamic_tensors(graph)
    for index, node in enumerate(graph.nodes if taken is not None else ()):
        key = (node.kind, node.version)
        if taken is not None and index in taken:
            took[key] += 1
        else:
            reason = explain(node, graph, dynamic)
            left.setdefault(key, Counter())[reason] += 1
    if len(graphs) > 1:
        unmeasured["operators.*.xnnpack"] = (
            "the runtime tells of the first subgraph alone; "
            f"{len(graphs) - 1} more are counted but not looked into"
        )
    return [
        {
            "name": operator.name,
            "version": operator.version,
            "count": operator.count,
            "custom": operator.custom,
            "xnnpack": None
            if taken is None
            else {
                "taken": took[operator.name, operator.version],
                "left": dict(left.get((operator.name, operator.version), {})),
            },
        }
        for operator in summary.operators
    ]


def _xnnpack(
    graphs: tuple[Graph, ...], delegation: Delegation, unmeasured: dict[str, str]
) -> dict[str, Any] | None:
    if delegation.taken is None:
        unmeasured["xnnpack"] = delegation.unmeasured
        return None
    return {
        "runtime": delegation.runtime,
        "operators": len(graphs[0].nodes),
        "taken": len(delegation.taken),
        "partitions": delegation.partitions,
    }


def _min_runtime_version(
    summary: TfliteSummary, unmeasured: dict[str, str]
) -> dict[str, str | None]:
    field = "min_runtime_version"
    since = {
        f"{op.name}@{op.version}": runtime_since(op.name, op.version)
        for op in summary.operators
        if not op.custom
    }
    unknown = sorted(name for name, version in since.items() if version is None)
    if summary.min_runtime_version is None:
        unmeasured[f"{field}.declared"] = "the converter did not write it down"
    if unknown:
        unmeasured[f"{field}.operators"] = (
            f"no version is known here for {', '.join(unknown)}"
        )
    known = [version for version in since.values() if version]
    return {
        "declared": summary.min_runtime_version,
        "operators": None if unknown else newest(known),
    }


def _flexible(summary: TfliteSummary) -> list[dict[str, Any]]:
    """List the inputs and outputs with sizes that may change, and which those are."""
    return [
        {
            "tensor": tensor.name,
            "role": role,
            "dimensions": [
                axis for axis, size in enumerate(tensor.shape_signature) if size < 0
            ],
        }
        for role, tensors in (("input", summary.inputs), ("output", summary.outputs))
        for tensor in tensors
        if any(size < 0 for size in tensor.shape_signature)
    ]


def _metadata(
    data: bytes, summary: TfliteSummary, unmeasured: dict[str, str]
) -> dict[str, Any]:
    content: dict[str, Any] | None = None
    files: list[str] = []
    try:
        metadata = read_metadata(data)
    except FormatError as error:
        unmeasured["metadata.tflite"] = str(error)
        metadata = None
    if metadata is not None:
        content = _listed(metadata)
        files = content.pop("files")
    return {
        "metadata": {"entries": list(summary.metadata_names), "tflite": content},
        "associated_files": files,
    }
