"""Losses: their value, and their gradient with respect to the network's output."""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.errors import TrainingError
from edgedeploy.training import ops
from edgedeploy.training.graph import Value

LOSSES = ("categorical_crossentropy", "mse")
# Below this, a probability's logarithm is taken as that of this.
_SMALLEST = 1e-30


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """A batch's labels, and which rows have any.

    Attributes:
        y: Shape (batch, classes).
        valid: 1.0 for rows with a label, 0.0 for rows of zeros; shape (batch, 1).
        count: Rows with a label, at least 1; shape (1, 1).
    """

    y: Value
    valid: Value
    count: Value


def read_labels(y: Value) -> Labels:
    """Tell rows with a label from padding, which is all zeros."""
    size = ops.reduce_sum(ops.unary("ABS", y), (-1,), keep_dims=True)
    valid = ops.minimum(ops.multiply(size, 1e30), 1.0)
    count = ops.maximum(ops.reduce_sum(valid, (0,), keep_dims=True), 1.0)
    return Labels(y=y, valid=valid, count=count)


def loss_value(loss: str, output: Value, labels: Labels) -> Value:
    """Mean loss of the rows that have a label, shape (1,).

    Args:
        loss: A name of `LOSSES`.
        output: Probabilities (after softmax) or values, shape (batch, classes).
        labels: As read.

    Returns:
        The value.
    """
    if loss == "mse":
        error = ops.multiply(ops.subtract(output, labels.y), labels.valid)
        each = ops.multiply(ops.multiply(error, error), 1.0 / output.shape[-1])
    else:
        log = ops.unary("LOG", ops.maximum(output, _SMALLEST))
        each = ops.multiply(ops.multiply(log, labels.y), -1.0)
    total = ops.reduce_sum(each, (0, 1), keep_dims=True)
    return ops.reshape(ops.divide(total, labels.count), (1,))


def loss_gradient(loss: str, output: Value, labels: Labels) -> Value:
    """Gradient of the mean loss, shape (batch, classes).

    For categorical_crossentropy it is that of softmax's *input*, s·Σy - y, which
    needs no division by small probabilities; the softmax layer itself is passed over.

    Args:
        loss: A name of `LOSSES`.
        output: As of `loss_value`.
        labels: As read.

    Returns:
        The gradient; 0 in rows of padding.
    """
    if loss == "mse":
        error = ops.multiply(ops.subtract(output, labels.y), labels.valid)
        return ops.divide(ops.multiply(error, 2.0 / output.shape[-1]), labels.count)
    mass = ops.reduce_sum(labels.y, (-1,), keep_dims=True)
    error = ops.subtract(ops.multiply(output, mass), labels.y)
    return ops.divide(error, labels.count)


def check_loss(loss: str, last_kind: str, output_shape: tuple[int, ...]) -> None:
    """Refuse a loss that does not fit the network's end.

    Raises:
        TrainingError: With what would fit.
    """
    if loss not in LOSSES:
        raise TrainingError(f"loss must be {' or '.join(LOSSES)}; received {loss!r}")
    if len(output_shape) != 1:
        raise TrainingError(
            f"the output of a trained model is one row a picture; found shape "
            f"{output_shape}; end with Flatten or pooling"
        )
    if loss == "categorical_crossentropy" and last_kind != "softmax":
        raise TrainingError(
            f"categorical_crossentropy needs a network that ends with softmax; found "
            f"{last_kind} at its end; add Softmax, or take loss mse"
        )
