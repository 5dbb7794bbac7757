"""Which sizes of picture a network takes: one, a list, or a range with a step.

Part of the contract. Sizes are (width, height) in pixels, as `ImagePipeline` has them.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .contract import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

Size = tuple[int, int]
KINDS = ("enumerated", "range")
MAX_SIDE = 8192
MAX_SIZES = 64
# Of a range, so many sizes beside the corners are tried.
SAMPLED = 4
_SIZE = r"([0-9]{1,4})(?:x([0-9]{1,4}))?"


@dataclass(frozen=True, kw_only=True)
class InputShapes:
    """The sizes that a network takes.

    Attributes:
        shape: "enumerated" or "range".
        sizes: (width, height) of each, ascending; empty for a range.
        smallest: (width, height) where a range begins; None for a list.
        largest: (width, height) where it ends, included; None for a list.
        step: Between two widths and between two heights; None for a list.
    """

    shape: str
    sizes: tuple[Size, ...] = ()
    smallest: Size | None = None
    largest: Size | None = None
    step: Size | None = None

    def __post_init__(self) -> None:
        """Refuse what no network could take."""
        if self.shape not in KINDS:
            raise ContractError(
                f"shape must be {' or '.join(KINDS)}; received {self.shape!r}"
            )
        if self.shape == "enumerated":
            self._check_list()
        else:
            self._check_range()

    def _check_list(self) -> None:
        if self.smallest or self.largest or self.step:
            raise ContractError("enumerated shapes take sizes; min is for a range")
        if not isinstance(self.sizes, (list, tuple)) or not self.sizes:
            raise ContractError(f"sizes must list sizes; received {self.sizes!r}")
        if len(self.sizes) > MAX_SIZES:
            raise ContractError(
                f"sizes may list {MAX_SIZES} at most; received {len(self.sizes)}. "
                "Give a range instead"
            )
        sizes = tuple(_size("sizes", size) for size in self.sizes)
        if len(set(sizes)) != len(sizes):
            raise ContractError("sizes lists a size twice")
        object.__setattr__(self, "sizes", tuple(sorted(sizes)))

    def _check_range(self) -> None:
        if self.sizes:
            raise ContractError("a range takes min, max and step; sizes are for a list")
        low = _size("min", self.smallest)
        high = _size("max", self.largest)
        step = _size("step", self.step)
        for first, last, by in zip(low, high, step, strict=True):
            if last < first:
                raise ContractError(f"max {last} is below min {first}")
            if (last - first) % by:
                raise ContractError(
                    f"from {first} to {last} is no whole number of steps of {by}"
                )
        object.__setattr__(self, "smallest", low)
        object.__setattr__(self, "largest", high)
        object.__setattr__(self, "step", step)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InputShapes:
        """Read shapes from JSON or TOML values: shape and sizes, or min, max and step.

        Raises:
            ContractError: If a key is unknown or a value impossible.
        """
        if not hasattr(values, "items"):
            raise ContractError(f"input must be a table of fields; received {values!r}")
        names = {"min": "smallest", "max": "largest"}
        fields = {names.get(str(key), str(key)): v for key, v in values.items()}
        unknown = set(values) - {"shape", "sizes", "min", "max", "step"}
        if unknown or "shape" not in fields:
            raise ContractError(
                "input takes shape with sizes, or with min, max and step; received "
                f"{', '.join(sorted(str(name) for name in values)) or 'nothing'}"
            )
        return cls(**fields)

    def to_dict(self) -> dict[str, Any]:
        """Give the shapes as JSON values, the inverse of `from_dict`."""
        if self.shape == "enumerated":
            return {"shape": self.shape, "sizes": [list(size) for size in self.sizes]}
        low, high, step = self._bounds()
        return {
            "shape": self.shape,
            "min": list(low),
            "max": list(high),
            "step": list(step),
        }

    def allows(self, width: int, height: int) -> bool:
        """Whether the network takes a size."""
        if self.shape == "enumerated":
            return (width, height) in self.sizes
        return all(
            first <= side <= last and (side - first) % by == 0
            for side, first, last, by in zip(
                (width, height), *self._bounds(), strict=True
            )
        )

    def corners(self) -> tuple[Size, ...]:
        """The sizes at the edge: all of a list, the four corners of a range."""
        if self.shape == "enumerated":
            return self.sizes
        low, high, _ = self._bounds()
        corners = {(w, h) for w in (low[0], high[0]) for h in (low[1], high[1])}
        return tuple(sorted(corners))

    def tested(self, seed: int = 0) -> tuple[Size, ...]:
        """The sizes to try: all of a list; of a range the corners and a sample.

        Args:
            seed: Of the sample.
        """
        if self.shape == "enumerated":
            return self.sizes
        low, high, step = self._bounds()
        order = random.Random(seed)  # noqa: S311  (a sample, not a secret)
        sample = {
            (
                order.randrange(low[0], high[0] + 1, step[0]),
                order.randrange(low[1], high[1] + 1, step[1]),
            )
            for _ in range(SAMPLED)
        }
        return tuple(sorted({*self.corners(), *sample}))

    def describe(self) -> str:
        """Say in words which sizes there are."""
        if self.shape == "enumerated":
            return ", ".join(size_name(size) for size in self.sizes)
        low, high, step = self._bounds()
        by = str(step[0]) if step[0] == step[1] else size_name(step)
        return f"{size_name(low)} to {size_name(high)} in steps of {by}"

    def _bounds(self) -> tuple[Size, Size, Size]:
        if self.smallest is None or self.largest is None or self.step is None:
            raise ContractError("a range takes min, max and step")
        return self.smallest, self.largest, self.step


def size_name(size: Size) -> str:
    """Write a size as people do: "224x224", width first."""
    return f"{size[0]}x{size[1]}"


def parse_size(text: str) -> Size:
    """Read a size such as "320x240", or "224" for a square.

    Raises:
        ContractError: If the text is no size.
    """
    found = re.fullmatch(_SIZE, text.strip())
    if not found:
        raise ContractError(
            f"a size is WIDTHxHEIGHT, such as 320x240; received {text[:40]!r}"
        )
    return _size("size", [int(found[1]), int(found[2] or found[1])])


def parse_shapes(text: str) -> InputShapes:
    """Read shapes such as "224x224,299x299" or "160..320/32" (a range and its step).

    Raises:
        ContractError: If the text names no shapes.
    """
    if ".." not in text:
        sizes = tuple(parse_size(part) for part in text.split(","))
        return InputShapes(shape="enumerated", sizes=sizes)
    ends, slash, step = text.partition("/")
    low, _, high = ends.partition("..")
    if not slash:
        raise ContractError(
            f"a range is MIN..MAX/STEP, such as 160..320/32; received {text[:40]!r}"
        )
    return InputShapes(
        shape="range",
        smallest=parse_size(low),
        largest=parse_size(high),
        step=parse_size(step),
    )


def _size(name: str, value: Any) -> Size:
    sides = [value, value] if isinstance(value, int) else value
    if (
        not isinstance(sides, (list, tuple))
        or len(sides) != 2
        or not all(type(side) is int and 1 <= side <= MAX_SIDE for side in sides)
    ):
        raise ContractError(
            f"{name} takes [width, height], 1 to {MAX_SIDE} pixels; received {value!r}"
        )
    return (sides[0], sides[1])
