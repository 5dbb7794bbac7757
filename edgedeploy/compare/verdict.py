"""All findings of a comparison, and whether the new side may replace the old."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgedeploy.compare.accuracy import Answers, Same, compare_answers
from edgedeploy.compare.finding import NAMES, Finding, Limits
from edgedeploy.compare.structure import compare_structure

if TYPE_CHECKING:
    from edgedeploy.compare.side import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the comparison came to.

    Attributes:
        old: The side that is in use.
        new: The side that shall replace it.
        findings: In the order of `NAMES`.
        limits: What was allowed.
    """

    old: Side
    new: Side
    findings: tuple[Finding, ...]
    limits: Limits

    @property
    def failed(self) -> tuple[Finding, ...]:
        """What is worse than its limit, and not accepted."""
        return tuple(one for one in self.findings if one.passed is False)

    def to_dict(self) -> dict[str, Any]:
        """Give the value of --json."""
        return {
            "schema": 1,
            "old": self.old.to_dict(),
            "new": self.new.to_dict(),
            "limits": {
                "max_top1_drop": self.limits.max_top1_drop,
                "max_size_growth": self.limits.max_size_growth,
                "max_slowdown": self.limits.max_slowdown,
                "accept": list(self.limits.accept),
                "require": list(self.limits.require),
            },
            "findings": [finding.to_dict() for finding in self.findings],
            "variants": compare_variants(self.old, self.new),
            "passed": not self.failed,
        }


def compare_sides(
    old: Side,
    new: Side,
    limits: Limits,
    *,
    answers: Answers | Same | str,
    latency: Finding,
) -> Verdict:
    """Judge everything that was read and measured.

    Args:
        old: The side that is in use.
        new: The side that shall replace it.
        limits: What may be lost.
        answers: Both sides' answers to the same pictures, or why there are none.
        latency: What `compare_latency` found.
    """
    found = [
        *compare_structure(old, new, limits),
        *compare_answers(answers, limits),
        latency,
    ]
    judged = (_apply(one, limits) for one in found)
    return Verdict(
        old=old,
        new=new,
        findings=tuple(sorted(judged, key=lambda one: NAMES.index(one.name))),
        limits=limits,
    )


def _apply(one: Finding, limits: Limits) -> Finding:
    if one.passed is False and one.name in limits.accept:
        return replace(one, passed=True, accepted=True)
    if one.passed is None and one.name in limits.require:
        detail = f"required, but not measured: {one.detail}"
        return replace(one, passed=False, detail=detail)
    return one


def compare_variants(old: Side, new: Side) -> list[dict[str, Any]]:
    """List every recipe of both builds with what each build recorded of it.

    Returns:
        {"recipe", "same_bytes", "size_bytes": [old, new], "deflated_bytes": […],
        "top1": […], "top1_ci95": […], "mean_kl": […]} a recipe; None where a build
        lacks it. The accuracies are each build's own, on its own pictures.
    """
    rows = []
    for recipe in dict.fromkeys((*old.variants, *new.variants)):
        facts = [side.variants.get(recipe, {}) for side in (old, new)]
        cards = [
            side.evaluation.get("variants", {}).get(recipe, {}) for side in (old, new)
        ]
        digests = [one.get("sha256") for one in facts]
        rows.append(
            {
                "recipe": recipe,
                "same_bytes": digests[0] is not None and digests[0] == digests[1],
                "size_bytes": [one.get("size_bytes") for one in facts],
                "deflated_bytes": [one.get("deflated_bytes") for one in facts],
                "top1": [one.get("top1") for one in cards],
                "top1_ci95": [one.get("top1_ci95") for one in cards],
                "mean_kl": [one.get("mean_kl") for one in cards],
            }
        )
    return rows
