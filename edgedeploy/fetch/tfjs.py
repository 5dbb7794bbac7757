"""Decode a TensorFlow.js layers model that was bundled into minified JavaScript.

`model.min.js` exports `{modelTopology, weightsManifest}`; for each path of the manifest
`<path>.min.js` exports the shard's bytes as a Base64 string. The manifest is that of
TensorFlow.js' layers format: groups of tensors that lie one after another in the
group's joined shards, some quantised affinely as `value = stored * scale + min`.
No JavaScript is run.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import WeightsError
from edgedeploy.fetch.jsliteral import parse_literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL_CAP_BYTES = 16 << 20
SHARD_CAP_BYTES = 256 << 20
_EXPORT = re.compile(r"\.exports=")
_SHARD = re.compile(r'"([A-Za-z0-9+/]*={0,2})"(?=[,;)}\s]|$)')
_DTYPES = {"float32": "<f4", "int32": "<i4", "uint8": "|u1", "uint16": "<u2"}


def decode_layers_model(
    folder: Path,
) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """Read a model's topology and weights.

    Args:
        folder: With `model.min.js` and the shards.

    Returns:
        The topology, as Keras' JSON, and the weights by name, dequantised to float32.

    Raises:
        WeightsError: If a file is missing, damaged, or more than data.
    """
    text = _read_text(folder / "model.min.js", MODEL_CAP_BYTES)
    model = parse_literal(text, _find_export(text, "{", "model.min.js"), "model.min.js")
    topology, manifest = model.get("modelTopology"), model.get("weightsManifest")
    if not isinstance(topology, dict) or not isinstance(manifest, list):
        raise WeightsError("model.min.js should hold modelTopology and weightsManifest")
    weights: dict[str, NDArray[np.float32]] = {}
    for group in manifest:
        try:
            paths = [str(path) for path in group["paths"]]
            entries = list(group["weights"])
        except (TypeError, KeyError) as error:
            raise WeightsError(
                "model.min.js: a weights group should have paths and weights"
            ) from error
        data = b"".join(_read_shard(folder, path) for path in paths)
        for name, array in _split(data, entries).items():
            if weights.setdefault(name, array) is not array:
                raise WeightsError(f"model.min.js names the weight {name!r} twice")
    return topology, weights


def _read_text(path: Path, most_bytes: int) -> str:
    try:
        if path.stat().st_size > most_bytes:
            raise WeightsError(f"{path.name} is larger than {most_bytes} bytes")
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise WeightsError(f"{path.name} is not UTF-8 text") from error
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error


def _find_export(text: str, opening: str, subject: str) -> int:
    """Return where the one exported literal with this opening begins."""
    ends = [match.end() for match in _EXPORT.finditer(text)]
    found = [end for end in ends if text.startswith(opening, end)]
    if len(found) != 1:
        raise WeightsError(
            f"{subject} should export one value that begins with {opening}; found "
            f"{len(found)}"
        )
    return found[0]


def _read_shard(folder: Path, path: str) -> bytes:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", path):
        raise WeightsError(f"model.min.js names the shard {path!r:.80}; refused")
    name = f"{path}.min.js"
    text = _read_text(folder / name, SHARD_CAP_BYTES)
    match = _SHARD.match(text, _find_export(text, '"', name))
    if match is None:
        raise WeightsError(f"{name} should export one Base64 string")
    try:
        return base64.b64decode(match[1], validate=True)
    except binascii.Error as error:
        raise WeightsError(f"{name} holds damaged Base64: {error}") from error


def _split(data: bytes, entries: list[Any]) -> dict[str, NDArray[np.float32]]:
    arrays: dict[str, NDArray[np.float32]] = {}
    offset = 0
    for entry in entries:
        name, shape, dtype, scale, low = _read_entry(entry)
        count = math.prod(shape)
        end = offset + count * dtype.itemsize
        if end > len(data):
            raise WeightsError(
                f"weight {name!r} should end at byte {end}; the shards have {len(data)}"
            )
        if name in arrays:
            raise WeightsError(f"model.min.js names the weight {name!r} twice")
        stored = np.frombuffer(data, dtype, count, offset)
        # JavaScript computes in float64 and rounds on storing.
        with np.errstate(over="ignore", invalid="ignore"):
            values = stored.astype(np.float64) * scale + low
            arrays[name] = values.astype(np.float32).reshape(shape)
        if not np.isfinite(arrays[name]).all():
            raise WeightsError(f"weight {name!r} holds numbers that are not finite")
        offset = end
    if offset != len(data):
        raise WeightsError(
            f"the weights take {offset} bytes; the shards have {len(data)}"
        )
    return arrays


def _read_entry(
    entry: Any,
) -> tuple[str, tuple[int, ...], np.dtype[Any], float, float]:
    try:
        name, shape = entry["name"], tuple(entry["shape"])
        quantised = entry.get("quantization")
        stored = entry["dtype"] if quantised is None else quantised["dtype"]
        dtype = np.dtype(_DTYPES[stored])
        scale = 1.0 if quantised is None else float(quantised["scale"])
        low = 0.0 if quantised is None else float(quantised["min"])
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"model.min.js describes a weight that cannot be read: {entry!r:.120}"
        ) from error
    sizes_fit = all(type(size) is int and 0 < size < 1 << 31 for size in shape)
    if not isinstance(name, str) or not sizes_fit or len(shape) > 8:
        raise WeightsError(f"model.min.js: {name!r:.80} has the shape {shape!r:.80}")
    return name, shape, dtype, scale, low
