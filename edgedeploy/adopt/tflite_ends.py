"""What a .tflite graph begins with and ends in.

Schema: TensorFlow Lite's schema.fbs, through the object API that LiteRT ships.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgedeploy.errors import FormatError
from edgedeploy.formats.metadata import remove
from edgedeploy.formats.tflite import MALFORMED

# Operators that pass a picture on as it is.
_PASSED = frozenset({"PAD", "TRANSPOSE", "DEQUANTIZE", "QUANTIZE", "RESHAPE"})
# What only writes answers down in another way.
_WRITTEN = frozenset({"QUANTIZE", "DEQUANTIZE", "RESHAPE"})
_ARITHMETIC = frozenset({"MUL", "DIV", "ADD", "SUB"})
# Constants of more bytes are no scale or offset of three channels.
_MOST_BYTES = 64
Affine = tuple[float, float]


def first_arithmetic(data: bytes) -> Affine | None:
    """Find the scale and the offset that a graph gives its input before all else.

    Args:
        data: The .tflite file.

    Returns:
        (scale, offset) of real numbers, or None where it begins with other things.

    Raises:
        FormatError: If the operators contradict the file.
    """
    try:
        model = _parse(data)
        here, scale, offset, found = _first_tensor(model), 1.0, 0.0, False
        for name, operator in _operators(model):
            if here not in [int(tensor) for tensor in operator.inputs]:
                continue
            if name not in _PASSED:
                step = _affine(model, name, operator, here)
                if step is None:
                    break
                scale, offset = scale * step[0], offset * step[0] + step[1]
                found = True
            here = int(operator.outputs[0])
    except MALFORMED as error:
        raise _contradiction(error) from error
    return (scale, offset) if found else None


def quantised_range(data: bytes) -> tuple[float, float] | None:
    """Find the numbers for which a float input is made 8-bit ones, first of all.

    Args:
        data: The .tflite file.

    Returns:
        The least and the largest number, or None where the graph does not begin so.

    Raises:
        FormatError: If the operators contradict the file.
    """
    try:
        model = _parse(data)
        here = _first_tensor(model)
        for name, operator in _operators(model):
            if here not in [int(tensor) for tensor in operator.inputs]:
                continue
            if name != "QUANTIZE":
                return None
            tensor = model.subgraphs[0].tensors[int(operator.outputs[0])]
            lowest = {"INT8": -128, "UINT8": 0}.get(_type_of(tensor))
            steps = _steps(tensor)
            if lowest is None or steps is None or steps[0] <= 0:
                return None
            low = (lowest - steps[1]) * steps[0]
            return low, low + 255 * steps[0]
    except MALFORMED as error:
        raise _contradiction(error) from error
    return None


def last_operator(data: bytes) -> str:
    """Name the operator that a graph ends in, such as "SOFTMAX"; "" where none is.

    Args:
        data: The .tflite file.

    Raises:
        FormatError: If the operators contradict the file.
    """
    try:
        model = _parse(data)
        last = int(model.subgraphs[0].outputs[0])
        for name, operator in reversed(list(_operators(model))):
            if last not in [int(tensor) for tensor in operator.outputs]:
                continue
            if name not in _WRITTEN:
                return str(name)
            last = int(operator.inputs[0])
    except MALFORMED as error:
        raise _contradiction(error) from error
    return ""


def _parse(data: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(remove(data), 0)


def _operators(model: Any) -> Iterator[tuple[str, Any]]:
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items()}
    for operator in model.subgraphs[0].operators:
        code = model.operatorCodes[operator.opcodeIndex]
        yield names[max(code.builtinCode, code.deprecatedBuiltinCode)], operator


def _first_tensor(model: Any) -> int:
    return int(model.subgraphs[0].inputs[0])


def _affine(model: Any, name: str, operator: Any, here: int) -> Affine | None:
    """What an operator multiplies with and adds; None where it does other things."""
    tensors = [int(tensor) for tensor in operator.inputs]
    if name not in _ARITHMETIC or len(tensors) != 2 or tensors[0] == tensors[1]:
        return None
    reverse = tensors[1] == here
    number = _constant(model, tensors[0] if reverse else tensors[1])
    if number is None:
        return None
    return apply_number(name, number, reverse=reverse)


def apply_number(name: str, number: float, *, reverse: bool) -> Affine | None:
    """Give the scale and the offset that an operator with one number is.

    Args:
        name: "MUL", "DIV", "ADD" or "SUB".
        number: The other operand.
        reverse: Whether it is the first, as in 1 - x.

    Returns:
        (scale, offset), or None where it is none, as with 1 / x or 0 * x.
    """
    if name in ("ADD", "SUB"):
        if name == "ADD":
            return 1.0, number
        return (-1.0, number) if reverse else (1.0, -number)
    if number == 0 or (name == "DIV" and reverse):
        return None
    return (number if name == "MUL" else 1 / number), 0.0


def _constant(model: Any, index: int) -> float | None:
    """Mean of a tensor's real numbers, where it is a small constant."""
    tensor = model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    if data is None or not 0 < len(data) <= _MOST_BYTES:
        return None
    kind = _type_of(tensor)
    if kind == "FLOAT32":
        return float(np.frombuffer(bytes(data), "<f4").mean())
    stored = {"INT8": "i1", "UINT8": "u1", "INT16": "<i2", "INT32": "<i4"}.get(kind)
    steps = _steps(tensor)
    if stored is None or steps is None:
        return None
    numbers = np.frombuffer(bytes(data), stored).astype(np.float64)
    return float(((numbers - steps[1]) * steps[0]).mean())


def _type_of(tensor: Any) -> str:
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.TensorType).items()}
    return str(names.get(tensor.type, ""))


def _steps(tensor: Any) -> tuple[float, int] | None:
    """Scale and zero point of a tensor that is quantised as one."""
    known = tensor.quantization
    if known is None or known.scale is None or len(known.scale) != 1:
        return None
    zeros = known.zeroPoint
    zero = int(zeros[0]) if zeros is not None and len(zeros) else 0
    return float(known.scale[0]), zero


def _contradiction(error: Exception) -> FormatError:
    return FormatError(f"the model's operators contradict it: {error}")
