"""A few assignments of widths around a budget, each written and measured."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgedeploy.quantize.layers import Layer
from edgedeploy.quantize.remember import Solutions
from edgedeploy.quantize.search import (
    Closeness,
    Option,
    assign_bits,
    divergence_for,
    next_allowance,
)
from edgedeploy.quantize.solve import BLOCKED, NARROW, WIDE
from edgedeploy.quantize.write import stored_codes, stored_steps

MOST_CANDIDATES = 10
# To a 4,096th of all that narrowing can cost.
_HALVINGS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One assignment, solved and measured.

    Attributes:
        data: The .tflite file's bytes.
        bits: By operator number.
        closeness: On the calibration pictures that show it worse.
    """

    data: bytes
    bits: Mapping[int, float]
    closeness: Closeness

    def to_dict(self) -> dict[str, Any]:
        """Give the facts as JSON values."""
        return {
            "size_bytes": len(self.data),
            "deflated_bytes": deflated_size(self.data),
            "narrow_layers": sum(b <= BLOCKED for b in self.bits.values()),
            "blocked_layers": sum(b == BLOCKED for b in self.bits.values()),
            "layers": len(self.bits),
            "predicted_drop": round(self.closeness.predicted_drop, 6),
            "mean_kl": round(self.closeness.mean_kl, 6),
            "agreement": round(self.closeness.agreement, 6),
        }


def deflated_size(data: bytes) -> int:
    """Bytes that are left of some after deflating."""
    return len(zlib.compress(data, 9))


def layer_options(
    solutions: Solutions,
    costs: Mapping[int, float],
    widths: Mapping[int, Sequence[float]],
    price: Callable[[bytes], int],
) -> dict[int, tuple[Option, ...]]:
    """Put together every layer's widths with cost and price.

    Args:
        solutions: By operator number and width.
        costs: Divergence of 4 bits in one layer alone, by operator number.
        widths: What a layer may get, the widest first, by operator number.
        price: Tells what bytes cost.

    Returns:
        Options by operator number, in the order of the widths.
    """
    options = {}
    for operator, cost in costs.items():
        narrowest = solutions[operator, NARROW].error
        ways = []
        for width in widths[operator]:
            one = solutions[operator, width]
            # The cost of a small change grows with the error of the outputs.
            share = one.error / narrowest if narrowest > 0 else 0.0
            stored = (
                stored_codes(one.solved).tobytes() + stored_steps(one.solved).tobytes()
            )
            ways.append(Option(bits=width, cost=cost * share, price=price(stored)))
        options[operator] = tuple(ways)
    return options


def find_candidates(
    layers: Sequence[Layer],
    options: Mapping[int, Sequence[Option]],
    max_drop: float,
    make: Callable[[Mapping[int, float]], Candidate],
) -> list[Candidate]:
    """Measure assignments around the budget; all-int8 last where none is within it.

    Args:
        layers: All layers.
        options: As `layer_options` gives them.
        max_drop: Budget of the predicted loss of top-1, a fraction.
        make: Writes and measures an assignment.
    """
    made: list[Candidate] = []
    known: dict[tuple[float, ...], Candidate] = {}
    wanted = divergence_for(max_drop)
    allowed: float | None = wanted
    tried: list[tuple[float, float]] = []
    for _ in range(MOST_CANDIDATES):
        if allowed is None:
            break
        bits = assign_bits(layers, options, allowed)
        key = tuple(bits.values())
        if key not in known:
            known[key] = make(bits)
            made.append(known[key])
        # What the answers cost counts too, where it is more than the divergence.
        reached = divergence_for(known[key].closeness.predicted_drop)
        tried.append((allowed, reached))
        allowed = next_allowance(tried, wanted)
    if all(one.closeness.predicted_drop > max_drop for one in made):
        made.append(make({layer.operator: WIDE for layer in layers}))
    return made


def widest_within(
    layers: Sequence[Layer],
    options: Mapping[int, Sequence[Option]],
    max_size: int,
    size_of: Callable[[Mapping[int, float]], int],
) -> dict[int, float] | None:
    """Find the assignment of the least cost whose file is no larger than allowed.

    Args:
        layers: All layers.
        options: As `layer_options` gives them.
        max_size: In bytes.
        size_of: Tells how large an assignment's file is.

    Returns:
        Bits by operator number; None where even the narrowest is larger.
    """
    highest = sum(max(way.cost, 0) for ways in options.values() for way in ways)
    found = assign_bits(layers, options, highest)
    if size_of(found) > max_size:
        return None
    low, high = 0.0, highest
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tried = assign_bits(layers, options, middle)
        if size_of(tried) <= max_size:
            found, high = tried, middle
        else:
            low = middle
    return found


def describe_frontier(made: Sequence[Candidate], max_drop: float) -> str:
    """Tell sizes and forecasts of the candidates that no other is better than.

    Args:
        made: What was measured so far.
        max_drop: Budget of the predicted loss of top-1, a fraction.
    """
    frontier = [
        one
        for one in made
        if not any(
            len(other.data) <= len(one.data)
            and other.closeness.predicted_drop < one.closeness.predicted_drop
            for other in made
        )
    ]
    points = [
        f"{len(one.data) / 1e6:.2f} MB {-100 * one.closeness.predicted_drop:+.2f}"
        for one in sorted(frontier, key=lambda one: len(one.data))
    ]
    return f"forecast, at most {-100 * max_drop:+.2f} points: {', '.join(points)}"
