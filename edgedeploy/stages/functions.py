"""Builds several models and packages them as one download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgedeploy.errors import InputError
from edgedeploy.recipes import recipe_named
from edgedeploy.stages.context import Context
from edgedeploy.stages.run import open_build
from edgedeploy.targets.functions import (
    FunctionSizes,
    FunctionSource,
    write_functions,
)

_MAX_NAME = 80


def package_functions(
    contexts: Sequence[Context], recipe: str
) -> tuple[Path, tuple[FunctionSizes, ...]]:
    """Build each model's variant and put them into one file.

    Args:
        contexts: One a model, in the order that the file gets.
        recipe: Which variant of each.

    Returns:
        The archive below build/functions/, and the sizes.

    Raises:
        InputError: If there are fewer than two models, or there is no such recipe.
        PackageError: If they cannot be one download.
    """
    recipe = recipe_named(recipe).name
    if len(contexts) < 2:
        raise InputError("give --models two or more, separated by commas")
    sources = []
    for context in contexts:
        with open_build(context) as job:
            variant = next(one for one in job.variants if one.recipe == recipe)
            sources.append(
                FunctionSource(spec=job.spec, recipe=recipe, path=variant.path)
            )
    names = "-".join(source.spec.name for source in sources)
    folder = contexts[0].workspace.root / "build" / "functions" / names[:_MAX_NAME]
    with contexts[0].voice.step("package the functions") as progress:
        return write_functions(folder, tuple(sources), progress=progress)
