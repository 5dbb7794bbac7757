"""Which operators the XNNPACK delegate takes: asked of the runtime, not guessed.

How its list of operators is read is told in `ondevice.delegation`.
"""

from __future__ import annotations

import resource
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedeploy.errors import IsolatedError
from edgedeploy.inspect.graph import Graph
from edgedeploy.isolate import Progress, run_isolated
from edgedeploy.ondevice.contract import ContractError
from edgedeploy.ondevice.delegation import DELEGATE, operators_inside
from edgedeploy.ondevice.installed import load_runtime, resolve_runtime, runtime_version

# A hostile model may loop or ask for all memory; the largest real ones need less.
_SECONDS = 120
_ADDRESS_BYTES = 16 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """What the XNNPACK delegate took of the first subgraph.

    Attributes:
        runtime: Name and version of the runtime that was asked, or "".
        taken: Numbers of the operators that run in XNNPACK; None if not measured.
        partitions: Parts of the graph that they form.
        unmeasured: Why `taken` is None, or "".
    """

    runtime: str
    taken: frozenset[int] | None
    partitions: int
    unmeasured: str


def measure_delegation(path: Path, graph: Graph) -> Delegation:
    """Let a runtime prepare a model in a child process, and see what it delegates.

    Args:
        path: The .tflite file.
        graph: Its first subgraph.

    Returns:
        What was found; a model that the runtime refuses or dies of is not measured.
    """
    try:
        seen = run_isolated(
            "edgedeploy.inspect.delegation:observe",
            {"model": str(path.resolve())},
            what="preparing the model",
        )
    except (IsolatedError, ContractError) as error:
        return _unmeasured("", str(error))
    runtime = f"{seen['runtime']} {seen['version']}"
    if seen["refused"]:
        return _unmeasured(runtime, f"{runtime} refuses the model ({seen['refused']})")
    own = [node for node in seen["nodes"] if node["kind"] != DELEGATE]
    parts = [node for node in seen["nodes"] if node["kind"] == DELEGATE]
    if [node["kind"] for node in own] != [node.kind for node in graph.nodes]:
        return _unmeasured(runtime, f"{runtime} lists other operators than the file")
    return Delegation(
        runtime=runtime,
        taken=frozenset(operators_inside(own, parts)),
        partitions=len(parts),
        unmeasured="",
    )


def observe(*, progress: Progress, model: str) -> dict[str, Any]:
    """Prepare a model and list what the runtime made of it; runs in a child process.

    Args:
        progress: Not used.
        model: Path of the .tflite file.

    Returns:
        {"runtime", "version", "refused": reason or "", "nodes": [{"kind", "inputs",
        "outputs"}]}.

    Raises:
        ContractError: If no runtime works here.
    """
    del progress
    # Both end the process, whatever native code it is in.
    signal.alarm(_SECONDS)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > _ADDRESS_BYTES:
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_BYTES, hard))
    runtime = resolve_runtime("auto")
    seen: dict[str, Any] = {
        "runtime": runtime,
        "version": runtime_version(runtime),
        "refused": "",
        "nodes": [],
    }
    module = load_runtime(runtime)
    try:
        interpreter = module.Interpreter(model_path=model, num_threads=1)
        interpreter.allocate_tensors()
        listed = interpreter._get_ops_details()
    except (ValueError, RuntimeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        seen["refused"] = lines[0][:200]
        return seen
    seen["nodes"] = [
        {
            "kind": str(node["op_name"]),
            "inputs": [int(index) for index in node["inputs"]],
            "outputs": [int(index) for index in node["outputs"]],
        }
        for node in listed
    ]
    return seen


def _unmeasured(runtime: str, reason: str) -> Delegation:
    return Delegation(runtime=runtime, taken=None, partitions=0, unmeasured=reason)
