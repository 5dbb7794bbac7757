"""What a .tflite file says of itself: shapes, quantisation, metadata, first operators.

Schema: TensorFlow Lite's schema.fbs, through the object API that LiteRT ships.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.adopt.found import Found, Triple, input_range
from edgedeploy.adopt.outputs import SIGMOID, SOFTMAX, judge_outputs
from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.metadata import read, remove
from edgedeploy.formats.tflite import MALFORMED, TensorInfo, TfliteSummary, summarize
from edgedeploy.ondevice.contract import ImagePipeline
from edgedeploy.ondevice.runtime import Model, ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOAT, QUANTISED = "float32", "quantised"
_NARROW = frozenset({"int8", "uint8", "int4", "int16", "float16", "bfloat16"})
# Operators that pass a picture on as it is.
_PASSED = frozenset({"PAD", "TRANSPOSE", "DEQUANTIZE", "QUANTIZE", "RESHAPE"})


def look_tflite(path: Path) -> Found:
    """Read a .tflite file, and try it on noise.

    Args:
        path: The file.

    Raises:
        FormatError: If the file is damaged.
        InputError: If it is no classifier of RGB pictures.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    summary = summarize(data)
    image = _picture_input(path, summary)
    known = read(data)
    mean, std, reason = _normalisation(data, image)
    if known is not None and len(known.mean) in (1, 3):
        mean, std = _triple(known.mean), _triple(known.std)
        reason = "NormalizationOptions of the model's metadata"
    # A size that may change is stored all the same, or as a single pixel.
    height, width = (size if size > 1 else 0 for size in image.shape[1:3])
    return Found(
        layout=QUANTISED if _is_quantised(summary) else FLOAT,
        width=width,
        height=height,
        classes=int(summary.outputs[0].shape[-1]),
        outputs=_outputs(path, data),
        mean=mean,
        std=std,
        reason=reason,
        labels=known.labels if known else (),
    )


def _picture_input(path: Path, summary: TfliteSummary) -> TensorInfo:
    if len(summary.inputs) != 1 or len(summary.outputs) != 1:
        raise InputError(
            f"{path}: expected one input and one output; found {len(summary.inputs)} "
            f"and {len(summary.outputs)}"
        )
    image = summary.inputs[0]
    if len(image.shape) != 4 or image.shape[3] != 3:
        raise InputError(
            f"{path}: expected an input of shape (1, height, width, 3); found "
            f"{image.shape}. Convert it anew with channels last"
        )
    foreign = (*summary.custom_ops, *summary.flex_ops)
    if foreign:
        raise InputError(
            f"{path}: needs {', '.join(foreign)}, which plain LiteRT does not have; "
            "convert it anew with builtin operators alone"
        )
    return image


def _is_quantised(summary: TfliteSummary) -> bool:
    """Whether anything is narrower than float32, so that nothing is left to narrow."""
    kinds = {dtype for dtype, _ in summary.weight_bytes}
    ends = {summary.inputs[0].dtype, summary.outputs[0].dtype}
    return bool((kinds | ends) & _NARROW)


def _normalisation(
    data: bytes, image: TensorInfo
) -> tuple[Triple | None, Triple | None, str]:
    if image.dtype in ("uint8", "int8") and image.scale and image.scale[0] > 0:
        # Networks are calibrated so that one step of the input is one of a pixel.
        zero = image.zero_point[0] + (128 if image.dtype == "int8" else 0)
        mean, std = float(zero), float(np.float32(1 / image.scale[0]))
        return (
            (mean,) * 3,
            (std,) * 3,
            f"scale and zero point of the {image.dtype} input",
        )
    found = _first_arithmetic(data)
    if found is None:
        return None, None, ""
    mean3, std3 = input_range(*found)
    return mean3, std3, "the graph begins with arithmetic on the picture"


def _first_arithmetic(data: bytes) -> tuple[float, float] | None:
    """Scale and offset that the graph gives its input before anything else."""
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items()}
    try:
        model = schema.ModelT.InitFromPackedBuf(remove(data), 0)
        graph = model.subgraphs[0]
        here, scale, offset, found = int(graph.inputs[0]), 1.0, 0.0, False
        for operator in graph.operators:
            if here not in [int(tensor) for tensor in operator.inputs]:
                continue
            code = model.operatorCodes[operator.opcodeIndex]
            name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            if name not in _PASSED:
                number = _constant(model, operator, here)
                if name not in ("MUL", "DIV", "ADD", "SUB") or number is None:
                    break
                scale, offset = _applied(name, number, scale, offset)
                found = True
            here = int(operator.outputs[0])
    except MALFORMED as error:
        raise FormatError(f"the model's operators contradict it: {error}") from error
    return (scale, offset) if found else None


def _applied(
    name: str, number: float, scale: float, offset: float
) -> tuple[float, float]:
    if name in ("MUL", "DIV"):
        factor = number if name == "MUL" else 1 / (number or 1.0)
        return scale * factor, offset * factor
    return scale, offset + (number if name == "ADD" else -number)


def _constant(model: Any, operator: Any, here: int) -> float | None:
    """Mean of an operator's other operand, where that is a float32 constant."""
    others = [int(tensor) for tensor in operator.inputs if int(tensor) != here]
    if len(others) != 1:
        return None
    tensor = model.subgraphs[0].tensors[others[0]]
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data) or len(data) > 64:
        return None
    return float(np.frombuffer(bytes(data), "<f4").mean())


def _outputs(path: Path, data: bytes) -> str:
    try:
        model = Model(remove(data))
    except ModelError as error:
        raise InputError(f"{path}: {error}") from error
    height, width = model.input.shape[1:3]
    plain = ImagePipeline(width=width, height=height, std=(1.0, 1.0, 1.0))

    def answer(noise: NDArray[np.float32]) -> NDArray[Any]:
        if model.input.quantised:
            return model.scores(np.asarray(noise, np.uint8), plain)
        return model.real(model.invoke(noise))

    return judge_outputs(
        str(path), (height, width, 3), answer, last=_last_activation(data)
    )


def _last_activation(data: bytes) -> str:
    """What the graph ends in, behind what only writes it down in another way."""
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items()}
    try:
        model = schema.ModelT.InitFromPackedBuf(remove(data), 0)
        last = int(model.subgraphs[0].outputs[0])
        for operator in reversed(model.subgraphs[0].operators):
            if last not in [int(tensor) for tensor in operator.outputs]:
                continue
            code = model.operatorCodes[operator.opcodeIndex]
            name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            if name not in ("QUANTIZE", "DEQUANTIZE", "RESHAPE"):
                return {"LOGISTIC": SIGMOID, "SOFTMAX": SOFTMAX}.get(name, "")
            last = int(operator.inputs[0])
    except MALFORMED as error:
        raise FormatError(f"the model's operators contradict it: {error}") from error
    return ""


def _triple(values: tuple[float, ...]) -> Triple:
    first, second, third = values if len(values) == 3 else (values[0],) * 3
    return first, second, third
