"""What a comparison found, and the limits that decide whether it is acceptable."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edgedeploy.errors import InputError

# Every name that --accept and --require may hold; the order is that of the table.
NAMES = (
    "contract",
    "labels",
    "tensors",
    "operators",
    "runtime",
    "size",
    "download",
    "top1",
    "agreement",
    "latency",
)

_CHANGE = {"top1": "drop", "agreement": "other answers"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was compared.

    Attributes:
        name: One of `NAMES`.
        old: The old side's value, in words or as a number with its unit.
        new: The new side's.
        change: From old to new, a fraction; None where nothing is counted.
        change_ci95: Its 95 % interval, or None.
        limit: The largest change that passes, or None where none is set.
        passed: Whether it is acceptable; None for what was not measured.
        detail: One sentence: what differs, or why it was not measured.
        accepted: Whether it differs and --accept names it.
    """

    name: str
    old: str
    new: str
    change: float | None = None
    change_ci95: tuple[float, float] | None = None
    limit: float | None = None
    passed: bool | None
    detail: str = ""
    accepted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Give JSON values."""
        values = asdict(self)
        if self.change_ci95:
            values["change_ci95"] = list(self.change_ci95)
        return values

    def describe(self) -> str:
        """Say in one line what was found: values, change, limit, detail."""
        both = self.old and self.old != self.new
        parts = [f"{self.old} -> {self.new}" if both else self.new]
        if self.change is not None:
            change = f"{_CHANGE.get(self.name, 'change')} {100 * self.change:+.1f} %"
            if self.change_ci95:
                low, high = self.change_ci95
                change += f" [{100 * low:+.1f}, {100 * high:+.1f}]"
            if self.limit is not None:
                change += f", allowed {100 * self.limit:+.1f} %"
            parts.append(change)
        parts += [self.detail] if self.detail else []
        parts += ["accepted"] if self.accepted else []
        return "; ".join(filter(None, parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the new side may lose.

    Attributes:
        max_top1_drop: Loss of top-1 against the old side, a fraction.
        max_size_growth: Growth of the file, and of its download, a fraction.
        max_slowdown: Growth of the median latency, a fraction.
        accept: Names of findings that may differ without failing.
        require: Names of findings that fail where they were not measured.
    """

    max_top1_drop: float = 0.008
    max_size_growth: float = 0.05
    max_slowdown: float = 0.1
    accept: tuple[str, ...] = ()
    require: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse limits that make no sense."""
        if not 0 <= self.max_top1_drop <= 1:
            raise InputError(
                "max-top1-drop is a fraction from 0 to 1 (0.008 is 0.8 points); "
                f"received {self.max_top1_drop:g}"
            )
        for name in ("max_size_growth", "max_slowdown"):
            value = getattr(self, name)
            if not value >= 0:
                raise InputError(
                    f"{name.replace('_', '-')} is a fraction of 0 or more (0.05 is "
                    f"5 %); received {value:g}"
                )
        for flag in ("accept", "require"):
            unknown = [name for name in getattr(self, flag) if name not in NAMES]
            if unknown:
                raise InputError(
                    f"{flag} takes {', '.join(NAMES)}; received {unknown[0]!r}"
                )
        both = [name for name in self.require if name in self.accept]
        if both:
            raise InputError(
                f"{both[0]} cannot be required and accepted at once; leave it out of "
                "--accept or of --require"
            )
