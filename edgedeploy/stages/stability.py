"""The stage that asks whether other calibration pictures would give another model.

Two disjoint halves of the calibration pictures calibrate a model each; how far their
answers lie apart says how much the choice of pictures matters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgedeploy.errors import InputError
from edgedeploy.evaluate.intervals import wilson_interval
from edgedeploy.evaluate.metrics import Rows
from edgedeploy.evaluate.scorecard import scorecard
from edgedeploy.images.datasets import MINIMUM, Picture
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.bundle import hash_file
from edgedeploy.specs import ModelSpec, Recipe
from edgedeploy.stages.context import Context
from edgedeploy.stages.pictures import Pictures, lint_calibration
from edgedeploy.stages.variants import (
    CALIBRATING_CODE,
    CONVERTING_CODE,
    Variant,
    calibrate_again,
    tool_versions,
)
from edgedeploy.stages.weights import Weights
from edgedeploy.workspace import (
    atomic_file,
    code_digest,
    json_digest,
    make_folder,
    read_json,
    write_json,
)

_NAMES = ("first", "second")


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """Two models of one recipe, from disjoint calibration pictures.

    Attributes:
        recipe: Its name.
        variants: The two models.
        images: How many pictures calibrated each.
    """

    recipe: str
    variants: tuple[Variant, Variant]
    images: tuple[int, int]


def check_halves(context: Context, spec: ModelSpec, pictures: Pictures) -> None:
    """Refuse, before anything is converted, what cannot be calibrated twice.

    Args:
        context: The build; its options say whether stability was asked for.
        spec: The model.
        pictures: The calibration pictures would be divided.

    Raises:
        InputError: If there are too few calibration pictures to divide, or no recipe
            is calibrated by the converter.
    """
    if not context.options.calibration_stability:
        return
    recipes = _calibrated(context)
    # Without a recipe to calibrate, the pictures need no look.
    count = len(lint_calibration(context, pictures, spec).pictures) if recipes else 0
    _check(recipes, count, pictures.calibration.name)


def make_halves(
    context: Context,
    weights: Weights,
    pictures: Pictures,
    variants: Sequence[Variant],
) -> tuple[Halves, ...]:
    """Convert each calibrated recipe twice, unless that is done.

    Args:
        context: The build; its options say whether stability was asked for.
        weights: The network.
        pictures: The calibration pictures are divided.
        variants: The build's own, for the operators that they need.

    Returns:
        One entry a recipe; none where stability was never asked for, or was for other
        pictures or weights.

    Raises:
        InputError: If there are too few calibration pictures to divide, or no recipe
            is calibrated by the converter.
    """
    folder = context.workspace.folder / ".stability"
    note = folder / "asked.json"
    asked = context.options.calibration_stability
    if not asked and not note.is_file():
        return ()
    recipes = _calibrated(context)
    chosen = lint_calibration(context, pictures, weights.spec)
    inputs = {
        "weights": weights.identity(),
        "calibration": list(chosen.digests),
        "recipes": [recipe.name for recipe in recipes],
        "pipeline": weights.spec.pipeline.digest(),
        "tools": tool_versions(),
        "code": code_digest(*CONVERTING_CODE, *CALIBRATING_CODE),
    }
    identity = json_digest(inputs)
    if not asked and read_json(note) != {"identity": identity}:
        return ()
    _check(recipes, len(chosen.pictures), pictures.calibration.name)
    make_folder(folder)
    made = tuple(
        _make(context, weights, recipe, chosen.pictures, inputs, variants[0])
        for recipe in recipes
    )
    if not note.is_file() or read_json(note) != {"identity": identity}:
        write_json(note, {"identity": identity})
    return made


def compare_halves(
    halves: Sequence[Halves],
    pictures: Pictures,
    score: Callable[[Variant], dict[str, Any]],
) -> dict[str, Any] | None:
    """Hold the answers of each recipe's two models against each other.

    Args:
        halves: The models.
        pictures: The evaluation pictures.
        score: Scores one of them.

    Returns:
        By recipe: "calibration_images", "top1" and "top1_ci95" of both, and
        "top1_difference", "top1_difference_ci95", "agreement_top1",
        "agreement_top1_ci95", "mean_kl", "flipped_count" of the second against the
        first; None without any recipe.
    """
    found = {
        one.recipe: _compare(one, pictures, [score(half) for half in one.variants])
        for one in halves
    }
    return found or None


def _calibrated(context: Context) -> list[Recipe]:
    return [
        recipe
        for recipe in context.options.recipes
        if recipe.needs_calibration and recipe.engine == "converter"
    ]


def _check(recipes: Sequence[Recipe], count: int, name: str) -> None:
    if not recipes:
        raise InputError(
            "calibration-stability needs a recipe that the converter calibrates; add "
            "int8 to --recipes"
        )
    if count < 2 * MINIMUM:
        raise InputError(
            f"calibration-stability divides the calibration pictures into two halves "
            f"of at least {MINIMUM}; {name} has {count}. Give --calibration a folder "
            f"of {2 * MINIMUM} or more"
        )


def _make(
    context: Context,
    weights: Weights,
    recipe: Recipe,
    calibration: Sequence[Picture],
    inputs: Mapping[str, object],
    example: Variant,
) -> Halves:
    folder = context.workspace.folder / ".stability"
    # In the order of their digests, so every second one is a random half.
    parts = [calibration[number::2] for number in (0, 1)]
    models = []
    for name, part in zip(_NAMES, parts, strict=True):
        path = folder / f"{recipe.name}-{name}.tflite"
        _convert(context, weights, recipe, name, part, path, inputs)
        models.append(
            Variant(
                recipe=f"{recipe.name}-{name}",
                path=path,
                sha256=hash_file(path),
                facts={},
                operators=example.operators,
            )
        )
    return Halves(
        recipe=recipe.name,
        variants=(models[0], models[1]),
        images=(len(parts[0]), len(parts[1])),
    )


def _convert(
    context: Context,
    weights: Weights,
    recipe: Recipe,
    name: str,
    part: Sequence[Picture],
    path: Path,
    inputs: Mapping[str, object],
) -> None:
    def action(progress: Progress) -> None:
        with atomic_file(path) as temporary:
            calibrate_again(
                weights, recipe, [picture.path for picture in part], temporary, progress
            )

    context.stage(
        f"stability-{recipe.name}-{name}",
        f"convert {recipe.name} from the {name} half",
        inputs={**inputs, "half": name},
        outputs=[path],
        action=action,
    )


def _compare(
    one: Halves, pictures: Pictures, runs: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    rows = pictures.evaluation.pictures
    skipped = {int(i) for run in runs for i in read_json(run["facts"])["skipped"]}
    kept = np.array([i for i in range(len(rows)) if i not in skipped], np.int64)
    labels = np.array(
        [-1 if rows[i].label is None else rows[i].label for i in kept], np.int64
    )
    first, second = (Rows(np.load(run["scores"], mmap_mode="r"), kept) for run in runs)
    names = [rows[i].name for i in kept]
    card = scorecard(names, labels, first, second, quantised=True)
    top1 = top1_ci95 = None
    if card["top1"] is not None:
        paired = card["paired"]
        right = round(card["top1"] * paired["pairs"])
        both = (right + paired["losses"] - paired["gains"], right)
        top1 = [count / paired["pairs"] for count in both]
        top1_ci95 = [list(wilson_interval(n, paired["pairs"])) for n in both]
    return {
        "calibration_images": list(one.images),
        "top1": top1,
        "top1_ci95": top1_ci95,
        "top1_difference": card["top1_drop"],
        "top1_difference_ci95": card["top1_drop_ci95"],
        "agreement_top1": card["agreement_top1"],
        "agreement_top1_ci95": card["agreement_top1_ci95"],
        "mean_kl": card["mean_kl"],
        "flipped_count": card["flipped_count"],
    }
