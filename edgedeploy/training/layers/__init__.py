"""The rules: how each kind of layer is run, and how gradients flow back through it."""

from __future__ import annotations

from edgedeploy.training.layers import (
    activations,
    convolution,
    dense,
    depthwise,
    dropout,
    merging,
    normalization,
    pooled_convolution,
    pooling,
    shapes,
)
from edgedeploy.training.layers.rule import Rule

RULES: dict[str, Rule] = {
    "relu": activations.relu,
    "relu6": activations.relu6,
    "sigmoid": activations.sigmoid,
    "tanh": activations.tanh,
    "softmax": activations.softmax,
    "conv_2d": convolution.convolution,
    "pooled_conv_2d": pooled_convolution.pooled_convolution,
    "depthwise_conv_2d": depthwise.depthwise,
    "dense": dense.dense,
    "max_pooling": pooling.max_pooling,
    "average_pooling": pooling.average_pooling,
    "global_average_pooling": pooling.global_average_pooling,
    "batch_normalization": normalization.batch_normalization,
    "dropout": dropout.dropout,
    "add": merging.add,
    "concatenate": merging.concatenate,
    "reshape": shapes.reshape,
    "zero_padding": shapes.zero_padding,
    "rescaling": shapes.rescaling,
}
