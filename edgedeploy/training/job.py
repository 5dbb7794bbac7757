"""A training on this machine, as the device would do it."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from edgedeploy.errors import InputError
from edgedeploy.fetch import fetch
from edgedeploy.isolate import Progress, run_isolated
from edgedeploy.training.bundle import write_android_training, write_training_bundle
from edgedeploy.training.child import Materials
from edgedeploy.training.curve import draw_curve
from edgedeploy.training.optimizers import find_optimizer
from edgedeploy.training.recipe import TrainingRecipe
from edgedeploy.workspace import (
    Workspace,
    cache_folder,
    code_digest,
    file_digest,
    make_folder,
    write_json,
)


class Voice(Protocol):
    """Who is told what happens."""

    def step(self, what: str) -> AbstractContextManager[Progress]:
        """Show a step while it runs."""

    def note(self, line: str) -> None:
        """Say something worth knowing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """What to train, on what, where.

    Attributes:
        recipe: Network, loss, optimizer and sizes.
        workspace: Where the files go.
        data: The user's folder of examples, or None for the recipe's.
        offline: Whether to do without the network.
        seed: Of the initial weights and the shuffling.
        patience: Epochs without a better accuracy after which to stop; 0 never.
        threads: Threads of the runtime.
        runtime: A name of `ondevice.installed.RUNTIMES`, or "auto".
    """

    recipe: TrainingRecipe
    workspace: Workspace
    data: Path | None = None
    offline: bool = False
    seed: int = 0
    patience: int = 0
    threads: int = 1
    runtime: str = "auto"

    @property
    def folder(self) -> Path:
        """The folder build/<name>/training."""
        return self.workspace.folder / "training"

    @property
    def model(self) -> Path:
        """The file that learns."""
        return self.folder / "model.tflite"

    @property
    def checkpoint(self) -> Path:
        """What the training has come to."""
        return self.folder / "checkpoint"


def export_model(job: TrainingJob, voice: Voice) -> dict[str, Any]:
    """Write model.tflite and training.json, unless they are there.

    Returns:
        What training.json holds.

    Raises:
        TrainingError: If the network cannot be exported.
    """
    recipe, facts = job.recipe, job.folder / "training.json"
    # Refused here, before a child process has loaded TensorFlow.
    find_optimizer(recipe.optimizer)
    own = recipe.network.endswith(".keras")
    inputs = {
        "recipe": asdict(recipe),
        "network": file_digest(Path(recipe.network)) if own else recipe.network,
        "seed": job.seed,
        "code": code_digest("training"),
    }
    arguments = {"folder": str(job.folder), "recipe": asdict(recipe), "seed": job.seed}

    def action() -> None:
        make_folder(job.folder)
        with voice.step("export a model that learns"):
            run_isolated(
                "edgedeploy.training.child:write_model",
                arguments,
                what="exporting a model that learns",
            )

    job.workspace.run_stage(
        "training-export", inputs=inputs, outputs=[job.model, facts], action=action
    )
    known: dict[str, Any] = json.loads(facts.read_text("utf-8"))
    return known


def train(job: TrainingJob, voice: Voice, *, restart: bool = False) -> dict[str, Any]:
    """Train, or go on where a killed training stood.

    Returns:
        {"epochs": [{"epoch", "loss", "test_accuracy", "cpu_s", "wall_s"}],
        "model_bytes", "peak_rss_bytes", "resumed", "stopped_early"}; also in
        curve.json, and drawn in curve.png.

    Raises:
        EdgedeployError: If the data cannot be had, or the training went astray.
    """
    materials = _materials(job, voice)
    facts = export_model(job, voice)
    if restart:
        for path in (job.checkpoint, Path(f"{job.checkpoint}.previous")):
            path.unlink(missing_ok=True)
    arguments = {
        "materials": asdict(materials),
        "epochs": job.recipe.epochs,
        "learning_rate": job.recipe.learning_rate,
        "seed": job.seed,
        "patience": job.patience,
    }
    with voice.step("train in LiteRT") as progress:
        result: dict[str, Any] = run_isolated(
            "edgedeploy.training.child:run_training",
            arguments,
            what="training",
            progress=progress,
        )
    result["model_bytes"] = job.model.stat().st_size
    curve = {"schema": 1, "model": facts["name"], **result}
    write_json(job.folder / "curve.json", curve)
    draw_curve(job.folder / "curve.png", facts["name"], result["epochs"])
    return result


def evaluate(job: TrainingJob, voice: Voice) -> dict[str, Any]:
    """Measure what the last checkpoint knows.

    Returns:
        {"test_accuracy", "test_loss", "epoch", "images"}.

    Raises:
        InputError: If nothing has been trained.
    """
    if not job.checkpoint.exists():
        raise InputError(
            f"{job.checkpoint}: no such checkpoint; train first with inv train.run"
        )
    export_model(job, voice)
    with voice.step("evaluate in LiteRT"):
        found: dict[str, Any] = run_isolated(
            "edgedeploy.training.child:run_evaluation",
            {"materials": asdict(_materials(job, voice))},
            what="evaluating what was trained",
        )
    return found


def package(job: TrainingJob, voice: Voice) -> tuple[Path, Path]:
    """Write the bundle that trains on a Raspberry Pi, and what an Android app needs.

    Returns:
        The archive, and the folder for Android.
    """
    export_model(job, voice)
    name, facts = job.workspace.model, job.folder / "training.json"
    path, android = job.folder / f"{name}-training-pi.tar.gz", job.folder / "android"
    with voice.step("package the training bundles"):
        write_training_bundle(path, name=name, model=job.model, facts=facts)
        write_android_training(android, model=job.model, facts=facts)
    return path, android


def _materials(job: TrainingJob, voice: Voice) -> Materials:
    recipe = job.recipe
    if job.data is not None:
        if not job.data.is_dir():
            raise InputError(f"--data {job.data}: no such folder of examples")
        data, form = job.data, ""
    elif recipe.data is not None:
        with voice.step("fetch the examples") as progress:
            fetched = fetch(
                recipe.data,
                cache=cache_folder(),
                offline=job.offline,
                progress=progress,
            )
        data, form = fetched.path, recipe.data_format
    else:
        raise InputError(
            "give --data a folder with train and test, each with one folder of "
            "pictures a class, or with idx files"
        )
    return Materials(
        model=str(job.model),
        data=str(data),
        data_format=form,
        checkpoint=str(job.checkpoint),
        threads=job.threads,
        runtime=job.runtime,
    )
