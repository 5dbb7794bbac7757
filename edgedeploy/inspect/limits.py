"""Why XNNPACK left an operator to the reference kernels: its known limits, in order.

Which kinds it has was measured with LiteRT 2.3.0 on one-operator models, float32 and
int8, and with 4-bit weights; the other limits are those that the delegate's own
messages name. A reason explains a measured refusal; it never decides one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgedeploy.inspect.graph import Graph, Node, Tensor

UNEXPLAINED = "declined, and none of XNNPACK's known limits explains it"
_EIGHT_BIT = ("int8", "uint8")
# What it has for float32 values with weights of a kind.
_HYBRID = {
    "int4": ("FULLY_CONNECTED",),
    "int8": ("CONV_2D", "FULLY_CONNECTED"),
    "uint8": ("CONV_2D", "FULLY_CONNECTED"),
}
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_FLOAT = frozenset(
    """ABS ADD AVERAGE_POOL_2D BATCH_MATMUL CEIL CONCATENATION CONV_2D COS
    DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV ELU EXP EXPAND_DIMS FLOOR
    FULLY_CONNECTED GELU HARD_SWISH LEAKY_RELU LOG LOGISTIC MAXIMUM MAX_POOL_2D MEAN
    MINIMUM MUL NEG PAD PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_N1_TO_1
    RESHAPE RESIZE_BILINEAR ROUND RSQRT SIN SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SQRT
    SQUARE SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM TANH TRANSPOSE
    TRANSPOSE_CONV""".split()  # noqa: SIM905  (names read better without quotes)
)
_FLOAT_ONLY = frozenset(
    """ABS AVERAGE_POOL_2D BATCH_MATMUL DIV EXP GELU HARD_SWISH LOG MAXIMUM MINIMUM
    RELU RELU6 RELU_N1_TO_1 RSQRT SOFTMAX SQRT SQUARED_DIFFERENCE""".split()  # noqa: SIM905
)
# Operators whose second input says how, and must then be known in advance.
_SHAPING = {"RESHAPE": "new shape", "MEAN": "axes", "PAD": "padding", "SUM": "axes"}


def explain(node: Node, graph: Graph, dynamic: frozenset[int]) -> str:
    """Say why XNNPACK did not take an operator.

    Args:
        node: One that it did not take.
        graph: The subgraph that it is in.
        dynamic: The subgraph's `dynamic_tensors`.

    Returns:
        The first known limit that it meets, or `UNEXPLAINED`.
    """
    for limit in _LIMITS:
        reason = limit(node, graph)
        if reason:
            return reason
    if not dynamic.isdisjoint(node.inputs):
        return "a dynamic shape: an input's is computed at run time"
    return UNEXPLAINED


def _unknown(node: Node, _graph: Graph) -> str:
    if node.custom:
        return "a custom operator; the app's own kernel runs it"
    return "" if node.kind in _FLOAT else "XNNPACK has no such operator"


def _dtype(node: Node, graph: Graph) -> str:
    made = {tensor.dtype for tensor in _outputs(node, graph)}
    other = sorted(made - {"float32", *_EIGHT_BIT})
    if other:
        return f"{', '.join(other)} values; XNNPACK has it for float32 and 8 bits"
    if made & set(_EIGHT_BIT) and node.kind in _FLOAT_ONLY:
        return "8-bit values; XNNPACK has it for float32 alone"
    return ""


def _sign(node: Node, graph: Graph) -> str:
    inputs, outputs = _inputs(node, graph), _outputs(node, graph)
    if not inputs or not outputs:
        return ""
    first, made = inputs[0].dtype, outputs[0].dtype
    changes = {first, made} == set(_EIGHT_BIT)
    return f"{first} to {made}; XNNPACK keeps the sign" if changes else ""


def _hybrid(node: Node, graph: Graph) -> str:
    types = [tensor.dtype for tensor in _inputs(node, graph)]
    if node.kind not in _WEIGHTED or "float32" not in types or len(types) < 2:
        return ""
    has = _HYBRID.get(types[1])
    if has is None or node.kind in has:
        return ""
    return f"float32 values with {types[1]} weights; XNNPACK has {' and '.join(has)} so"


def _not_constant(node: Node, graph: Graph) -> str:
    inputs = _inputs(node, graph)
    if node.kind in _WEIGHTED and len(inputs) > 1 and not inputs[1].constant:
        return "weights that are computed; XNNPACK packs constant ones"
    if node.kind in _SHAPING and len(inputs) > 1 and not inputs[1].constant:
        return f"a dynamic shape: its {_SHAPING[node.kind]} is computed at run time"
    return ""


def _quantisation(node: Node, graph: Graph) -> str:
    for tensor in (*_inputs(node, graph), *_outputs(node, graph)):
        wrong = [scale for scale in tensor.scale if not _usable(scale)]
        if wrong:
            return f"the scale {wrong[0]:g} of tensor {tensor.name!r}"
    return ""


def _no_bias(node: Node, graph: Graph) -> str:
    without = node.kind in ("CONV_2D", "DEPTHWISE_CONV_2D") and (
        len(_inputs(node, graph)) < 3
    )
    return "no bias; XNNPACK's convolutions need one" if without else ""


def _activation(node: Node, _graph: Graph) -> str:
    bad = node.activation in ("TANH", "SIGN_BIT")
    return f"the fused activation {node.activation}" if bad else ""


def _rank(node: Node, graph: Graph) -> str:
    most = max((len(t.shape) for t in _outputs(node, graph)), default=0)
    return f"{most} dimensions; XNNPACK has up to 6" if most > 6 else ""


def dynamic_tensors(graph: Graph) -> frozenset[int]:
    """Find the tensors whose shape is known only when the model runs.

    Args:
        graph: A subgraph.

    Returns:
        Numbers of the tensors that a shape computed at run time leads to.
    """
    found: set[int] = set()
    # The file lists operators in the order of execution, so one pass is enough.
    for node in graph.nodes:
        computed = node.kind in _SHAPING and _not_constant(node, graph)
        if computed or not found.isdisjoint(node.inputs):
            found.update(node.outputs)
    return frozenset(found)


_LIMITS: tuple[Callable[[Node, Graph], str], ...] = (
    _unknown,
    _dtype,
    _sign,
    _hybrid,
    _not_constant,
    _quantisation,
    _no_bias,
    _activation,
    _rank,
)


def _usable(scale: float) -> bool:
    # The smallest normal float32; XNNPACK refuses what is below.
    return math.isfinite(scale) and scale >= 2.0**-126


def _inputs(node: Node, graph: Graph) -> list[Tensor]:
    return [graph.tensors[index] for index in node.inputs if index >= 0]


def _outputs(node: Node, graph: Graph) -> list[Tensor]:
    return [graph.tensors[index] for index in node.outputs]
