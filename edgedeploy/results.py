"""What comes out of a check, as a pure value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        level: How far it was verified: "file" (its bytes alone), "host" (it was run
            here), "client" (another program accepted it) or "device".
        name: What was looked at.
        passed: None when it was not run; the detail then says why.
        detail: What was found, or what is missing and how to get it.
    """

    level: str
    name: str
    passed: bool | None
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """Give the check as JSON values."""
        return asdict(self)


def all_passed(checks: tuple[Check, ...]) -> bool:
    """Whether nothing failed; what was not run did not fail, nor did it pass."""
    return all(check.passed is not False for check in checks)
