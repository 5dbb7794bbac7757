"""The stage that measures accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgedeploy.errors import EvaluationError
from edgedeploy.evaluate.alone import stand_alone, why_alone
from edgedeploy.evaluate.metrics import Rows
from edgedeploy.evaluate.preparing import CONTRACT
from edgedeploy.evaluate.scorecard import scorecard
from edgedeploy.isolate import Progress
from edgedeploy.recipes import AS_IS, REFERENCE
from edgedeploy.specs import ModelSpec
from edgedeploy.stages.context import Context
from edgedeploy.stages.pictures import Pictures
from edgedeploy.stages.scoring import score_elsewhere, score_variant
from edgedeploy.stages.skew import measure_skew
from edgedeploy.stages.stability import Halves, compare_halves
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import (
    code_digest,
    json_digest,
    make_folder,
    read_json,
    write_json,
)

# What is measured where a flag asks for it.
_ASKED = {"skew": "device-pipeline", "stability": "calibration-stability"}
# What the rows of the scores are: names and labels, in order.
TRUTH = "pictures.json"


def evaluate_variants(
    context: Context,
    spec: ModelSpec,
    pictures: Pictures,
    variants: Sequence[Variant],
    halves: Sequence[Halves] = (),
) -> dict[str, Any]:
    """Score every variant that has not been scored, and write evaluation.json.

    Args:
        context: The build.
        spec: The model.
        pictures: Those to evaluate on.
        variants: The reference first.
        halves: Models whose difference is the calibration's stability.

    Returns:
        The value of evaluation.json.

    Raises:
        EvaluationError: If too many pictures cannot be decoded.
    """
    folder = context.workspace.folder / ".scores"
    make_folder(folder)
    node = score_elsewhere(context, spec, pictures, variants, folder)
    runs = {
        variant.recipe: score_variant(
            context, spec, pictures, variant, folder, node=node
        )
        for variant in variants
    }

    def score_as(variant: Variant, preparation: str = CONTRACT) -> dict[str, Any]:
        own = folder / preparation
        make_folder(own)
        return score_variant(context, spec, pictures, variant, own, preparation)

    more = {
        "skew": measure_skew(context, pictures, variants, runs, score_as),
        "stability": compare_halves(halves, pictures, score_as),
    }
    path = context.workspace.folder / "evaluation.json"
    truth = folder / TRUTH
    inputs = {
        "runs": {name: run["inputs"] for name, run in runs.items()},
        "labels": [picture.label for picture in pictures.evaluation.pictures],
        "dataset": pictures.evaluation_digest(),
        "max_skipped": context.options.max_skipped,
        "more": json_digest(more),
        "code": code_digest("evaluate", "stages/evaluation.py"),
    }

    def action(_progress: Progress) -> None:
        write_json(truth, _truth(pictures))
        write_json(path, _evaluation(context, spec, pictures, runs, more))

    context.stage(
        "evaluation",
        "compare the answers",
        inputs=inputs,
        outputs=[path, truth],
        action=action,
    )
    evaluation: dict[str, Any] = read_json(path)
    _warn_of_skipped(context, evaluation["dataset"])
    return evaluation


def _truth(pictures: Pictures) -> dict[str, Any]:
    """Name the rows of the scores, so that two builds can be compared in pairs."""
    rows = pictures.evaluation.pictures
    return {
        "images": [picture.name for picture in rows],
        "labels": [picture.label for picture in rows],
    }


def _evaluation(
    context: Context,
    spec: ModelSpec,
    pictures: Pictures,
    runs: dict[str, Any],
    more: dict[str, Any],
) -> dict[str, Any]:
    """Build the value of evaluation.json."""
    evaluation = pictures.evaluation
    facts = {name: read_json(run["facts"]) for name, run in runs.items()}
    # Of every variant, should a picture have vanished between two of them.
    skipped = {
        int(index): why
        for fact in facts.values()
        for index, why in fact["skipped"].items()
    }
    _check_skipped(context, pictures, skipped)
    kept = [i for i in range(len(evaluation.pictures)) if i not in skipped]
    names = [evaluation.pictures[i].name for i in kept]
    labels = np.array(
        [
            -1 if (label := evaluation.pictures[i].label) is None else label
            for i in kept
        ],
        np.int64,
    )
    scores = {
        name: _kept(np.load(run["scores"], mmap_mode="r"), kept)
        for name, run in runs.items()
    }
    cards = {}
    reference = REFERENCE if REFERENCE in scores else AS_IS
    for name, own in scores.items():
        alone = name == AS_IS
        card = scorecard(names, labels, scores[reference], own, quantised=alone)
        card = stand_alone(card) if alone else card
        for fact in ("images_per_s", "delegate", "fallback"):
            card[fact] = facts[name][fact]
        cards[name] = card
    return {
        "schema": 1,
        "model": spec.name,
        "weights": spec.weights,
        "dataset": {
            "name": evaluation.name,
            "images": len(kept),
            "labelled": int(np.sum(labels >= 0)),
            "sha256": pictures.evaluation_digest(),
            "skipped": len(skipped),
            "skipped_images": [
                {"image": evaluation.pictures[index].name, "reason": why}
                for index, why in skipped.items()
            ],
        },
        "pipeline": spec.pipeline.to_dict(),
        "reference": reference,
        "variants": cards,
        **more,
        "unmeasured": {
            **_unmeasured(cards, len(spec.labels)),
            **{
                field: f"not measured; --{flag} does it"
                for field, flag in _ASKED.items()
                if more[field] is None
            },
        },
    }


def _kept(scores: Any, kept: list[int]) -> Any:
    """Leave the rows of undecodable pictures out."""
    return scores if len(kept) == len(scores) else Rows(scores, np.array(kept))


def _check_skipped(
    context: Context, pictures: Pictures, skipped: dict[int, str]
) -> None:
    total = len(pictures.evaluation.pictures)
    if len(skipped) > context.options.max_skipped * total:
        first = next(iter(skipped.values()))
        raise EvaluationError(
            f"{pictures.evaluation.name}: {len(skipped)} of {total} pictures cannot be "
            f"decoded, such as {first}; over the allowed share of "
            f"{context.options.max_skipped:g}. Remove them, or raise --max-skipped"
        )


def _warn_of_skipped(context: Context, dataset: dict[str, Any]) -> None:
    """Name what was left out, also when the evaluation itself is not run again."""
    left_out = dataset["skipped_images"]
    if left_out:
        total = dataset["images"] + len(left_out)
        context.voice.warn(
            f"{dataset['name']}: {len(left_out)} of {total} pictures cannot be "
            f"decoded, such as {left_out[0]['reason']}"
        )


def _unmeasured(cards: dict[str, Any], classes: int) -> dict[str, str]:
    """Give the reason for every null in the cards."""
    reasons = {}
    card = cards.get(REFERENCE) or cards[AS_IS]
    alone = {} if REFERENCE in cards else why_alone(card)
    for field, value in card.items():
        if value is None and field.startswith("top5") and card["top1"] is not None:
            reasons[field] = f"with {classes} classes every answer is among the best 5"
        elif value is None and field == "fallback":
            reasons[field] = (
                "LiteRT does not tell it of models with operators of their own"
            )
        elif value is None:
            reasons[field] = "no picture has a label of this model"
    return reasons | alone
