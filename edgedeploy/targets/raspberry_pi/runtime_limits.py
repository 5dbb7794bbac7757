"""Which operators the 32-bit runtime lacks, so that no bundle ships what cannot load.

Found by trial: a model with one more operator code was loaded by tflite-runtime 2.14.0
and by ai-edge-litert 2.3.0, version by version. Operators that are not listed have the
same newest version in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgedeploy.errors import PackageError
from edgedeploy.formats.tflite import summarize
from edgedeploy.targets.operator_limits import find_newer
from edgedeploy.targets.raspberry_pi.systems import System

# Newest version that tflite-runtime 2.14.0 has; 0 where it lacks the operator.
NEWEST_VERSIONS = {
    "ADD": 5,
    "BROADCAST_TO": 3,
    "CAST": 5,
    "CONCATENATION": 4,
    "CONV_2D": 7,
    "COS": 1,
    "DEQUANTIZE": 5,
    "DILATE": 0,
    "DYNAMIC_UPDATE_SLICE": 1,
    "EMBEDDING_LOOKUP": 3,
    "EQUAL": 4,
    "FILL": 4,
    "FULLY_CONNECTED": 10,
    "GATHER": 6,
    "GATHER_ND": 4,
    "GELU": 2,
    "LOG": 1,
    "MUL": 7,
    "NOT_EQUAL": 3,
    "PACK": 4,
    "PAD": 4,
    "PADV2": 4,
    "QUANTIZE": 3,
    "REDUCE_WINDOW": 0,
    "REVERSE_V2": 3,
    "RSQRT": 2,
    "SIN": 1,
    "SLICE": 6,
    "SOFTMAX": 3,
    "SPLIT": 4,
    "SPLIT_V": 2,
    "SQRT": 1,
    "TRANSPOSE": 6,
    "TRANSPOSE_CONV": 4,
    "UNPACK": 4,
}


def check_models(files: Mapping[str, Path | bytes], system: System) -> None:
    """Refuse models that the system's runtime cannot load.

    Args:
        files: A bundle's, by name; those named models/*.tflite are looked at.
        system: What the bundle is for.

    Raises:
        PackageError: If a model has an operator that is too new, or one of its own.
    """
    if system.runtime != "tflite-runtime":
        return
    for name, source in files.items():
        if name.endswith(".tflite") and (custom := summarize(source).custom_ops):
            raise PackageError(
                f"{name} needs the operator {custom[0]}, which tflite-runtime "
                f"on {system.arch} cannot be given; package for aarch64"
            )
    for name, operator, newest in find_newer(files, NEWEST_VERSIONS):
        raise PackageError(
            f"{name} has {operator.name} of version {operator.version}, of which "
            f"tflite-runtime 2.14.0 on {system.arch} knows {newest or 'none'}. Leave "
            "that recipe out (--recipes float32,int8), or package for aarch64"
        )
