"""Dropout with masks that a checkpoint can repeat.

LiteRT's own random operators keep hidden state, so a resumed training would differ.
Here the state is three small integers that are saved with the weights.
"""

from __future__ import annotations

from math import prod
from zlib import crc32

import numpy as np

from edgedeploy.training import ops
from edgedeploy.training.graph import Value
from edgedeploy.training.layers.rule import Backward, Call, Gradient, Pass, only_input

# Wichmann and Hill, algorithm AS 183 (1982): three multiplicative generators whose
# fractions are added. Products of two residues stay below 2³¹.
MODULI = (30269, 30307, 30323)
MULTIPLIERS = (171, 172, 170)


def dropout(call: Call) -> tuple[Value, Backward]:
    """Set a share of the numbers to 0 and scale up the rest, in training only."""
    rate = call.layer.setting("rate")
    if not call.run.training or rate == 0.0:
        return call.x, lambda dy, _wanted: only_input(dy)
    kept = ops.select(ops.greater_equal(_uniform(call), rate), 1.0 / (1.0 - rate), 0.0)
    kept = ops.reshape(kept, call.x.shape)

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        return only_input(ops.multiply(dy, kept))

    return ops.multiply(call.x, kept), backward


def next_state(state: Value) -> Value:
    """Advance the generators by one step, int32, shape (3,)."""
    graph = state.graph
    multiplied = ops.multiply(state, graph.constant(np.array(MULTIPLIERS, np.int32)))
    return ops.floor_mod(multiplied, graph.constant(np.array(MODULI, np.int32)))


def _uniform(call: Call) -> Value:
    """Draw from [0, 1), shape (rows, numbers a row)."""
    x, run = call.x, call.run
    if run.rng is None:
        raise AssertionError("a training pass with dropout has a generator")
    rows, numbers = x.shape[0], prod(x.shape[1:])
    # Fixed streams for each row and each number, other ones in every dropout layer.
    seed = crc32(f"{call.layer.name}/{_draw(run)}".encode())
    streams = np.random.default_rng(seed)
    total = None
    for k, modulus in enumerate(MODULI):
        row = streams.integers(1, modulus, (rows, 1)).astype(np.int32)
        column = streams.integers(1, modulus, (1, numbers)).astype(np.int32)
        state = ops.reshape(ops.cut(run.rng, (k,), (1,)), (1, 1))
        mixed = _times(x.graph.constant(row), state, modulus)
        mixed = _times(mixed, x.graph.constant(column), modulus)
        part = ops.multiply(ops.cast(mixed, "float32"), 1.0 / modulus)
        total = part if total is None else ops.add(total, part)
    if total is None:
        raise AssertionError("there are three generators")
    return ops.subtract(total, ops.unary("FLOOR", total))


def _times(a: Value, b: Value, modulus: int) -> Value:
    limit = a.graph.constant(np.array([[modulus]], np.int32))
    return ops.floor_mod(ops.multiply(a, b), limit)


def _draw(run: Pass) -> int:
    run.rng_uses += 1
    return run.rng_uses
