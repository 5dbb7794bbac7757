"""What a SavedModel's operators say: its Rescaling layer, and what it ends in.

Keras names operators after their layer, in its second release and its third:
`model/rescaling/mul` multiplies with the constant `model/rescaling/Cast/x`.
"""

from __future__ import annotations

import re
from typing import Any

from edgedeploy.adopt.outputs import LINEAR, SIGMOID, SOFTMAX

_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
# What only writes answers down in another way.
_WRITTEN = frozenset({"Identity", "Reshape", "Squeeze"})
_ENDS = {
    "Sigmoid": SIGMOID,
    "Softmax": SOFTMAX,
    "AddV2": LINEAR,
    "BiasAdd": LINEAR,
    "MatMul": LINEAR,
}
# Functions call functions, and a hostile file's call themselves.
_MOST_STEPS = 1000
_MULTIPLIES = re.compile(r"(?:.*/)?rescaling(?:_\d+)*/[Mm]ul")
_ADDS = re.compile(r"(?:.*/)?rescaling(?:_\d+)*/[Aa]dd(?:V2)?")


def saved_rescaling(graph: Any) -> tuple[float, float] | None:
    """Find the scale and the offset of a Rescaling layer.

    Args:
        graph: A `MetaGraphDef`.

    Returns:
        (scale, offset), or None where no operator is named as such a layer's.
    """
    for nodes in (graph.graph_def.node, *_functions(graph)):
        by_name = {node.name: node for node in nodes}
        scale = _operand(by_name, _MULTIPLIES)
        if scale is not None:
            return scale, _operand(by_name, _ADDS) or 0.0
    return None


def saved_ending(graph: Any, tensor: str) -> str:
    """Find what the answers of a graph are made by.

    Args:
        graph: A `MetaGraphDef`.
        tensor: The output, as a signature names it.

    Returns:
        "softmax", "sigmoid", "linear", or "" for anything else.
    """
    functions = {one.signature.name: one for one in graph.graph_def.library.function}
    by_name = {node.name: node for node in graph.graph_def.node}
    for _ in range(_MOST_STEPS):
        node = _named(by_name, tensor)
        if node is None:
            return ""
        if node.op in _CALLS:
            function = functions.get(node.attr["f"].func.name)
            _, _, index = tensor.rpartition(":")
            place = int(index) if index.isdecimal() else 0
            if function is None or place >= len(function.signature.output_arg):
                return ""
            by_name = {one.name: one for one in function.node_def}
            tensor = function.ret[function.signature.output_arg[place].name]
        elif node.op in _WRITTEN and node.input:
            tensor = node.input[0]
        else:
            return _ENDS.get(node.op, "")
    return ""


def _functions(graph: Any) -> list[Any]:
    return [function.node_def for function in graph.graph_def.library.function]


def _operand(by_name: dict[str, Any], pattern: re.Pattern[str]) -> float | None:
    """The constant that the first operator of a name computes with."""
    import tensorflow as tf

    for name, node in by_name.items():
        if not pattern.fullmatch(name):
            continue
        for source in node.input:
            other = _named(by_name, source)
            if other is not None and other.op == "Cast":
                other = _named(by_name, other.input[0])
            if other is not None and other.op == "Const":
                return float(tf.make_ndarray(other.attr["value"].tensor).mean())
    return None


def _named(by_name: dict[str, Any], source: str) -> Any:
    """The operator that gives an input, which carries the output's name too."""
    return by_name.get(source.lstrip("^").partition(":")[0])
