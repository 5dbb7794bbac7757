"""What a level of verification gives: passed, failed, or not run, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgedeploy.results import Check

EMULATED = "emulated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A level's outcome.

    Attributes:
        passed: True if all of it ran and passed, False if anything failed, None if
            anything of it was not run.
        checks: What was looked at.
        detail: One line for people.
        seconds: How long it took here, which says nothing about a device.
    """

    passed: bool | None
    checks: tuple[Check, ...]
    detail: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Give the outcome as JSON values."""
        return {
            "passed": self.passed,
            "checks": [check.to_dict() for check in self.checks],
            "detail": self.detail,
            "seconds": round(self.seconds, 1),
        }


def not_run(reason: str) -> Outcome:
    """Give the outcome of a level that was not run."""
    return Outcome(passed=None, checks=(), detail=f"not run: {reason}", seconds=0.0)


def sum_up(checks: Sequence[Check], *, seconds: float) -> Outcome:
    """Give the outcome of checks; without any, nothing has passed."""
    failed = [check for check in checks if check.passed is False]
    missing = [check for check in checks if check.passed is None]
    if failed:
        passed: bool | None = False
        first = failed[0]
        detail = (
            f"{len(failed)} of {len(checks)} checks failed, the first: {first.name}: "
            f"{first.detail}"
        )
    elif missing or not checks:
        passed = None
        first_detail = missing[0].detail if missing else "there was nothing to check"
        detail = f"not run: {first_detail}"
    else:
        passed, detail = True, f"{len(checks)} checks passed"
    return Outcome(passed=passed, checks=tuple(checks), detail=detail, seconds=seconds)
