"""Tasks of the main job, in the order of the path of a model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from edgedeploy.cli.command import command
from edgedeploy.cli.options import BUILD_FLAGS, CHOICE_FLAGS, build_context


@command(*BUILD_FLAGS)
def fetch(values: SimpleNamespace) -> None:
    """Fetch a model's weights into the cache and lock them."""
    from edgedeploy.build.run import open_build

    context, speaker = build_context(values)
    with open_build(context) as build:
        fetched = build.weights.fetched
        spec = build.spec
    if values.json:
        speaker.answer(
            {
                "model": spec.name,
                "weights": spec.weights,
                "sha256": fetched.sha256,
                "size_bytes": fetched.size_bytes,
                "origin": fetched.origin,
                "path": str(fetched.path),
            }
        )
    else:
        speaker.note(
            f"{spec.title} {spec.weights}: {fetched.size_bytes / 1e6:.1f} MB, "
            f"sha256 {fetched.sha256[:16]}…"
        )


@command(*BUILD_FLAGS)
def convert(values: SimpleNamespace) -> None:
    """Convert and quantise with the TFLite converter, one file a recipe."""
    from edgedeploy.build.run import open_build

    context, speaker = build_context(values)
    with open_build(context) as build:
        variants = build.variants
    if values.json:
        speaker.answer({v.recipe.name: v.facts for v in variants})
    else:
        for variant in variants:
            size = variant.facts["size_bytes"] / 1e6
            speaker.note(f"{variant.recipe.name:<14}{size:8.2f} MB  {variant.path}")


@command(*BUILD_FLAGS)
def evaluate(values: SimpleNamespace) -> None:
    """Measure accuracy, agreement and divergence of every variant."""
    _show(values, "evaluation")


@command(*BUILD_FLAGS)
def benchmark(values: SimpleNamespace) -> None:
    """Measure latency and memory of every variant on this machine."""
    _show(values, "benchmark")


@command(*BUILD_FLAGS, *CHOICE_FLAGS)
def choose(values: SimpleNamespace) -> None:
    """Choose the variant to ship, and say why each other lost."""
    _show(values, "selection")


def _show(values: SimpleNamespace, stage: str) -> None:
    from edgedeploy.build.run import open_build

    context, speaker = build_context(values)
    with open_build(context) as build:
        result: dict[str, Any] = getattr(build, stage)
    if values.json:
        speaker.answer(result)
    else:
        from rich.pretty import pprint

        pprint(result, console=speaker.console)


TASKS = (fetch, convert, evaluate, benchmark, choose)
