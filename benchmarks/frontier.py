"""Size against loss of several int4_mixed budgets, beside the converter's recipes.

Run in a folder of its own: it builds there with the installed `edgedeploy`, and prints
a Markdown table of what `edgedeploy evaluate` measured.

    python benchmarks/frontier.py --images photos --calibration others
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

RECIPES = ("int8", "dynamic_int8")


def main() -> None:
    """Build every budget, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--weights", default="")
    parser.add_argument("--images", required=True)
    parser.add_argument("--calibration", required=True)
    parser.add_argument("--budgets", default="0.001,0.003,0.01,0.02")
    given = parser.parse_args()
    mixed = [f"int4_mixed@{budget}" for budget in given.budgets.split(",")]
    command = [
        *(sys.executable, "-m", "edgedeploy", "evaluate", "--json"),
        *("--model", given.model, "--weights", given.weights),
        *("--images", given.images, "--calibration", given.calibration),
        *("--recipes", ",".join([*RECIPES, *mixed])),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    evaluation = json.loads(done.stdout)
    folder = Path("build") / evaluation["model"] / "variants"
    print("| recipe | MB | deflated | top-1 drop | agree | KL |")
    print("|---|---|---|---|---|---|")
    for recipe, card in evaluation["variants"].items():
        facts = json.loads((folder / recipe / "variant.json").read_text())
        print(_line(recipe, card, facts))


def _line(recipe: str, card: dict[str, Any], facts: dict[str, Any]) -> str:
    drop = "not measured"
    if card["top1_drop"] is not None:
        low, high = (100 * end for end in card["top1_drop_ci95"])
        drop = f"{100 * card['top1_drop']:.2f} ({low:.2f} to {high:.2f})"
    return (
        f"| {recipe} | {facts['size_bytes'] / 1e6:.2f} "
        f"| {facts['deflated_bytes'] / 1e6:.2f} | {drop} "
        f"| {100 * card['agreement_top1']:.1f} | {card['mean_kl']:.4f} |"
    )


if __name__ == "__main__":
    main()
