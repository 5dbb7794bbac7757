"""The entry points of a model that learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgedeploy.training import ops
from edgedeploy.training.graph import Graph, ModelFile, Value
from edgedeploy.training.layers.dropout import next_state
from edgedeploy.training.layers.rule import Pass
from edgedeploy.training.loss import loss_value, read_labels
from edgedeploy.training.lowering import run_forward
from edgedeploy.training.network import Network
from edgedeploy.training.optimizers import Optimizer
from edgedeploy.training.step import Step, write_step
from edgedeploy.training.variables import Variables

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be written.

    Attributes:
        file: Where to.
        network: The layers.
        variables: All state.
        names: Variable by weight key, of weights that change.
        constants: The other weights.
        loss: A name of `loss.LOSSES`.
        optimizer: As looked up.
        batch_size: Rows of a step.
    """

    file: ModelFile
    network: Network
    variables: Variables
    names: Mapping[str, str]
    constants: Mapping[str, NDArray[Any]]
    loss: str
    optimizer: Optimizer
    batch_size: int


def write_signatures(plan: Plan) -> bytes:
    """Write all entry points, and return the file."""
    # The first subgraph is what a runtime without signatures would run.
    writers: dict[str, Callable[[Plan, Graph], None]] = {
        "infer": _write_infer,
        "train": _write_train,
        "evaluate": _write_evaluate,
        "save": _write_save,
        "restore": _write_restore,
        "init": _write_init,
        # LiteRT's Java interface refuses to run a signature that takes nothing.
        "java_save": _ignoring(_write_save),
        "java_init": _ignoring(_write_init),
    }
    graphs = []
    for name, write in writers.items():
        graph = plan.file.graph(name, open_batch=name == "infer")
        plan.variables.prepare(graph)
        write(plan, graph)
        graphs.append(graph)
    plan.variables.finish()
    return plan.file.to_bytes(graphs)


def _ignoring(write: Callable[[Plan, Graph], None]) -> Callable[[Plan, Graph], None]:
    """Give an entry point an argument that it does not look at."""

    def written(plan: Plan, graph: Graph) -> None:
        graph.input("ignored", (1,))
        write(plan, graph)

    return written


def _write_infer(plan: Plan, graph: Graph) -> None:
    x = graph.input("x", (1, *plan.network.input_shape))
    graph.output("output", _infer(plan, graph, x))


def _write_evaluate(plan: Plan, graph: Graph) -> None:
    """Sum up loss and right answers over the rows that have a label."""
    x = graph.input("x", (plan.batch_size, *plan.network.input_shape))
    y = graph.input("y", (plan.batch_size, *plan.network.output_shape))
    output = _infer(plan, graph, x)
    labels = read_labels(y)
    right = ops.cast(ops.equal(ops.arg_max(output), ops.arg_max(y)), "float32")
    known = ops.reshape(labels.valid, (plan.batch_size,))
    graph.output("loss", loss_value(plan.loss, output, labels))
    correct = ops.reduce_sum(ops.multiply(right, known), (0,), keep_dims=True)
    graph.output("correct", correct)
    graph.output("count", ops.reduce_sum(known, (0,), keep_dims=True))


def _write_train(plan: Plan, graph: Graph) -> None:
    variables, optimizer = plan.variables, plan.optimizer
    x = graph.input("x", (plan.batch_size, *plan.network.input_shape))
    y = graph.input("y", (plan.batch_size, *plan.network.output_shape))
    lr = graph.input("lr", (1,))
    state = {name: variables.read(graph, name) for name in variables.names}
    weights = _weights(plan, graph, state)
    step: Step = write_step(
        plan.network, x=x, y=y, weights=weights, loss=plan.loss, rng=state.get("rng")
    )
    count = ops.add(state["t"], 1.0)
    rate = optimizer.rate(lr, count)
    fresh: dict[str, Value] = {"t": count}
    for i, key in enumerate(plan.network.learnt()):
        slots = tuple(state[f"s{k}_{i}"] for k in range(optimizer.slots))
        weight, slots = optimizer.update(weights[key], step.gradients[key], slots, rate)
        fresh[plan.names[key]] = weight
        fresh |= {f"s{k}_{i}": slot for k, slot in enumerate(slots)}
    fresh |= {plan.names[key]: value for key, value in step.statistics.items()}
    if "rng" in state:
        fresh["rng"] = next_state(state["rng"])
    for name in variables.names:
        variables.assign(graph, name, fresh[name])
    graph.output("loss", step.loss)


def _write_save(plan: Plan, graph: Graph) -> None:
    for name in plan.variables.names:
        graph.output(name, plan.variables.read(graph, name))


def _write_restore(plan: Plan, graph: Graph) -> None:
    for name in plan.variables.names:
        shape, dtype = plan.variables.shape(name), plan.variables.dtype(name)
        plan.variables.assign(graph, name, graph.input(name, shape, dtype))
    graph.output("ok", ops.add(graph.inputs["t"], 0.0))


def _write_init(plan: Plan, graph: Graph) -> None:
    plan.variables.fill(graph)
    graph.output("ok", ops.fill(graph, (1,), 1.0))


def _infer(plan: Plan, graph: Graph, x: Value) -> Value:
    state = {name: plan.variables.read(graph, name) for name in plan.names.values()}
    weights = _weights(plan, graph, state)
    done = run_forward(
        plan.network.layers, {plan.network.input: x}, weights, Pass(training=False)
    )
    return done.values[plan.network.output]


def _weights(plan: Plan, graph: Graph, state: Mapping[str, Value]) -> dict[str, Value]:
    weights = {key: state[name] for key, name in plan.names.items()}
    used = {key for layer in plan.network.layers for _, key in layer.weights}
    for key, array in plan.constants.items():
        if key in used:
            weights[key] = graph.constant(array)
    return weights
