"""Tasks of on-device training: `train.export`, `train.run` and so on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from edgedeploy.cli.command import command

if TYPE_CHECKING:
    from edgedeploy.cli.console import Speaker
    from edgedeploy.training.job import TrainingJob

_MODEL = ("model", "trainable_last", "loss", "optimizer", "batch_size", "seed")
_DATA = ("data", "threads", "runtime", "offline")
_LOOP = ("epochs", "learning_rate", "patience", "restart")


@command(*_MODEL, "json")
def export(values: SimpleNamespace) -> None:
    """Write a .tflite file that learns, from a recipe or your own .keras file."""
    from edgedeploy.training.job import export_model

    with _opened(values) as (job, speaker):
        facts = export_model(job, speaker)
    size = job.model.stat().st_size
    if values.json:
        speaker.answer({"path": str(job.model), "model_bytes": size, **facts})
        return
    speaker.note(f"{size / 1e6:8.2f} MB  {job.model}")


@command(*_MODEL, *_DATA, *_LOOP, "json")
def run(values: SimpleNamespace) -> None:
    """Train in LiteRT on this machine, exactly as a device would."""
    from edgedeploy.report.training import write_training_report
    from edgedeploy.training.job import train
    from edgedeploy.workspace import read_json

    with _opened(values) as (job, speaker):
        result = train(job, speaker, restart=values.restart)
        page = job.folder / "report.html"
        write_training_report(
            page,
            read_json(job.folder / "curve.json"),
            picture=(job.folder / "curve.png").read_bytes(),
        )
    if values.json:
        speaker.answer(result)
        return
    header = ("epoch", "loss", "test accuracy", "CPU s", "wall s")
    rows = [
        (
            str(epoch["epoch"]),
            f"{epoch['loss']:.4f}",
            f"{epoch['test_accuracy']:.4f}",
            f"{epoch['cpu_s']:.1f}",
            f"{epoch['wall_s']:.1f}",
        )
        for epoch in result["epochs"]
    ]
    speaker.table(header, rows)
    if result["stopped_early"]:
        speaker.note("stopped early: the test accuracy no longer rose")
    speaker.note(f"learnt weights: {job.checkpoint}")
    speaker.note(f"learning curve: {page}")


@command(*_MODEL, *_DATA, "json")
def evaluate(values: SimpleNamespace) -> None:
    """Measure the test accuracy of what was trained."""
    from edgedeploy.training.job import evaluate as evaluate_job

    with _opened(values) as (job, speaker):
        found = evaluate_job(job, speaker)
    if values.json:
        speaker.answer(found)
        return
    speaker.note(
        f"test accuracy {found['test_accuracy']:.4f} on {found['images']} pictures "
        f"after {found['epoch']} epochs"
    )


@command(*_MODEL, "json")
def package(values: SimpleNamespace) -> None:
    """Write what trains on a Pi, in Python, and on Android, in Kotlin."""
    from edgedeploy.training.job import package as package_job

    with _opened(values) as (job, speaker):
        paths = package_job(job, speaker)
    if values.json:
        speaker.answer({"deliverables": [str(path) for path in paths]})
        return
    for path in paths:
        speaker.note(str(path))


@contextmanager
def _opened(values: SimpleNamespace) -> Iterator[tuple[TrainingJob, Speaker]]:
    """Read the flags, and keep other processes out of the build folder."""
    from edgedeploy.cli.console import Speaker
    from edgedeploy.training.job import TrainingJob
    from edgedeploy.training.recipe import change_recipe, find_recipe
    from edgedeploy.workspace import Workspace

    given = vars(values)
    names = ("trainable_last", "loss", "optimizer", "batch_size", "epochs")
    asked = {name: given.get(name) for name in (*names, "learning_rate")}
    recipe = change_recipe(find_recipe(values.model), asked)
    speaker = Speaker(machine=values.json)
    data = given.get("data")
    job = TrainingJob(
        recipe=recipe,
        workspace=Workspace(root=Path.cwd(), model=recipe.name),
        data=Path(data) if data else None,
        offline=given.get("offline", False),
        seed=values.seed,
        patience=given.get("patience", 0),
        threads=given.get("threads", 0) or _cores(),
        runtime=given.get("runtime", "auto"),
    )
    with job.workspace.exclusive(speaker.note):
        yield job, speaker


def _cores() -> int:
    from edgedeploy.ondevice.host import usable_cores

    return usable_cores()


TASKS = (export, run, evaluate, package)
