"""Operators that slide a window over pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgedeploy.training.graph import Value

_PADDING = {"same": 0, "valid": 1}


def window_count(size: int, kernel: int, stride: int, padding: str) -> int:
    """Windows along one dimension, by TensorFlow's "same" and "valid" rules."""
    if padding == "same":
        return -(-size // stride)
    return (size - kernel) // stride + 1


def conv_2d(
    x: Value, filters: Value, bias: Value, *, strides: tuple[int, int], padding: str
) -> Value:
    """Convolution by LiteRT's own operator; filters are (out, h, w, in)."""
    co, kh, kw, _ = filters.shape
    fields = _window_fields(strides, padding)
    fields |= {"dilationHFactor": 1, "dilationWFactor": 1}
    return _window(
        "CONV_2D", (x, filters, bias), (kh, kw), strides, padding, co,
        ("Conv2DOptions", fields),
    )  # fmt: skip


def depthwise_conv_2d(
    x: Value, filters: Value, bias: Value, *, strides: tuple[int, int], padding: str
) -> Value:
    """Depthwise convolution; filters are (1, h, w, in·multiplier)."""
    _, kh, kw, co = filters.shape
    fields = _window_fields(strides, padding)
    fields |= {"dilationHFactor": 1, "dilationWFactor": 1}
    fields["depthMultiplier"] = co // x.shape[-1]
    return _window(
        "DEPTHWISE_CONV_2D", (x, filters, bias), (kh, kw), strides, padding, co,
        ("DepthwiseConv2DOptions", fields),
    )  # fmt: skip


def pool_2d(
    kind: str,
    x: Value,
    *,
    size: tuple[int, int],
    strides: tuple[int, int],
    padding: str,
) -> Value:
    """Pool by LiteRT's own operator, "MAX_POOL_2D" or "AVERAGE_POOL_2D"."""
    fields = _window_fields(strides, padding)
    fields |= {"filterHeight": size[0], "filterWidth": size[1]}
    return _window(
        kind, (x,), size, strides, padding, x.shape[-1], ("Pool2DOptions", fields)
    )


def _window(
    name: str,
    inputs: Sequence[Value],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    padding: str,
    channels: int,
    options: tuple[str, dict[str, Any]],
) -> Value:
    x = inputs[0]
    rows = window_count(x.shape[1], kernel[0], strides[0], padding)
    columns = window_count(x.shape[2], kernel[1], strides[1], padding)
    out = x.graph.value((x.shape[0], rows, columns, channels))
    x.graph.operator(name, inputs, (out,), options)
    return out


def _window_fields(strides: tuple[int, int], padding: str) -> dict[str, Any]:
    return {
        "padding": _PADDING[padding],
        "strideH": strides[0],
        "strideW": strides[1],
        "fusedActivationFunction": 0,
    }
