"""What a training does in child processes: export, train, evaluate."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedeploy.errors import InputError
from edgedeploy.isolate import Progress, silent
from edgedeploy.ondevice.checkpoint import read_checkpoint
from edgedeploy.ondevice.host import peak_rss_bytes
from edgedeploy.ondevice.learner import Learner
from edgedeploy.ondevice.traindata import read_examples
from edgedeploy.ondevice.trainloop import Plan, Training
from edgedeploy.training.datasets import READERS
from edgedeploy.workspace import write_bytes, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """What learns, from what, and with what, as JSON values.

    Attributes:
        model: Path of the file that learns.
        data: Path of the examples.
        data_format: A name of `datasets.READERS`; empty for a folder of pictures.
        checkpoint: Path of what the training has come to.
        threads: Threads of the runtime.
        runtime: A name of `ondevice.installed.RUNTIMES`, or "auto".
    """

    model: str
    data: str
    data_format: str
    checkpoint: str
    threads: int
    runtime: str


def write_model(
    *, folder: str, recipe: dict[str, Any], seed: int, progress: Progress = silent
) -> None:
    """Export in a child process, which takes TensorFlow with it when it ends.

    Args:
        folder: Where model.tflite and training.json go.
        recipe: A `TrainingRecipe` as JSON values.
        seed: Of the initial weights.
        progress: Not called: TensorFlow does not tell.

    Raises:
        TrainingError: If the network cannot be exported.
    """
    del progress
    from edgedeploy.training.export import export_trainable
    from edgedeploy.training.networks import build_network

    made = export_trainable(
        build_network(recipe["network"], seed),
        trainable_last=recipe["trainable_last"],
        loss=recipe["loss"],
        optimizer=recipe["optimizer"],
        batch_size=recipe["batch_size"],
        epochs=recipe["epochs"],
    )
    facts = {
        "schema": 1,
        "name": recipe["name"],
        "input_shape": made.input_shape,
        "classes": made.classes,
        "loss": made.loss,
        "optimizer": made.optimizer,
        "batch_size": made.batch_size,
        "epochs": made.epochs,
        "learning_rate": recipe["learning_rate"],
        "weights": dict(made.weights),
    }
    write_bytes(Path(folder) / "model.tflite", made.data)
    write_json(Path(folder) / "training.json", facts)


def run_training(
    *,
    materials: Mapping[str, Any],
    epochs: int,
    learning_rate: float,
    seed: int,
    patience: int,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train in a child process, so that a crash of the runtime costs one error.

    Args:
        materials: The fields of `Materials`.
        epochs: How often each example is learned from.
        learning_rate: Of the optimizer.
        seed: Of the shuffling.
        patience: Epochs without a better accuracy after which to stop; 0 never.
        progress: Called with the steps done and their number.

    Returns:
        {"epochs", "peak_rss_bytes", "resumed", "stopped_early"} as of `job.train`.

    Raises:
        ContractError: If model or examples cannot be read, or the training went astray.
        WeightsError: If examples of a published format are damaged.
    """
    given = Materials(**materials)
    learner = _open(given)
    parts = _read_data(given, learner.input_shape)
    plan = Plan(
        epochs=epochs, learning_rate=learning_rate, seed=seed, patience=patience
    )
    # Reading the examples may need more memory than learning from them.
    reset = _reset_peak()
    training = Training(
        learner,
        parts["train"],
        parts["test"],
        plan,
        checkpoint=Path(given.checkpoint),
        progress=_rarely(progress),
    )
    done = training.run()
    return {
        "epochs": done,
        "peak_rss_bytes": peak_rss_bytes() if reset else None,
        "resumed": training.resumed,
        "stopped_early": len(done) < epochs,
    }


def run_evaluation(
    *,
    materials: Mapping[str, Any],
    progress: Progress = silent,
) -> dict[str, Any]:
    """Evaluate in a child process.

    Args:
        materials: The fields of `Materials`.
        progress: Not called: evaluation is one call.

    Returns:
        {"test_accuracy", "test_loss", "epoch", "images"}.

    Raises:
        InputError: If the checkpoint is another model's.
        ContractError: If model or examples cannot be read.
        WeightsError: If examples of a published format are damaged.
    """
    del progress
    given = Materials(**materials)
    learner = _open(given)
    found = read_checkpoint(Path(given.checkpoint))
    if found is None or found.model != learner.sha256:
        raise InputError(
            f"{given.checkpoint} belongs to another model; train with inv train.run "
            "--restart"
        )
    learner.restore(found.state)
    test = _read_data(given, learner.input_shape)["test"]
    accuracy, loss = learner.evaluate(test)
    return {
        "test_accuracy": accuracy,
        "test_loss": loss,
        "epoch": len(found.progress.get("epochs", [])),
        "images": len(test),
    }


def _open(given: Materials) -> Learner:
    return Learner(Path(given.model), threads=given.threads, runtime=given.runtime)


def _read_data(given: Materials, shape: tuple[int, ...]) -> dict[str, Any]:
    if given.data_format:
        return dict(READERS[given.data_format](Path(given.data)))
    return dict(read_examples(Path(given.data), shape))


def _reset_peak() -> bool:
    """Begin to count this process's peak of memory anew, where Linux lets it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _rarely(progress: Progress) -> Callable[[int, int | None], None]:
    """Pass on at most 400 of the reports; each is a line through a pipe."""
    last = -1

    def report(done: int, total: int | None) -> None:
        nonlocal last
        share = done * 400 // total if total else done
        if share != last:
            last = share
            with contextlib.suppress(BrokenPipeError):
                progress(done, total)

    return report
