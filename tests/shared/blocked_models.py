"""Networks with 4-bit weights, made of float32 ones without pictures."""

import numpy as np

from edgedeploy.quantize.layers import read_float_model, weight_layers
from edgedeploy.quantize.observe import Moments
from edgedeploy.quantize.solve import BLOCKED, NARROW, can_be_blocked, solve_layer
from edgedeploy.quantize.write import write_solved


def give_blocks(data: bytes) -> bytes:
    """Give every layer that can have them a step for every 32 weights."""
    return _solve(data, can_be_blocked, BLOCKED)


def narrow_convolutions(data: bytes) -> bytes:
    """Give convolutions larger than 1x1 weights of 4 bits, a step a channel."""
    return _solve(data, lambda layer: not layer.pointwise, NARROW)


def _solve(data, chosen, width):
    """Solve some layers as if inputs were independent, with mean 0 and variance 1."""
    model = read_float_model(data)
    solved = []
    for layer in filter(chosen, weight_layers(model)):
        inputs = Moments(
            mean=np.zeros(layer.columns),
            second=np.eye(layer.columns, dtype=np.float32),
            pictures=1000,
        )
        solved.append(solve_layer(model, layer, width, inputs).solved)
    return write_solved(model, solved)
