"""int8 by LiteRT's own quantizer, from a float32 .tflite file and without TensorFlow.

The quantizer (PyPI `litert-quantizer`) knows tensors by their names and pictures by a
signature's, so a file that lacks either is given them first. Ranges are the least and
the greatest value seen, as the TFLite converter takes them; the quantizer's own
default, a moving average, cuts values off.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgedeploy.convert.ends import take_bytes
from edgedeploy.errors import EdgedeployError, InputError, QuantizationError
from edgedeploy.formats.metadata import remove
from edgedeploy.formats.tflite import read_model_bytes
from edgedeploy.formats.tflite_inline import inline_buffers
from edgedeploy.formats.tflite_layout import pack_model
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.contract import ContractError, ImagePipeline
from edgedeploy.ondevice.host import usable_cores
from edgedeploy.quantize.converter import Representative, representative
from edgedeploy.quantize.cost import Cost
from edgedeploy.quantize.dead_channels import lift_dead_channels
from edgedeploy.quantize.layers import read_float_model

PACKAGE = "litert-quantizer"
_SIGNATURE, _INPUT, _OUTPUT = "serving_default", "image", "scores"
# More threads than these gain little, and each keeps scratch memory.
_THREADS = 2


def quantizer_version() -> str:
    """Version of the installed quantizer.

    Raises:
        InputError: If it is not installed.
    """
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(
            f"int8_lq needs {PACKAGE}, which is not installed here; pip install "
            '"edgedeploy[lq]", or leave int8_lq out of --recipes'
        ) from error


def quantize_with_litert(
    *,
    progress: Progress,
    model: str,
    pipeline: Mapping[str, Any],
    calibration: Sequence[str],
    out: str,
) -> dict[str, Any]:
    """Quantise a float32 .tflite file to int8; runs in a child process.

    Args:
        progress: Told how many calibration pictures are done.
        model: Path of the file.
        pipeline: The contract, as JSON values.
        calibration: Paths of calibration pictures.
        out: Where the .tflite bytes go; uint8 in and out.

    Returns:
        What it cost, see `Cost`.

    Raises:
        InputError: If the quantizer is not installed.
        FormatError: If the file is damaged.
        QuantizationError: If the quantizer does not take the network.
    """
    cost = Cost()
    quantizer_version()
    named = _name_all(inline_buffers(remove(read_model_bytes(Path(model)))))
    contract = ImagePipeline.from_dict(pipeline)
    pictures = representative(calibration, contract, progress)
    # It prints what it does, and raises a dozen types.
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            made = _quantize(pack_model(named), named, pictures)
    except (EdgedeployError, ContractError):
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise QuantizationError(
            f"LiteRT's quantizer refuses this network ({lines[0][:200]}); leave "
            "int8_lq out, the converter's int8 may still take it"
        ) from error
    Path(out).write_bytes(take_bytes(inline_buffers(made)))
    return cost.so_far()


def _quantize(data: bytes, model: Any, pictures: Representative) -> bytes:
    from litert_quantizer import recipe
    from litert_quantizer.calibrator import Calibrator
    from litert_quantizer.quantizer import Quantizer
    from litert_quantizer.recipe_manager import RecipeManager
    from litert_quantizer.utils.qsv_utils import min_max_update

    scheme = recipe.static_wi8_ai8()
    manager = RecipeManager()
    manager.load_quantization_recipe(scheme)
    calibrator = Calibrator(
        data, num_threads=min(_THREADS, usable_cores()), qsv_update_func=min_max_update
    )
    # One at a time: a whole set would be held in memory.
    for (picture,) in pictures():
        calibrator.calibrate({_SIGNATURE: [{_INPUT: picture}]}, manager)
    seen = calibrator.get_model_qsvs()
    lift_dead_channels(
        model,
        {
            name: (float(np.min(ends["min"])), float(np.max(ends["max"])))
            for name, ends in seen.items()
            if "min" in ends and "max" in ends
        },
    )
    quantizer = Quantizer(pack_model(model), scheme)
    result = quantizer.quantize(
        seen,
        enable_progress_bar=False,
        enable_progress_report=False,
    )
    return bytes(result.quantized_model)


def _name_all(data: bytes) -> Any:
    """Read a model, and give it names of its own for tensors, and a signature."""
    from ai_edge_litert import schema_py_generated as schema

    model = read_float_model(data)
    graph = model.subgraphs[0]
    taken: set[bytes] = set()
    for number, tensor in enumerate(graph.tensors):
        name = bytes(tensor.name or b"")
        if not name or name in taken:
            name = b"%s;%d" % (name or b"tensor", number)
        taken.add(name)
        tensor.name = name
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = _SIGNATURE.encode(), 0
    signature.inputs = [_entry(schema, _INPUT, graph.inputs)]
    signature.outputs = [_entry(schema, _OUTPUT, graph.outputs)]
    model.signatureDefs = [signature]
    return model


def _entry(schema: Any, name: str, ends: Sequence[int]) -> Any:
    if len(ends) != 1:
        raise QuantizationError(
            f"int8_lq takes networks of one input and one output; found {len(ends)}"
        )
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), int(ends[0])
    return entry
