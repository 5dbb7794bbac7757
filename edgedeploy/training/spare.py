"""Room for classes that a device will add."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgedeploy.errors import TrainingError
from edgedeploy.training.network import Trained

# e⁻⁴: a class that nobody has trained shall hardly ever be an answer, but a step must
# still move it.
_BELOW = 4.0
_MOST = 10_000


def add_classes(trained: Trained, count: int) -> Trained:
    """Add rows of output behind those that a classifier has.

    Args:
        trained: A network that ends with dense and softmax layers.
        count: Rows to add, 1 to 10,000.

    Returns:
        A network of more classes; the old ones keep their weights.

    Raises:
        TrainingError: If the network ends otherwise.
    """
    network = trained.network
    kinds = tuple(layer.kind for layer in network.layers[-2:])
    if kinds != ("dense", "softmax") or not 1 <= count <= _MOST:
        raise TrainingError(
            f"spare_classes takes 1 to {_MOST} rows for a network that ends with a "
            f"dense layer and softmax; received {count} for one that ends with "
            f"{' and '.join(kinds)}"
        )
    dense = network.layers[-2]
    keys = dict(dense.weights)
    if "bias" not in keys:
        raise TrainingError(
            f"layer {dense.name}: spare classes need a bias to be unlikely by; build "
            "it with use_bias=True"
        )
    kernel, bias = trained.weights[keys["kernel"]], trained.weights[keys["bias"]]
    # The mean of the old columns: as likely as an average class, less the margin.
    columns = np.repeat(kernel.mean(1, keepdims=True), count, 1)
    rows = np.full(count, bias.mean() - _BELOW)
    weights = {
        **trained.weights,
        keys["kernel"]: np.concatenate([kernel, columns], 1).astype(np.float32),
        keys["bias"]: np.concatenate([bias, rows]).astype(np.float32),
    }
    classes = network.output_shape[0] + count
    last = {dense.name, network.layers[-1].name}
    shapes = tuple(
        (name, (classes,) if name in last else shape) for name, shape in network.shapes
    )
    return Trained(
        network=replace(network, output_shape=(classes,), shapes=shapes),
        weights=weights,
    )
