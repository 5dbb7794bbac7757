"""The stage that measures what a device's own preprocessing costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from edgedeploy.evaluate.metrics import Rows
from edgedeploy.evaluate.scorecard import scorecard
from edgedeploy.isolate import Progress
from edgedeploy.recipes import REFERENCE
from edgedeploy.skew.headers import count_peculiar
from edgedeploy.skew.table import find_path
from edgedeploy.stages.context import Context
from edgedeploy.stages.pictures import Pictures
from edgedeploy.stages.variants import Variant
from edgedeploy.workspace import code_digest, json_digest, read_json, write_json

# A variant's scores, prepared by a named way; see `stages.scoring`.
Score = Callable[[Variant, str], dict[str, Any]]


def measure_skew(
    context: Context,
    pictures: Pictures,
    variants: Sequence[Variant],
    runs: Mapping[str, dict[str, Any]],
    score: Score,
) -> dict[str, Any] | None:
    """Hold every variant's answers to a device's pictures against the contract's.

    What was measured before stays, as long as models and pictures are the same.

    Args:
        context: The build; its options name the device paths.
        pictures: The evaluation pictures.
        variants: The reference first.
        runs: Where each variant's scores under the contract are, by recipe.
        score: Scores a variant's pictures, prepared as a device path says.

    Returns:
        "pictures" and "paths" of skew.json; None where no device path was ever asked
        for.
    """
    path = context.workspace.folder / "skew.json"
    identity = json_digest(
        {
            "runs": {name: run["inputs"] for name, run in runs.items()},
            "pictures": pictures.evaluation_digest(),
        }
    )
    known = read_json(path) if path.is_file() else {}
    remembered = known.get("paths", {}) if known.get("identity") == identity else {}
    names = tuple(dict.fromkeys((*remembered, *context.options.device_pipelines)))
    if not names:
        return None
    filmed = {
        name: {variant.recipe: score(variant, name) for variant in variants}
        for name in names
    }

    def action(_progress: Progress) -> None:
        write_json(
            path,
            {
                "schema": 1,
                "identity": identity,
                "pictures": asdict(
                    count_peculiar([p.path for p in pictures.evaluation.pictures])
                ),
                "paths": {
                    name: _compare(name, pictures, runs, filmed[name]) for name in names
                },
            },
        )

    context.stage(
        "skew",
        "compare the preprocessing",
        inputs={
            "identity": identity,
            "paths": {
                name: {recipe: run["inputs"] for recipe, run in one.items()}
                for name, one in filmed.items()
            },
            "code": code_digest("evaluate", "skew", "stages/skew.py"),
        },
        outputs=[path],
        action=action,
    )
    known = read_json(path)
    found = {key: known[key] for key in ("pictures", "paths")}
    _warn(context, found)
    return found


def _compare(
    name: str,
    pictures: Pictures,
    runs: Mapping[str, dict[str, Any]],
    filmed: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    """Give a device path's part of skew.json."""
    device = find_path(name)
    skipped = {
        int(index): why
        for run in (*runs.values(), *filmed.values())
        for index, why in read_json(run["facts"])["skipped"].items()
    }
    rows = pictures.evaluation.pictures
    kept = np.array([i for i in range(len(rows)) if i not in skipped], np.int64)
    labels = np.array(
        [-1 if rows[i].label is None else rows[i].label for i in kept], np.int64
    )
    cards = {}
    for recipe, run in filmed.items():
        cards[recipe] = scorecard(
            [rows[i].name for i in kept],
            labels,
            Rows(np.load(runs[recipe]["scores"], mmap_mode="r"), kept),
            Rows(np.load(run["scores"], mmap_mode="r"), kept),
            quantised=recipe != REFERENCE,
        )
    return {
        "summary": device.summary,
        "follows": device.follows,
        "images": len(kept),
        "variants": cards,
    }


def _warn(context: Context, found: Mapping[str, Any]) -> None:
    """Say what surely costs accuracy."""
    for name, one in found["paths"].items():
        reference, card = next(iter(one["variants"].items()))
        interval = card["top1_drop_ci95"]
        if interval is not None and interval[0] > 0:
            low, high = (100 * end for end in interval)
            context.voice.warn(
                f"preprocessing as {name} costs {100 * card['top1_drop']:.1f} points "
                f"of {reference}'s top-1 (95 %: {low:.1f} to {high:.1f})"
            )
