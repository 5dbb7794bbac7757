"""Rewrites of a network that change no result but save time."""

from __future__ import annotations

from dataclasses import replace

from edgedeploy.training.network import Layer, Network


def fuse_pooling(network: Network) -> Network:
    """Join convolution, 2x2 max-pooling and ReLU wherever they follow each other.

    Args:
        network: As read.

    Returns:
        A network with the same outputs under the same names.
    """
    layers = list(network.layers)
    shapes = dict(network.shapes)
    widest = list(network.shapes)
    for pool in network.layers:
        run = _find_run(network, pool)
        if run is None:
            continue
        convolution, last = run[0], run[-1]
        fused = Layer(
            name=last.name,
            kind="pooled_conv_2d",
            inputs=convolution.inputs,
            settings=(
                ("strides", (1, 1)),
                ("padding", convolution.setting("padding")),
                ("relu", any(layer.kind == "relu" for layer in run)),
            ),
            weights=convolution.weights,
            trainable=convolution.trainable,
            origin=convolution.origin,
        )
        layers[layers.index(convolution)] = fused
        for layer in run[1:]:
            layers.remove(layer)
        # What is pooled is still worked out, and decides how large a chunk may be.
        widest.append((last.name, shapes[convolution.name]))
    return replace(network, layers=tuple(layers), shapes=tuple(widest))


def _find_run(network: Network, pool: Layer) -> list[Layer] | None:
    """Find convolution, [ReLU], pool, [ReLU] with nobody else reading in between."""
    if pool.kind != "max_pooling" or not _is_plain(network, pool):
        return None
    made = {layer.name: layer for layer in network.layers}
    run = [pool]
    if pool.inputs[0] in made and made[pool.inputs[0]].kind == "relu":
        run.insert(0, made[pool.inputs[0]])
    source = made.get(run[0].inputs[0])
    if source is None or source.kind != "conv_2d":
        return None
    if source.setting("strides") != (1, 1):
        return None
    run.insert(0, source)
    behind = network.consumers(pool.name)
    if len(run) == 2 and len(behind) == 1 and behind[0].kind == "relu":
        run.append(behind[0])
    private = all(
        len(network.consumers(layer.name)) == 1 and layer.name != network.output
        for layer in run[:-1]
    )
    return run if private else None


def _is_plain(network: Network, pool: Layer) -> bool:
    """Tell whether a pooling takes every 2x2 block once, without padding."""
    if pool.setting("size") != (2, 2) or pool.setting("strides") != (2, 2):
        return False
    height, width, _ = dict(network.shapes)[pool.inputs[0]]
    even = height % 2 == 0 and width % 2 == 0
    return (pool.setting("padding") == "valid" or even) and min(height, width) > 1
