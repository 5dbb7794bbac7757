"""LiteRT's C interface as ctypes sees it: numbers, structures, the library.

Declarations follow LiteRT 2.3.0 (litert/c: litert_any.h, litert_common.h,
litert_compiled_model.h, litert_custom_op_kernel.h, litert_environment_options.h,
litert_layout.h, litert_model.h, litert_options.h, litert_tensor_buffer.h); other minor
versions are refused, since LiteRT changed signatures between 2.1 and 2.3.
"""

from __future__ import annotations

import ctypes
import importlib.util
from ctypes import c_char_p, c_int, c_int32, c_uint32, c_void_p
from pathlib import Path
from typing import Any

from .installed import runtime_version
from .tensors import ModelError

LITERT_MINOR = (2, 3)
CPU = 1
READ, WRITE = 0, 1
CUSTOM_OP_CODE = 32
ANY_INTEGER = 2
# Environment: what to register, and from which severity on to write to stderr.
ACCELERATORS_TAG, SEVERITY_TAG, ERRORS_ONLY = 24, 25, 3
DTYPES = {1: "float32", 2: "int32", 3: "uint8", 7: "int16", 9: "int8"}
PER_TENSOR = 1
MAX_RANK = 8


class OperatorError(ModelError):
    """An operator's library is missing, does not fit, or failed."""


class Layout(ctypes.Structure):
    """LiteRtLayout: rank and sizes of a tensor."""

    _fields_ = (
        ("rank", c_uint32, 7),
        ("has_strides", c_uint32, 1),
        ("dimensions", c_int32 * MAX_RANK),
        ("strides", c_uint32 * MAX_RANK),
    )


class TensorType(ctypes.Structure):
    """LiteRtRankedTensorType: element type and layout."""

    _fields_ = (("element_type", c_int32), ("layout", Layout))


class PerTensor(ctypes.Structure):
    """LiteRtQuantizationPerTensor: one step and one zero point."""

    _fields_ = (("scale", ctypes.c_float), ("zero_point", ctypes.c_int64))


class AnyValue(ctypes.Structure):
    """LiteRtAny, as far as it holds integers."""

    _fields_ = (("type", c_int), ("integer", ctypes.c_int64))


class EnvironmentOption(ctypes.Structure):
    """LiteRtEnvOption: a tag with its value."""

    _fields_ = (("tag", c_int), ("value", AnyValue))


class Kernel(ctypes.Structure):
    """LiteRtCustomOpKernel: the four functions of an operator."""

    _fields_ = (
        ("init", c_void_p),
        ("get_output_layouts", c_void_p),
        ("run", c_void_p),
        ("destroy", c_void_p),
    )


class DeclaredOperator(ctypes.Structure):
    """EdgedeployOp of operators/sources/edgedeploy_op.h."""

    _fields_ = (
        ("name", c_char_p),
        ("version", c_int32),
        ("state_bytes", c_int32),
        ("kernel", Kernel),
    )


def load_litert() -> Any:
    """Load LiteRT's C library so that the operators find its functions.

    Raises:
        OperatorError: If it is missing, or of a version with other signatures.
    """
    version = runtime_version("litert")
    minor = tuple(version.split(".")[:2]) if version else ()
    if minor != tuple(str(part) for part in LITERT_MINOR):
        raise OperatorError(
            "operators of one's own need ai-edge-litert "
            f"{'.'.join(map(str, LITERT_MINOR))}.x; found {version or 'none'}"
        )
    spec = importlib.util.find_spec("ai_edge_litert")
    folders = spec.submodule_search_locations if spec else None
    path = Path(next(iter(folders or ()), ".")) / "libLiteRt.so"
    try:
        return ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise OperatorError(
            f"{path}: LiteRT's C library does not load ({error}); install "
            "ai-edge-litert again"
        ) from error
