"""Fully connected layers."""

from __future__ import annotations

from edgedeploy.training import ops
from edgedeploy.training.graph import Value
from edgedeploy.training.layers.rule import Backward, Call, Gradient


def dense(call: Call) -> tuple[Value, Backward]:
    """x·W + b; dW = xᵀ·dy, db = Σ dy, dx = dy·Wᵀ."""
    x, kernel = call.x, call.weights["kernel"]
    bias = call.weights.get("bias")
    y = _product(x, kernel)
    if bias is not None:
        y = ops.add(y, bias)

    def backward(dy: Value, wanted: tuple[bool, ...]) -> Gradient:
        rows = ops.flat_rows(dy)
        weights = {}
        if call.layer.trainable:
            columns = ops.transpose(ops.flat_rows(x), (0, 2, 1))
            weights["kernel"] = ops.reshape(ops.matmul(columns, rows), kernel.shape)
            if bias is not None:
                weights["bias"] = ops.reduce_sum(rows, (0, 1))
        dx = None
        if wanted[0]:
            wide = ops.reshape(kernel, (1, *kernel.shape))
            dx = ops.reshape(ops.matmul(rows, wide, transpose_b=True), x.shape)
        return Gradient(inputs=(dx,), weights=weights)

    return y, backward


def _product(x: Value, kernel: Value) -> Value:
    if x.graph.open_batch:
        return ops.matmul(x, kernel)
    product = ops.matmul(ops.flat_rows(x), ops.reshape(kernel, (1, *kernel.shape)))
    return ops.reshape(product, (*x.shape[:-1], kernel.shape[-1]))
