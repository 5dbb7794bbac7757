"""Which operators are too new for the LiteRT that the app project and the AAR ask for.

Found by trial with the Python package of the same release (x86-64), against
ai-edge-litert 2.3.0. Android's library of it was not at hand; both are built of one
source. Operators that are not listed have the same newest version in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgedeploy.errors import PackageError
from edgedeploy.targets.operator_limits import find_newer

# The release that the table is of; the app's catalogue pins it.
RELEASE = "1.4.0"
NEWEST_VERSIONS = {
    "ADD": 5,
    "BROADCAST_TO": 3,
    "CAST": 7,
    "CONCATENATION": 4,
    "COS": 1,
    "DEQUANTIZE": 6,
    "DYNAMIC_UPDATE_SLICE": 4,
    "EMBEDDING_LOOKUP": 4,
    "EQUAL": 4,
    "FILL": 4,
    "FULLY_CONNECTED": 13,
    "GATHER": 7,
    "GATHER_ND": 5,
    "GELU": 2,
    "MUL": 7,
    "NOT_EQUAL": 3,
    "PACK": 4,
    "PAD": 4,
    "PADV2": 4,
    "QUANTIZE": 3,
    "REVERSE_V2": 3,
    "SIN": 1,
    "SLICE": 6,
    "SOFTMAX": 3,
    "SPLIT": 4,
    "SPLIT_V": 2,
    "SQRT": 1,
    "TRANSPOSE": 7,
    "UNPACK": 4,
}


def check_models(files: Mapping[str, Path | bytes]) -> None:
    """Refuse models that the pinned LiteRT cannot load.

    Args:
        files: A package's, by name.

    Raises:
        PackageError: If a model has an operator that is too new.
    """
    for name, operator, newest in find_newer(files, NEWEST_VERSIONS):
        raise PackageError(
            f"{name} has {operator.name} of version {operator.version}, of which "
            f"LiteRT {RELEASE}, that this kind of package asks for, knows {newest}. "
            "Leave that recipe out of --recipes, make int4_mixed with --prefer "
            "fastest, or take --kind assets in an app with LiteRT 2.1 or later"
        )


def describe_newer(files: Mapping[str, Path | bytes]) -> tuple[str, ...]:
    """Say which models an app needs a newer LiteRT for.

    Args:
        files: Models by name.

    Returns:
        One line a model.
    """
    lines = {
        name: f"{name} has {operator.name} of version {operator.version}: LiteRT "
        f"{RELEASE} refuses it (it knows {newest}), so your app needs a later one"
        for name, operator, newest in find_newer(files, NEWEST_VERSIONS)
    }
    return tuple(lines.values())
