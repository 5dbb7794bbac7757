"""The bundle's benchmark as a program: its models timed side by side, here."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import positive
from .batch_benchmark import measure_batches
from .bundle import default_folder, is_callers_mistake, read_bundle
from .contract import ContractError
from .figures import print_batches, print_figures
from .host import usable_cores
from .installed import RUNTIMES
from .latency import measure
from .libraries import find_libraries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Benchmark a bundle's models from the command line.

    Returns:
        0, or 1 if a model or the bundle failed, or 2 for a bad value.
    """
    options = _parser().parse_args(arguments)
    folder = options.folder or default_folder()
    try:
        bundle = read_bundle(folder)
        wanted = options.variant or list(bundle.variants)
        models = {recipe: bundle.variant(recipe).path for recipe in wanted}
        if options.batches:
            return _measure_batches(models, options, find_libraries(bundle))
        result = measure(
            models,
            threads=options.threads or _default_threads(),
            warmup_runs=options.warmup_runs,
            min_rounds=options.min_rounds,
            seconds_budget=options.seconds,
            runtime=options.runtime,
            operators=find_libraries(bundle),
        )
    except ContractError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2 if is_callers_mistake(folder, error) else 1
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print_figures(result)
    failed = [facts for facts in result["variants"].values() if "error" in facts]
    return 1 if failed else 0


def _measure_batches(
    models: Mapping[str, Path],
    options: argparse.Namespace,
    operators: Sequence[Path],
) -> int:
    found = {
        recipe: measure_batches(
            path,
            threads=(options.threads or [1])[0],
            min_rounds=options.min_rounds,
            seconds_budget=options.seconds / len(models),
            runtime=options.runtime,
            operators=operators,
        )
        for recipe, path in models.items()
    }
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for recipe, result in found.items():
            print_batches(recipe, result)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmark", description="Time the bundle's models on this machine."
    )
    parser.add_argument("--folder", type=Path, default=None, help="the bundle")
    parser.add_argument("--variant", action="append", help="recipe; may be repeated")
    parser.add_argument("--threads", type=positive, action="append")
    parser.add_argument(
        "--batches",
        action="store_true",
        help="time batches of 1 to 16 pictures instead, with the first of --threads",
    )
    parser.add_argument("--warmup-runs", type=positive, default=2)
    parser.add_argument("--min-rounds", type=positive, default=5)
    parser.add_argument("--seconds", type=positive, default=60, help="time for all")
    parser.add_argument("--runtime", choices=("auto", *RUNTIMES), default="auto")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _default_threads() -> list[int]:
    return [count for count in (1, 2, 4) if count <= usable_cores()]


if __name__ == "__main__":
    sys.exit(main())
