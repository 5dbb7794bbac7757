"""Which operators a loaded network left to LiteRT's own kernels, and whether it may.

After allocation LiteRT lists the file's operators, and after them one DELEGATE for
each part of the graph that XNNPACK took, with the tensors on its border. Walking back
from such a part's outputs to its inputs gives the operators inside.

Steps for blocks of weights need XNNPACK: LiteRT's own kernel reads such a file and
answers nonsense (measured with 2.1.0 to 2.3.0; releases before them refuse the file).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DELEGATE = "DELEGATE"


@dataclass(frozen=True, kw_only=True)
class Delegation:
    """What XNNPACK took of a network.

    Attributes:
        delegate: "XNNPACK" where it took at least one operator, else "none".
        fallback: Operators that it left to slower kernels, with how many of each.
        blockwise: How many of them have a step for every few weights.
    """

    delegate: str
    fallback: Mapping[str, int]
    blockwise: int


def observe_delegation(interpreter: Any) -> Delegation:
    """See what XNNPACK took.

    Args:
        interpreter: A LiteRT interpreter whose tensors are allocated.
    """
    listed = interpreter._get_ops_details()
    own = [node for node in listed if node["op_name"] != DELEGATE]
    parts = [node for node in listed if node["op_name"] == DELEGATE]
    inside = operators_inside(own, parts)
    left = [node for number, node in enumerate(own) if number not in inside]
    return Delegation(
        delegate="XNNPACK" if parts else "none",
        fallback=dict(sorted(Counter(str(node["op_name"]) for node in left).items())),
        blockwise=_count_blockwise(interpreter, left),
    )


def operators_inside(
    own: Sequence[Mapping[str, Any]], parts: Iterable[Mapping[str, Any]]
) -> set[int]:
    """Find the operators that lie inside delegated parts.

    Args:
        own: The file's operators: "inputs" and "outputs", numbers of tensors.
        parts: The delegated parts, likewise.

    Returns:
        Positions in `own`. An operator that nothing depends upon is in no part.
    """
    maker = {int(tensor): i for i, node in enumerate(own) for tensor in node["outputs"]}
    inside: set[int] = set()
    for part in parts:
        border = {int(tensor) for tensor in part["inputs"]}
        waiting = [int(tensor) for tensor in part["outputs"]]
        while waiting:
            tensor = waiting.pop()
            index = maker.get(tensor)
            if tensor in border or index is None or index in inside:
                continue
            inside.add(index)
            waiting += [int(number) for number in own[index]["inputs"]]
    return inside


def _count_blockwise(interpreter: Any, left: Sequence[Mapping[str, Any]]) -> int:
    # Only this operator has such weights; most networks left none of it.
    dense = [node for node in left if node["op_name"] == "FULLY_CONNECTED"]
    if not dense:
        return 0
    tensors = {int(one["index"]): one for one in interpreter.get_tensor_details()}
    return sum(
        any(_is_blockwise(tensors.get(int(number))) for number in node["inputs"])
        for node in dense
    )


def _is_blockwise(tensor: Mapping[str, Any] | None) -> bool:
    """Whether a tensor's rows have a step for every few weights."""
    if tensor is None:
        return False
    # Runtimes that do not know the field refuse the operator's version.
    return int(tensor["quantization_parameters"].get("block_size", 0)) > 0
