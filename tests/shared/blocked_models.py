"""Networks with a step for every 32 weights, made of float32 ones without pictures."""

import numpy as np

from edgedeploy.quantize.layers import read_float_model, weight_layers
from edgedeploy.quantize.observe import Moments
from edgedeploy.quantize.solve import BLOCKED, can_be_blocked, solve_layer
from edgedeploy.quantize.write import write_solved


def give_blocks(data: bytes) -> bytes:
    """Give every layer that can have them steps for blocks; the others stay float32.

    The inputs are taken to be independent, with a mean of 0 and a variance of 1.
    """
    model = read_float_model(data)
    layers = [layer for layer in weight_layers(model) if can_be_blocked(layer)]
    solved = []
    for layer in layers:
        inputs = Moments(
            mean=np.zeros(layer.columns),
            second=np.eye(layer.columns, dtype=np.float32),
            pictures=1000,
        )
        solved.append(solve_layer(model, layer, BLOCKED, inputs).solved)
    return write_solved(model, solved)
