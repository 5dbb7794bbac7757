"""Solve a network's layers one after another, each for the inputs it will get."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.quantize.layers import (
    DENSE,
    DEPTHWISE,
    Layer,
    bias_of,
    copy_model,
    set_layer,
    weights_of,
)
from edgedeploy.quantize.observe import Moments, Samples
from edgedeploy.quantize.solver.clipping import clipped_steps
from edgedeploy.quantize.solver.compensate import corrected_bias, refit_weights
from edgedeploy.quantize.solver.gptq import solve
from edgedeploy.quantize.solver.grid import round_to_grid
from edgedeploy.quantize.wave import Wave
from edgedeploy.quantize.write import SolvedLayer

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Pixels of one feature map that are looked at; neighbours say much the same.
POSITIONS = 64
# Where there are fewer samples than this a weight, a refit would learn them by heart.
_SAMPLES_PER_INPUT = 2
# How strongly few pictures pull the second moments towards their diagonal. Pixels of
# one picture resemble each other: 96 pictures gave 4,704 samples of a layer with 320
# inputs, and solved without a pull it did worse on other pictures than plain rounding.
_TRUST = 8.0


def solve_network(
    reference: Any,
    layers: Sequence[Layer],
    bits: Mapping[int, int],
    pictures: Sequence[NDArray[np.float32]],
    *,
    threads: int,
    seed: int,
    tick: Callable[[], None],
) -> tuple[SolvedLayer, ...]:
    """Solve layers in the order in which they run.

    Args:
        reference: The float32 network, a `ModelT`; it is left as it was.
        layers: Its layers, in order.
        bits: Width of each layer's codes by operator number; 32 leaves it alone.
        pictures: Calibration pictures, normalised.
        threads: Threads of the interpreters.
        seed: Of the sampling.
        tick: Called after each layer.

    Returns:
        The solved layers, in order.

    Raises:
        QuantizationError: If a layer cannot be solved, or the runtime fails.
    """
    current = copy_model(reference)
    before = Wave(reference, pictures, threads)
    after = Wave(reference, pictures, threads)
    solved = []
    for layer in layers:
        width = bits[layer.operator]
        if width < 32:
            before.advance(reference, layer.operator)
            after.advance(current, layer.operator)
            samples = Samples(layer, POSITIONS, seed)
            for number in range(len(pictures)):
                samples.add(
                    before.read(layer.source, number), after.read(layer.source, number)
                )
            one = solve_layer(reference, layer, width, samples.moments(), refit=True)
            set_layer(current, layer, one.weights(), one.bias)
            solved.append(one)
        tick()
    return tuple(solved)


def solve_alone(
    reference: Any,
    layers: Sequence[Layer],
    bits: int,
    pictures: Sequence[NDArray[np.float32]],
    *,
    threads: int,
    seed: int,
    skip: Collection[int],
) -> Iterator[SolvedLayer]:
    """Solve each layer as if all others stayed float32.

    The arguments are as above; layers whose operator number is in `skip` are passed.
    """
    wave = Wave(reference, pictures, threads)
    for layer in layers:
        # Those passed are stopped at too: where the wave rests is rounded.
        wave.advance(reference, layer.operator)
        if layer.operator in skip:
            continue
        samples = Samples(layer, POSITIONS, seed)
        for number in range(len(pictures)):
            samples.add(wave.read(layer.source, number))
        yield solve_layer(reference, layer, bits, samples.moments(), refit=False)


def solve_layer(
    reference: Any, layer: Layer, bits: int, moments: Moments, *, refit: bool
) -> SolvedLayer:
    """Solve one layer.

    Args:
        reference: The float32 network, a `ModelT`.
        layer: Which layer.
        bits: Width of its codes, 4 or 8.
        moments: Of its inputs.
        refit: Whether to make up for the errors of the layers before it.

    Raises:
        QuantizationError: If its weights or inputs are not finite.
    """
    weights, bias = weights_of(reference, layer), bias_of(reference, layer)
    if layer.kind == DEPTHWISE:
        squares = np.diagonal(moments.second, axis1=1, axis2=2)
        # An input that never varies is still multiplied, and moves the bias.
        steps = clipped_steps(weights, squares + 1e-6, bits).astype(np.float32)
        codes = round_to_grid(weights, steps, bits).astype(np.int8)
        means = (moments.mean, moments.quantised_mean)
        shift = (weights * means[0] - codes * steps[:, None] * means[1]).sum(axis=1)
        moved = np.asarray(bias + shift, np.float32)
    else:
        enough = moments.count >= _SAMPLES_PER_INPUT * layer.columns
        wanted = weights
        if refit and enough:
            wanted = refit_weights(weights, moments.second, moments.cross).astype(
                np.float32
            )
        codes, steps = solve(wanted, _trusted(moments, layer), bits)
        moved = corrected_bias(
            bias, weights, moments.mean, codes * steps[:, None], moments.quantised_mean
        )
    return SolvedLayer(layer=layer, bits=bits, codes=codes, steps=steps, bias=moved)


def _trusted(moments: Moments, layer: Layer) -> NDArray[np.float64]:
    """Second moments, pulled towards their diagonal where samples are few."""
    second = moments.second
    if layer.kind == DENSE:
        # The mean of few pictures is uncertain, so it counts as variance too.
        second = second + np.outer(moments.quantised_mean, moments.quantised_mean) * 0.1
    pull = layer.columns / (layer.columns + _TRUST * moments.pictures)
    pulled = second * (1 - pull)
    diagonal = np.diag_indices(len(pulled))
    pulled[diagonal] = second[diagonal]
    return np.asarray(pulled)
