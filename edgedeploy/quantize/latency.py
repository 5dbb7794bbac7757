"""How long a layer takes with few bits, against 8: measured, layer by layer.

The kernels differ by processor and by shape, so no table is kept: each layer is run
alone, its widths in turns, and the fastest run of each counts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.errors import QuantizationError
from edgedeploy.quantize.layers import Layer, read_float_model
from edgedeploy.quantize.solve import WIDE, Solution
from edgedeploy.quantize.wave import cut, prepared
from edgedeploy.quantize.write import write_solved

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WARM, _RUNS = 3, 25


def latency_key(operator: int, width: float) -> str:
    """The name of a layer's width in what `measure_latencies` returns."""
    return f"{operator}-{width:g}"


def measure_latencies(
    model: Any,
    layers: Sequence[Layer],
    solutions: Mapping[tuple[int, float], Solution],
) -> dict[str, float]:
    """Time every layer with every width that was solved.

    Args:
        model: The float32 `ModelT`.
        layers: The layers to time.
        solutions: By operator number and width; 8 bits must be among them.

    Returns:
        Time against that of 8 bits, two decimals, by `latency_key`; one thread.

    Raises:
        QuantizationError: If the runtime cannot run a layer.
    """
    found = {}
    for layer in layers:
        widths = [width for operator, width in solutions if operator == layer.operator]
        pieces = [_piece(model, layer, solutions[layer.operator, w]) for w in widths]
        seconds = dict(zip(widths, _fastest(pieces), strict=True))
        for width in widths:
            ratio = round(seconds[width] / seconds[WIDE], 2)
            found[latency_key(layer.operator, width)] = ratio
    return found


def _piece(model: Any, layer: Layer, solution: Solution) -> bytes:
    """The layer alone, as a model of its own."""
    operator = model.subgraphs[0].operators[layer.operator]
    results = [int(operator.outputs[0])]
    alone = read_float_model(cut(model, [operator], [layer.source], results))
    solved = replace(solution.solved, layer=replace(layer, operator=0))
    return write_solved(alone, [solved])


def _fastest(pieces: Sequence[bytes]) -> list[float]:
    """Seconds of each piece's fastest run, the pieces taking turns."""
    ready = [prepared(piece, 1) for piece in pieces]
    for interpreter in ready:
        source = interpreter.get_input_details()[0]
        interpreter.set_tensor(source["index"], _noise(source["shape"]))
    best = [np.inf] * len(ready)
    try:
        for turn in range(_WARM + _RUNS):
            for number, interpreter in enumerate(ready):
                start = time.perf_counter()
                interpreter.invoke()
                took = time.perf_counter() - start
                if turn >= _WARM:
                    best[number] = min(best[number], took)
    except (ValueError, RuntimeError) as error:
        raise QuantizationError(f"LiteRT cannot run a layer ({error})") from error
    return [float(one) for one in best]


def _noise(shape: Sequence[int]) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=tuple(shape)).astype(np.float32)
