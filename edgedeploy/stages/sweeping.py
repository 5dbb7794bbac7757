"""The child process of a sweep: one network, its weights at every width."""

from __future__ import annotations

import contextlib
import importlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.metrics import answers
from edgedeploy.evaluate.scorecard import scorecard
from edgedeploy.formats.tflite_layout import pack_model, remove_metadata_front
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.contract import ImagePipeline, normalise
from edgedeploy.ondevice.host import usable_cores
from edgedeploy.ondevice.pictures import PictureError, prepare
from edgedeploy.quantize.layers import (
    bias_of,
    copy_model,
    read_float_model,
    set_layer,
    weight_layers,
    weights_of,
)
from edgedeploy.quantize.palette import LINEAR, TABLE, code_weights
from edgedeploy.quantize.wave import scores_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SWEPT = tuple((scheme, bits) for scheme in (LINEAR, TABLE) for bits in range(8, 0, -1))
SHOWN = 12
# Of a scorecard.
_FIGURES = (
    *("top1", "top1_ci95", "top1_drop", "top1_drop_ci95"),
    *("agreement_top1", "agreement_top1_ci95", "mean_kl"),
)


def sweep_widths(
    *,
    progress: Progress,
    model: str,
    pictures: Sequence[str],
    labels: Sequence[int],
    pipeline: Mapping[str, Any],
) -> dict[str, Any]:
    """Measure a network whose weights have 8 to 1 bits; runs in a child process.

    Args:
        progress: Told how many widths are done.
        model: Path of the float32 .tflite file.
        pictures: Paths of evaluation pictures.
        labels: Their classes; -1 where unknown.
        pipeline: The contract, as JSON values.

    Returns:
        `rows`, one a width; `shown`, the answers of the first few pictures, a list
        a width; `decoded`, the indices of the pictures that could be read.

    Raises:
        QuantizationError: If the network has no weights to code, or does not run.
        EvaluationError: If no picture can be decoded.
    """
    contract = ImagePipeline.from_dict(pipeline)
    decoded = _decoded(pictures, contract)
    inputs = list(decoded.values())
    data = remove_metadata_front(Path(model).read_bytes())
    network = read_float_model(data)
    layers = weight_layers(network)
    threads = min(2, usable_cores())
    truth = np.asarray(labels, np.int64)[list(decoded)]
    reference = scores_of(data, inputs, threads)
    empty = copy_model(network)
    for layer in layers:
        empty.buffers[network.subgraphs[0].tensors[layer.weights].buffer].data = None
    rest = pack_model(empty)
    rows = [_row("float32", 32, data, reference, reference, truth)]
    shown = [_answers(reference[:SHOWN])]
    for done, (scheme, bits) in enumerate(SWEPT, start=1):
        changed, packed = copy_model(network), [rest]
        for layer in layers:
            coded = code_weights(weights_of(network, layer), bits, scheme)
            set_layer(changed, layer, coded.restored, bias_of(network, layer))
            packed.append(coded.packed)
        scores = scores_of(pack_model(changed), inputs, threads)
        row = _row(scheme, bits, b"".join(packed), reference, scores, truth)
        rows.append(row)
        shown.append(_answers(scores[:SHOWN]))
        progress(done, len(SWEPT))
    return {"rows": rows, "shown": shown, "decoded": list(decoded)}


def _decoded(
    pictures: Sequence[str], pipeline: ImagePipeline
) -> dict[int, NDArray[np.float32]]:
    """Normalised pictures by their index; those that cannot be decoded are missing."""
    found = {}
    for index, path in enumerate(pictures):
        with contextlib.suppress(PictureError):
            found[index] = normalise(prepare(path, pipeline), pipeline)
    if not found:
        raise EvaluationError(
            f"none of the {len(pictures)} evaluation pictures can be decoded; give "
            "others with --images"
        )
    return found


def how_it_runs(scheme: str, bits: int) -> str:
    """Say what a device would do with such weights."""
    if scheme == "float32":
        return "float kernels"
    if scheme == LINEAR and bits in (4, 8):
        return f"int{bits} kernels"
    if scheme == LINEAR and bits == 3:
        return "int4 kernels, or packed and restored at load"
    return "packed and restored to float32 at load"


def _row(
    scheme: str,
    bits: int,
    data: bytes,
    reference: NDArray[np.float32],
    scores: NDArray[np.float32],
    truth: NDArray[np.int64],
) -> dict[str, Any]:
    card = scorecard([str(row) for row in range(len(truth))], truth, reference, scores)
    return {
        "scheme": scheme,
        "bits": bits,
        "size_bytes": len(data),
        "deflated_bytes": len(zlib.compress(data, 9)),
        "zstd_bytes": _other_size("zstandard", data, _zstd),
        "brotli_bytes": _other_size("brotli", data, _brotli),
        **{field: card[field] for field in _FIGURES},
        "runs": how_it_runs(scheme, bits),
    }


def _other_size(
    name: str, data: bytes, compress: Callable[[Any, bytes], bytes]
) -> int | None:
    """Compressed size by a package that may be installed; None where it is not."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    return len(compress(module, data))


def _zstd(module: Any, data: bytes) -> bytes:
    return bytes(module.ZstdCompressor(level=19).compress(data))


def _brotli(module: Any, data: bytes) -> bytes:
    return bytes(module.compress(data, quality=9))


def _answers(scores: NDArray[np.float32]) -> list[list[float]]:
    """(class, confidence) of each picture."""
    best = answers(scores)
    return [
        [int(one), round(float(row[one]), 4)]
        for one, row in zip(best, scores, strict=True)
    ]
