"""Batch normalisation, with frozen statistics or with those of the batch.

Ioffe and Szegedy, "Batch Normalization" (2015), sections 3 and 3.1.
"""

from __future__ import annotations

from math import prod

import numpy as np

from edgedeploy.training import ops
from edgedeploy.training.graph import Value
from edgedeploy.training.layers.rule import Backward, Call, Gradient


def batch_normalization(call: Call) -> tuple[Value, Backward]:
    """BatchNormalization over the last dimension."""
    if call.run.training and call.layer.trainable:
        return _batch_statistics(call)
    return _moving_statistics(call)


def _moving_statistics(call: Call) -> tuple[Value, Backward]:
    """Scale and shift by fixed numbers: (x - mean)·gamma/√(variance + ε) + beta."""
    variance = ops.add(call.weights["moving_variance"], call.layer.setting("epsilon"))
    slope = ops.divide(_scale(call), ops.unary("SQRT", variance))
    centred = ops.subtract(call.x, call.weights["moving_mean"])
    y = _shift(call, ops.multiply(centred, slope))

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        return Gradient(inputs=(ops.multiply(dy, slope),))

    return y, backward


def _batch_statistics(call: Call) -> tuple[Value, Backward]:
    """Normalise by the batch's mean and variance, of labelled rows only."""
    x, run = call.x, call.run
    if run.valid is None:
        raise AssertionError("a training pass knows which rows are padding")
    n, c = x.shape[0], x.shape[-1]
    pixels = prod(x.shape[1:-1])
    # A matrix (pictures, pixels, channels) whatever the input's rank.
    cube = ops.reshape(x, (n, pixels, c))
    valid = ops.reshape(run.valid, (n, 1, 1))
    count = ops.maximum(
        ops.multiply(ops.reduce_sum(valid, (0, 1), keep_dims=True), float(pixels)), 1.0
    )

    def mean_of(value: Value) -> Value:
        total = ops.reduce_sum(ops.multiply(value, valid), (0, 1), keep_dims=True)
        return ops.divide(total, count)

    mean = mean_of(cube)
    centred = ops.subtract(cube, mean)
    variance = mean_of(ops.multiply(centred, centred))
    inverse = ops.divide(
        1.0, ops.unary("SQRT", ops.add(variance, call.layer.setting("epsilon")))
    )
    normal = ops.multiply(centred, inverse)
    y = ops.reshape(_shift(call, ops.multiply(normal, _scale(call))), x.shape)
    _move(call, "moving_mean", mean)
    _move(call, "moving_variance", variance)

    def backward(dy: Value, _wanted: tuple[bool, ...]) -> Gradient:
        flow = ops.reshape(dy, cube.shape)
        weights = {}
        if "beta" in call.weights:
            weights["beta"] = ops.reduce_sum(flow, (0, 1))
        if "gamma" in call.weights:
            weights["gamma"] = ops.reduce_sum(ops.multiply(flow, normal), (0, 1))
        inner = ops.multiply(flow, _scale(call))
        along = ops.multiply(normal, _mean(ops.multiply(inner, normal), count))
        rest = ops.subtract(ops.subtract(inner, _mean(inner, count)), along)
        # A padding row moves no statistic, so nothing flows back through it.
        dx = ops.multiply(ops.multiply(rest, inverse), valid)
        return Gradient(inputs=(ops.reshape(dx, x.shape),), weights=weights)

    return y, backward


def _mean(value: Value, count: Value) -> Value:
    return ops.divide(ops.reduce_sum(value, (0, 1), keep_dims=True), count)


def _scale(call: Call) -> Value:
    gamma = call.weights.get("gamma")
    if gamma is None:
        return call.x.graph.constant(np.ones(call.x.shape[-1], np.float32))
    return gamma


def _shift(call: Call, y: Value) -> Value:
    beta = call.weights.get("beta")
    return y if beta is None else ops.add(y, beta)


def _move(call: Call, name: str, batch: Value) -> None:
    """Blend a batch's statistic into the moving one, as Keras does."""
    old = call.weights[name]
    momentum = call.layer.setting("momentum")
    fresh = ops.multiply(ops.reshape(batch, old.shape), 1.0 - momentum)
    key = dict(call.layer.weights)[name]
    call.run.statistics[key] = ops.add(ops.multiply(old, momentum), fresh)
