"""The child process of a sweep: one network, its weights at every width."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import EvaluationError, QuantizationError
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
from edgedeploy.quantize.palette import SCHEMES, Coded, code_weights
from edgedeploy.quantize.wave import prepared
from edgedeploy.stages.sweep_measures import Answers, Likeness
from edgedeploy.stages.sweep_sizes import how_it_runs, sizes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SWEPT = tuple((scheme, bits) for scheme in SCHEMES for bits in range(8, 0, -1))


def sweep_widths(
    *,
    progress: Progress,
    model: str,
    pictures: Sequence[str],
    labels: Sequence[int],
    pipeline: Mapping[str, Any],
    folder: str = "",
    shown: Sequence[int] = (),
) -> dict[str, Any]:
    """Measure a network whose weights have 8 to 1 bits; runs in a child process.

    Args:
        progress: Told how many widths are done.
        model: Path of the float32 .tflite file.
        pictures: Paths of evaluation pictures.
        labels: Their classes; -1 where unknown.
        pipeline: The contract, as JSON values.
        folder: Where the output pictures go, for a network that gives pictures; ""
            for a classifier.
        shown: Indices of the pictures whose output is kept there.

    Returns:
        `rows`, one a width; `kept`, what was answered, a list a width; `decoded`, the
        indices of the pictures that could be read; `notes`, a line each.

    Raises:
        QuantizationError: If the network has no weights to code, or does not run.
        EvaluationError: If no picture can be decoded, or the outputs are not what
            they should be.
    """
    contract = ImagePipeline.from_dict(pipeline)
    data = remove_metadata_front(Path(model).read_bytes())
    decoded = _decoded(pictures, contract)
    inputs = list(decoded.values())
    network = read_float_model(data)
    reference = _outputs(data, inputs, contract)
    measure: Answers | Likeness
    if folder:
        places = [list(decoded).index(one) for one in shown if one in decoded]
        measure = Likeness(reference, contract, Path(folder), places)
    else:
        truth = np.asarray(labels, np.int64)[list(decoded)]
        measure = Answers(reference, truth)
    rows = [_row("float32", 32, data, measure, reference)]
    kept = [measure.keep(reference, "float32")]
    rest = _without_weights(network)
    for done, (scheme, bits) in enumerate(SWEPT, start=1):
        coded, changed = _coded(network, bits, scheme)
        outputs = _outputs(pack_model(changed), inputs, contract)
        packed = b"".join([rest, *(one.packed for one in coded)])
        row = _row(scheme, bits, packed, measure, outputs)
        rows.append({**row, **_for_kernels(rest, coded)})
        kept.append(measure.keep(outputs, f"{scheme}-{bits}"))
        progress(done, len(SWEPT))
    return {
        "rows": rows,
        "kept": kept,
        "decoded": list(decoded),
        "notes": list(measure.notes),
    }


def _row(
    scheme: str,
    bits: int,
    data: bytes,
    measure: Answers | Likeness,
    outputs: NDArray[Any],
) -> dict[str, Any]:
    return {
        "scheme": scheme,
        "bits": bits,
        **sizes_of(data),
        "kernel_bytes": None,
        "kernel_deflated_bytes": None,
        **measure.figures(outputs),
        "runs": how_it_runs(scheme, bits),
    }


def _for_kernels(rest: bytes, coded: Sequence[Coded]) -> dict[str, Any]:
    """Sizes of the file that integer kernels could run; none for tables."""
    if not all(one.for_kernels for one in coded):
        return {}
    wide = sizes_of(b"".join([rest, *(one.for_kernels for one in coded)]))
    return {
        "kernel_bytes": wide["size_bytes"],
        "kernel_deflated_bytes": wide["deflated_bytes"],
    }


def _without_weights(network: Any) -> bytes:
    empty = copy_model(network)
    for layer in weight_layers(network):
        empty.buffers[network.subgraphs[0].tensors[layer.weights].buffer].data = None
    return pack_model(empty)


def _coded(network: Any, bits: int, scheme: str) -> tuple[list[Coded], Any]:
    """Every layer's codes, and the network with the weights that they stand for."""
    changed, found = copy_model(network), []
    for layer in weight_layers(network):
        coded = code_weights(weights_of(network, layer), bits, scheme)
        set_layer(changed, layer, coded.restored, bias_of(network, layer))
        found.append(coded)
    return found, changed


def _decoded(
    pictures: Sequence[str], pipeline: ImagePipeline
) -> dict[int, NDArray[np.uint8]]:
    """Pixels by their index; pictures that cannot be decoded are missing."""
    found = {}
    for index, path in enumerate(pictures):
        with contextlib.suppress(PictureError):
            found[index] = prepare(path, pipeline)
    if not found:
        raise EvaluationError(
            f"none of the {len(pictures)} evaluation pictures can be decoded; give "
            "others with --images"
        )
    return found


def _outputs(
    data: bytes, inputs: Sequence[NDArray[np.uint8]], pipeline: ImagePipeline
) -> NDArray[Any]:
    """What the network gives for each picture, shape (pictures, …)."""
    interpreter = prepared(data, min(2, usable_cores()))
    source = interpreter.get_input_details()[0]
    output = interpreter.get_output_details()[0]["index"]

    def run() -> Iterator[NDArray[Any]]:
        for pixels in inputs:
            plain = source["dtype"] == np.uint8
            tensor = pixels if plain else normalise(pixels, pipeline)
            interpreter.set_tensor(source["index"], tensor[None])
            interpreter.invoke()
            yield np.asarray(interpreter.get_tensor(output))[0]

    try:
        return np.stack(list(run()))
    except (ValueError, RuntimeError) as error:
        raise QuantizationError(f"LiteRT cannot run the model ({error})") from error
