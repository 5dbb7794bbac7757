"""The recipes: one row each."""

from __future__ import annotations

import re
from dataclasses import replace

from edgedeploy.errors import InputError
from edgedeploy.specs import Recipe

REFERENCE = "float32"
AS_IS = "as_is"
# The engine of recipes that LiteRT's own quantizer follows.
QUANTIZER = "litert_quantizer"

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="float32",
            summary="The network as trained; what every other recipe is held against",
            weights="float32",
            activations="float32",
            io_dtype="float32",
            needs_calibration=False,
            default=True,
            selftest_tolerance=1e-4,
        ),
        Recipe(
            name="float16",
            summary="Half-precision weights, computed in float32",
            weights="float16",
            activations="float32",
            io_dtype="float32",
            needs_calibration=False,
            default=True,
            selftest_tolerance=1e-4,
        ),
        Recipe(
            name="dynamic_int8",
            summary="8-bit weights per channel, activations quantised as they come",
            weights="int8",
            activations="float32",
            io_dtype="float32",
            needs_calibration=False,
            default=True,
            # Arm cores with dot products round the activations differently.
            selftest_tolerance=0.05,
        ),
        Recipe(
            name="int8",
            summary="8-bit weights per channel and activations, uint8 in and out",
            weights="int8",
            activations="int8",
            # MediaPipe rejects signed int8 input.
            io_dtype="uint8",
            needs_calibration=True,
            default=True,
            selftest_tolerance=0.0,
        ),
        Recipe(
            name="int8_lq",
            summary="As int8, by LiteRT's quantizer: less memory, no TensorFlow",
            weights="int8",
            activations="int8",
            io_dtype="uint8",
            needs_calibration=True,
            default=False,
            selftest_tolerance=0.0,
            engine=QUANTIZER,
        ),
        Recipe(
            name="int16x8",
            summary="8-bit weights, 16-bit activations; slow reference kernels",
            weights="int8",
            activations="int16",
            io_dtype="float32",
            needs_calibration=True,
            default=False,
            selftest_tolerance=1e-3,
        ),
        Recipe(
            name="int4_mixed",
            summary="4- and 8-bit weights a layer, chosen under --max-top1-drop",
            weights="int4 and int8",
            activations="float32",
            io_dtype="float32",
            needs_calibration=True,
            default=False,
            # Activations are quantised as they come, as with dynamic_int8.
            selftest_tolerance=0.05,
            engine="mixed",
        ),
        Recipe(
            name=AS_IS,
            summary="A .tflite file that was quantised elsewhere, its graph untouched",
            weights="as given",
            activations="as given",
            io_dtype="as given",
            needs_calibration=False,
            default=False,
            # It may hold operators of any kind, dynamic-range ones too.
            selftest_tolerance=0.05,
            engine="given",
        ),
    )
}


def recipe_named(name: str) -> Recipe:
    """Look a recipe up.

    Raises:
        InputError: If there is none of that name, or its budget is no fraction.
    """
    base, at, budget = name.partition("@")
    recipe = RECIPES.get(base)
    if recipe is None:
        raise InputError(f"no recipe {name!r}; there are {', '.join(RECIPES)}")
    return _with_budget(recipe, budget) if at else recipe


def _with_budget(recipe: Recipe, text: str) -> Recipe:
    """Give a recipe the budget that its name carries, such as 0.003."""
    # Written one way only, since the name becomes a folder's.
    usual = re.fullmatch(r"0\.[0-9]{1,5}", text)
    if recipe.engine != "mixed":
        able = ", ".join(one.name for one in RECIPES.values() if one.engine == "mixed")
        raise InputError(
            f"{recipe.name} takes no budget after @, only {able} does; received "
            f"{recipe.name}@{text[:20]}. Give --recipes {recipe.name}"
        )
    if not usual or not 0 < float(text) < 1:
        raise InputError(
            f"a budget after @ is a fraction such as int4_mixed@0.003; received "
            f"{recipe.name}@{text[:20]}"
        )
    written = text.rstrip("0")
    return replace(
        recipe, name=f"{recipe.name}@{written}", max_top1_drop=float(written)
    )


def chosen_recipes(names: str) -> tuple[Recipe, ...]:
    """Read a comma-separated list of recipes; the reference always comes first.

    Args:
        names: Such as "int8,float16"; empty for the default set.

    Raises:
        InputError: If one is unknown.
    """
    wanted = [part.strip() for part in names.split(",") if part.strip()]
    if not wanted:
        wanted = [recipe.name for recipe in RECIPES.values() if recipe.default]
    recipes = (recipe_named(name) for name in (REFERENCE, *wanted))
    return tuple({recipe.name: recipe for recipe in recipes}.values())
