"""What to train and how: a row of models/training, or a user's own .keras file."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgedeploy.errors import InputError
from edgedeploy.resources import resource_folder
from edgedeploy.specs import PypiSource

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """A training, before any flag of the command line.

    Attributes:
        name: Of the build folder.
        network: A name of `networks.NETWORKS`, or the path of a .keras file.
        trainable_last: How many of the last layers with a kernel learn, or "all".
        loss: A name of `loss.LOSSES`.
        optimizer: A name of `optimizers.OPTIMIZERS`.
        batch_size: Rows of a step.
        epochs: Passes over the data.
        learning_rate: Of every step.
        data: Where published examples come from; None for the user's own.
        data_format: How those bytes are read: a name of `datasets.READERS`.
    """

    name: str
    network: str
    trainable_last: int | str = "all"
    loss: str = "categorical_crossentropy"
    optimizer: str = "adam"
    batch_size: int = 128
    epochs: int = 10
    learning_rate: float = 0.001
    data: PypiSource | None = None
    data_format: str = ""


def recipe_names() -> tuple[str, ...]:
    """Names of the trainings that come with the project, sorted."""
    folder = resource_folder("models") / "training"
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def find_recipe(model: str) -> TrainingRecipe:
    """Look a training up.

    Args:
        model: A name of `recipe_names`, or the path of a .keras file.

    Returns:
        The recipe.

    Raises:
        InputError: If there is none.
    """
    if model.endswith(".keras"):
        path = Path(model)
        if not path.is_file():
            raise InputError(f"{model}: no such model file")
        return TrainingRecipe(name=_handle(path.stem), network=str(path.resolve()))
    if model not in recipe_names():
        raise InputError(
            f"no training {model!r}; there are {', '.join(recipe_names())}, or give "
            "--model the path of your own .keras file"
        )
    text = (resource_folder("models") / "training" / f"{model}.toml").read_text("utf-8")
    table: dict[str, Any] = tomllib.loads(text)
    data = table["data"]
    kept = ("name", "network", "loss", "optimizer", "batch_size", "epochs")
    return TrainingRecipe(
        **{key: table[key] for key in (*kept, "learning_rate")},
        data=PypiSource(**data["source"]),
        data_format=data["format"],
    )


def change_recipe(recipe: TrainingRecipe, given: dict[str, Any]) -> TrainingRecipe:
    """Take what the user asked for instead; empty values and 0 change nothing.

    Raises:
        InputError: If `trainable_last` is neither a count nor "all".
    """
    changes = {key: value for key, value in given.items() if value}
    last = changes.get("trainable_last")
    if last is not None and last != "all":
        if not str(last).isdecimal():
            raise InputError(
                f"--trainable-last takes a count of layers, or all; received {last!r}"
            )
        changes["trainable_last"] = int(last)
    return replace(recipe, **changes)


def _handle(stem: str) -> str:
    """Make a folder's name of a file's."""
    kept = [c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in stem]
    return "".join(kept).lower() or "model"
