"""What was worked out about a network's layers, kept for other budgets and reruns."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.quantize.layers import Layer
from edgedeploy.quantize.solve import BLOCKED, Solution, stored_bits
from edgedeploy.quantize.solver.blocks import BLOCK
from edgedeploy.quantize.write import SolvedLayer
from edgedeploy.workspace import atomic_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KINDS = {"codes": np.int8, "steps": np.float32, "bias": np.float32}
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)

Solutions = dict[tuple[int, float], Solution]
"""By operator number and width of the grid."""


def keep_solutions(
    path: Path,
    solutions: Mapping[tuple[int, float], Solution],
    factors: NDArray[np.float64],
) -> None:
    """Write solutions to an .npz file.

    Args:
        path: Where; a file there is replaced at once.
        solutions: By operator number and width of the grid.
        factors: What the network's channels were divided by before, shape (groups,).
    """
    arrays: dict[str, Any] = {"factors": factors}
    for (operator, width), one in solutions.items():
        name = f"{operator}-{width:g}"
        for kind, dtype in _KINDS.items():
            arrays[f"{name}-{kind}"] = np.asarray(getattr(one.solved, kind), dtype)
        arrays[f"{name}-error"] = np.float64(one.error)
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def remembered_solutions(
    path: Path, wanted: Sequence[tuple[Layer, float]], groups: int
) -> tuple[Solutions, NDArray[np.float64]] | None:
    """Read what `keep_solutions` wrote.

    Args:
        path: The file.
        wanted: Layers and widths that must be in it.
        groups: How many factors must be in it.

    Returns:
        The solutions and factors; None where the file is missing, damaged or of other
        layers.
    """
    found: Solutions = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            factors = arrays["factors"]
            if factors.shape != (groups,) or factors.dtype != np.float64:
                return None
            if not (np.isfinite(factors) & (factors > 0)).all():
                return None
            for layer, width in wanted:
                name = f"{layer.operator}-{width:g}"
                parts = {kind: arrays[f"{name}-{kind}"] for kind in _KINDS}
                error = float(arrays[f"{name}-error"])
                if not _is_whole(layer, width, parts) or not np.isfinite(error):
                    return None
                solved = SolvedLayer(layer=layer, bits=stored_bits(width), **parts)
                found[layer.operator, width] = Solution(solved=solved, error=error)
    except _DAMAGE:
        return None
    return found, factors


def _is_whole(layer: Layer, width: float, parts: Mapping[str, NDArray[Any]]) -> bool:
    blocks = (layer.columns // BLOCK,) if width == BLOCKED else ()
    shapes = {
        "codes": (layer.rows, layer.columns),
        "steps": (layer.rows, *blocks),
        "bias": (layer.rows,),
    }
    return all(
        parts[kind].shape == shapes[kind] and parts[kind].dtype == dtype
        for kind, dtype in _KINDS.items()
    )


def keep_costs(path: Path, costs: Mapping[str, float]) -> None:
    """Write layer costs, by operator number as text."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(dict(costs), sort_keys=True))


def remembered_costs(path: Path) -> dict[str, float]:
    """Read layer costs; none where the file is missing or damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {
        key: float(value)
        for key, value in values.items()
        if key.isdecimal() and isinstance(value, (int, float)) and np.isfinite(value)
    }
