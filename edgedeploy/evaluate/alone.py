"""Figures of a model that has no float32 network to be held against."""

from __future__ import annotations

from typing import Any

# Each compares a variant with its float32 network.
_COMPARING = (
    *("top1_drop", "top1_drop_ci95", "paired", "mcnemar_p", "agreement_top1"),
    *("agreement_top1_ci95", "mean_kl", "collapse", "confusions"),
)
REASON = (
    "the model was quantised elsewhere and its float32 network is not here; give that "
    "network to have them compared"
)


def stand_alone(card: dict[str, Any]) -> dict[str, Any]:
    """Take out of a scorecard what compares a model with itself.

    Args:
        card: Of a model that was its own reference.

    Returns:
        The card with None where there is nothing to compare with.
    """
    return {key: None if key in _COMPARING else value for key, value in card.items()}


def why_alone(card: dict[str, Any]) -> dict[str, str]:
    """The reason for each figure that `stand_alone` took out.

    Args:
        card: What it returned.
    """
    return {key: REASON for key in _COMPARING if key in card and card[key] is None}


def only_variant(
    choice: str, *, prefer: str, budgets: dict[str, Any]
) -> dict[str, Any]:
    """Choose the one variant that there is.

    Args:
        choice: Its name.
        prefer: What would have been preferred.
        budgets: What would have been allowed.

    Returns:
        The value of selection.json; its gate is "smoke", since no drop was measured.
    """
    return {
        "schema": 1,
        "choice": choice,
        "reason": "the only one; no float32 network is here to hold it against",
        "prefer": prefer,
        "gate": "smoke",
        "budgets": budgets,
        "passed": [choice],
        "undecided": [],
        "reasons": {},
    }
