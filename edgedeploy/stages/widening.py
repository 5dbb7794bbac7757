"""Solve a low-bit variant again where pictures show more loss than was forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgedeploy.specs import Recipe
from edgedeploy.stages.context import Context

# The lock's name for how often a recipe was solved again.
_WIDENED = "widened"
# Each time halves the loss that may be forecast: an eighth at last.
_MOST = 3


def budget_of(context: Context, recipe: Recipe) -> float:
    """The loss of top-1 that a recipe may have, a fraction."""
    own = recipe.max_top1_drop
    return context.options.gate.max_top1_drop if own is None else own


def times_widened(context: Context, recipe: Recipe) -> int:
    """How often a recipe was solved again for this budget, by the lock; 0 to 3."""
    entry = _locked(context).get(recipe.name)
    if not isinstance(entry, dict) or entry.get("budget") != budget_of(context, recipe):
        return 0
    times = entry.get("times")
    return times if isinstance(times, int) and 0 <= times <= _MOST else 0


def begin_anew(context: Context) -> None:
    """Forget what was solved again, with --update-lock: weights may be others now."""
    if context.options.update_lock and _locked(context):
        context.lock.settle(_WIDENED, {}, asked=True)


def forecast_budget(context: Context, recipe: Recipe) -> float:
    """The loss that may be forecast, once what was measured is taken in."""
    return float(budget_of(context, recipe) / 2 ** times_widened(context, recipe))


def widen(
    context: Context, facts: Mapping[str, Any], evaluation: Mapping[str, Any]
) -> Sequence[str]:
    """Lock smaller forecasts for recipes that lost more than their budget.

    A recipe fails as at the gate: where the whole 95 % interval of its drop is beyond
    the budget, or the measured drop with --point-estimate.

    Args:
        context: Options, lock and voice.
        facts: The values of variant.json, by recipe.
        evaluation: The value of evaluation.json.

    Returns:
        The recipes to solve again.
    """
    again = []
    for recipe in context.options.recipes:
        if recipe.engine != "mixed" or recipe.name not in evaluation["variants"]:
            continue
        card = evaluation["variants"][recipe.name]
        times, budget = times_widened(context, recipe), budget_of(context, recipe)
        widest = bool(facts[recipe.name]["mixed"]["note"]) or times == _MOST
        if widest or not _is_over(context, card, budget):
            _caution(context, recipe)
            continue
        context.voice.warn(
            f"{recipe.name}: top-1 drops {100 * card['top1_drop']:.2f} points, over "
            f"{100 * budget:.2f}; solved again for a forecast of "
            f"{100 * budget / 2 ** (times + 1):.2f}",
            lasting=False,
        )
        entry = {"times": times + 1, "budget": budget}
        known = {**_locked(context), recipe.name: entry}
        context.lock.settle(_WIDENED, known, asked=True)
        again.append(recipe.name)
    return again


def _locked(context: Context) -> dict[str, Any]:
    found = context.lock.get(_WIDENED)
    return found if isinstance(found, dict) else {}


def _is_over(context: Context, card: Mapping[str, Any], budget: float) -> bool:
    """Whether more top-1 is lost than allowed, as far as labels can tell."""
    drop, interval = card["top1_drop"], card["top1_drop_ci95"]
    if drop is None:
        return False
    return bool((drop if context.options.gate.point_estimate else interval[0]) > budget)


def _caution(context: Context, recipe: Recipe) -> None:
    """Say of a recipe that was solved again that its evaluation is not a clean one."""
    if times_widened(context, recipe):
        context.voice.warn(
            f"{recipe.name}: solved again for a forecast of "
            f"{100 * forecast_budget(context, recipe):.2g} points where evaluation "
            f"pictures showed a drop over {100 * budget_of(context, recipe):.2g}; such "
            "pictures have had a part in that choice: check it on others"
        )
