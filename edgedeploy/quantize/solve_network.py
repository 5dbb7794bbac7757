"""Solve every layer of a network, with every width that it may get."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.quantize.channels import group_channels
from edgedeploy.quantize.equalise import (
    Scaling,
    find_scaling,
    scale_model,
    scale_moments,
)
from edgedeploy.quantize.evidence import SEED
from edgedeploy.quantize.layers import Layer
from edgedeploy.quantize.observe import observe_network
from edgedeploy.quantize.remember import (
    Solutions,
    keep_solutions,
    remembered_solutions,
)
from edgedeploy.quantize.search import weight_of
from edgedeploy.quantize.solve import solve_layer

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SolvedNetwork:
    """A network's solved layers.

    Attributes:
        model: The float32 `ModelT` that they belong to: channels are scaled, so that
            they suit the grids; its answers are what they were.
        solutions: By operator number and width.
    """

    model: Any
    solutions: Solutions


def solve_network(
    model: Any,
    layers: Sequence[Layer],
    wanted: Sequence[tuple[Layer, float]],
    pictures: Sequence[NDArray[np.float32]],
    *,
    scale: bool,
    threads: int,
    memory: Path,
    tick: Callable[[], None],
) -> SolvedNetwork:
    """Observe a network, scale its channels and solve its layers.

    Args:
        model: The float32 `ModelT`; it is left as it was.
        layers: Its layers.
        wanted: Layers and widths.
        pictures: Normalised, each of shape (height, width, 3).
        scale: Whether channels may be scaled for the sake of the grids. Codes that use
            their grid well deflate worse, so not where the download counts.
        threads: Threads of the interpreter.
        memory: File where all of it is kept for reruns.
        tick: Called after each picture and each layer.

    Raises:
        QuantizationError: If the network cannot be run or solved.
    """
    channels = group_channels(model, layers)
    known = remembered_solutions(memory, wanted, len(channels.free))
    if known is not None:
        for _ in (*pictures, *layers):
            tick()
        solutions, factors = known
        scaling = Scaling(channels=channels, factors=factors)
        scaled = scale_model(model, layers, scaling)
        return SolvedNetwork(model=scaled, solutions=solutions)
    moments = observe_network(
        model,
        layers,
        pictures,
        threads=threads,
        seed=SEED,
        tick=tick,
        weigh=weight_of,
    )
    if scale:
        scaling = find_scaling(model, layers, moments, channels)
    else:
        scaling = Scaling(channels=channels, factors=np.ones(len(channels.free)))
    scaled = scale_model(model, layers, scaling)
    solutions = {}
    for layer in layers:
        # Taken out: those of a large network are half a gigabyte.
        seen = scale_moments(layer, moments.pop(layer.operator), scaling)
        for one, width in wanted:
            if one == layer:
                solved = solve_layer(scaled, layer, width, seen)
                solutions[layer.operator, width] = solved
        tick()
    keep_solutions(memory, solutions, scaling.factors)
    return SolvedNetwork(model=scaled, solutions=solutions)
