"""Which variant to ship: the smallest, or the fastest, that is good enough."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgedeploy.errors import GateError, InputError
from edgedeploy.evaluate.power import pictures_to_decide
from edgedeploy.recipes import REFERENCE

PREFERENCES = ("smallest", "smallest-download", "fastest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a variant has to hold to be shipped.

    Attributes:
        max_top1_drop: Allowed loss of top-1 against float32, a fraction. 0.008 is
            the loss that TensorFlow publishes for Inception v3 (78.0 to 77.2).
        min_agreement: Share of equal answers that must not be ruled out: the upper
            end of the 95 % interval has to reach it.
        max_mean_kl: Allowed floored divergence from float32, in nats.
        max_collapse: Allowed excess share of one class over float32's.
        point_estimate: Whether the measured drop decides, instead of its whole 95 %
            interval.
    """

    max_top1_drop: float = 0.008
    min_agreement: float = 0.95
    max_mean_kl: float = 0.02
    max_collapse: float = 0.1
    point_estimate: bool = False

    def __post_init__(self) -> None:
        """Refuse budgets that are not fractions."""
        for name in ("max_top1_drop", "min_agreement", "max_collapse"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InputError(
                    f"{name.replace('_', '-')} is a fraction from 0 to 1 (0.008 is "
                    f"0.8 points); received {value:g}"
                )
        if not self.max_mean_kl >= 0:
            raise InputError(
                f"max-mean-kl is 0 or more, in nats; received {self.max_mean_kl:g}"
            )

    def to_dict(self) -> dict[str, float]:
        """Give the budgets as JSON values."""
        return {
            "max_top1_drop": self.max_top1_drop,
            "min_agreement": self.min_agreement,
            "max_mean_kl": self.max_mean_kl,
            "max_collapse": self.max_collapse,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a variant stands against the gate.

    Attributes:
        failed: The checks that it fails, each with its figure and its limit.
        undecided: Why its accuracy is neither within the budget nor over it, and how
            many pictures would tell; empty where it is decided.
        needed: Labelled pictures that may decide it; infinite where none would.
    """

    failed: tuple[str, ...]
    undecided: str = ""
    needed: float = math.inf

    @property
    def passed(self) -> bool:
        """Whether the variant may be shipped."""
        return not self.failed and not self.undecided

    def reasons(self) -> str:
        """Everything that is held against the variant, in one line."""
        return "; ".join((*self.failed, *filter(None, [self.undecided])))


def choose(
    evaluation: Mapping[str, Any],
    sizes: Mapping[str, int],
    *,
    latencies_ms: Mapping[str, float | None],
    prefer: str,
    gate: Gate,
    smoke: bool,
) -> dict[str, Any]:
    """Choose the variant to ship, and say why each other lost.

    Args:
        evaluation: The value of evaluation.json.
        sizes: Bytes of each variant's file, or of its download where that is preferred.
        latencies_ms: Median latency of each variant; used when fastest is preferred.
        prefer: One of `PREFERENCES`.
        gate: The budgets.
        smoke: Whether the pictures are too few or unlabelled to judge accuracy.

    Returns:
        The value of selection.json.

    Raises:
        InputError: If the preference is unknown.
        GateError: If no variant passes; float16 is named as the way out, or how many
            pictures would decide. Or if the fastest is asked for and no latency was
            measured.
    """
    if prefer not in PREFERENCES:
        raise InputError(
            f"prefer must be {' or '.join(PREFERENCES)}; received {prefer!r}"
        )
    cards = {
        name: card for name, card in evaluation["variants"].items() if name != REFERENCE
    }
    verdicts = {name: judge(card, gate, smoke) for name, card in cards.items()}
    passing = [name for name, verdict in verdicts.items() if verdict.passed]
    if not passing:
        raise GateError(_no_way(verdicts))
    if prefer == "fastest" and all(latencies_ms.get(n) is None for n in passing):
        raise GateError(
            "no variant can be called the fastest, since no latency was measured here; "
            "use --prefer smallest"
        )
    keys = {name: _key(name, prefer, sizes, latencies_ms) for name in passing}
    choice = min(passing, key=lambda name: keys[name])
    reasons = {
        name: verdict.reasons() or _lost(name, choice, prefer, sizes, latencies_ms)
        for name, verdict in verdicts.items()
        if name != choice
    }
    return {
        "schema": 1,
        "choice": choice,
        "reason": (
            f"the {prefer} of {len(passing)} variants that are good enough"
            if len(passing) > 1
            else "the only variant that is good enough"
        ),
        "prefer": prefer,
        "gate": _evidence(cards[choice], gate, smoke),
        "budgets": gate.to_dict(),
        "passed": sorted(passing),
        "undecided": sorted(
            name for name, one in verdicts.items() if one.undecided and not one.failed
        ),
        "reasons": reasons,
    }


def judge(card: Mapping[str, Any], gate: Gate, smoke: bool) -> Verdict:
    """Hold a variant's figures against the budgets.

    With the gate's `point_estimate` the measured drop decides. Otherwise its whole
    95 % interval has to lie within the budget; where it only reaches into it, nothing
    is decided.

    Args:
        card: The variant's entry in evaluation.json.
        gate: The budgets.
        smoke: Whether accuracy can not be judged.
    """
    failed, undecided, needed = [], "", math.inf
    # Written as "not within", so that a figure that is no number never passes.
    if not smoke and card["top1_drop"] is not None:
        over, undecided, needed = _judge_drop(card, gate)
        failed += over
    if not card["agreement_top1_ci95"][1] >= gate.min_agreement:
        failed.append(
            f"agrees with float32 on {100 * card['agreement_top1']:.1f} %, "
            f"under {100 * gate.min_agreement:.1f} %"
        )
    if not card["mean_kl"] <= gate.max_mean_kl:
        failed.append(f"KL {card['mean_kl']:.4f}, over {gate.max_mean_kl:.4f}")
    if not card["collapse"] <= gate.max_collapse:
        failed.append(
            f"one class takes {100 * card['collapse']:.0f} points more of the pictures "
            f"than in float32, over {100 * gate.max_collapse:.0f}: collapsed"
        )
    return Verdict(failed=tuple(failed), undecided=undecided, needed=needed)


def _judge_drop(card: Mapping[str, Any], gate: Gate) -> tuple[list[str], str, float]:
    """Give what failed of the drop of top-1, what is undecided, and what it needs."""
    drop, budget = card["top1_drop"], gate.max_top1_drop
    over = f"top-1 drops {100 * drop:.2f} points, over {100 * budget:.2f}"
    if gate.point_estimate:
        return ([] if drop <= budget else [over]), "", math.inf
    low, high = card["top1_drop_ci95"]
    # What is no number fails, and is not undecided: no picture would mend it.
    if not low <= drop <= high or low > budget:
        return [over], "", math.inf
    if high <= budget:
        return [], "", math.inf
    where = f"lies between {100 * low:.2f} and {100 * high:.2f} points"
    said, needed = _needed(card, budget)
    undecided = (
        f"undecided: its drop of top-1 {where}, the budget is {100 * budget:.2f}; "
        f"{said}"
    )
    return [], undecided, needed


def _needed(card: Mapping[str, Any], budget: float) -> tuple[str, float]:
    """Say how many labelled pictures would decide, and give the lesser number."""
    paired = card["paired"]
    pairs: int = paired["pairs"]
    needed = pictures_to_decide(paired["losses"], paired["gains"], pairs, budget)
    have = f"{pairs:,} labelled pictures were there"
    if needed.even is None:
        said = f"no number of pictures decides a drop on the budget itself; {have}"
        return said, math.inf
    likely = f"{_rounded(needed.likely)}" if needed.likely else "over a million"
    said = (
        f"about {_rounded(needed.even)} labelled pictures may decide it and {likely} "
        f"probably will; {have}"
    )
    return said, needed.even


def _rounded(number: int) -> str:
    """Write two digits: the third would promise what the measurement cannot hold."""
    step = int(10 ** max(0, len(str(number)) - 2))
    return f"{-(-number // step) * step:,}"


def _evidence(card: Mapping[str, Any], gate: Gate, smoke: bool) -> str:
    """Name what decided: the drop's whole interval, the drop itself, or neither."""
    if smoke or card["top1_drop"] is None:
        return "smoke"
    high = card["top1_drop_ci95"][1]
    return "interval" if high <= gate.max_top1_drop else "point"


def _key(
    name: str,
    prefer: str,
    sizes: Mapping[str, int],
    latencies_ms: Mapping[str, float | None],
) -> tuple[float, int, str]:
    latency = latencies_ms.get(name)
    if prefer != "fastest":
        return (0.0, sizes[name], name)
    return (float("inf") if latency is None else latency, sizes[name], name)


def _lost(
    name: str,
    choice: str,
    prefer: str,
    sizes: Mapping[str, int],
    latencies_ms: Mapping[str, float | None],
) -> str:
    if prefer == "fastest":
        own, best = latencies_ms.get(name), latencies_ms.get(choice)
        if own is None or best is None:
            return "its latency was not measured"
        return f"good enough, but {own:.2f} ms against {best:.2f} ms of {choice}"
    own_mb, best_mb = sizes[name] / 1e6, sizes[choice] / 1e6
    return f"good enough, but {own_mb:.2f} MB against {best_mb:.2f} MB of {choice}"


def _no_way(verdicts: Mapping[str, Verdict]) -> str:
    if not verdicts:
        return (
            "only float32 was built, so there is nothing to choose; add a recipe, such "
            "as --recipes float16,int8"
        )
    if any(one.undecided and not one.failed for one in verdicts.values()):
        return _undecided(verdicts)
    details = "; ".join(f"{name}: {one.reasons()}" for name, one in verdicts.items())
    way_out = (
        "float16 is the way out: add it with --recipes float16"
        if "float16" not in verdicts
        else "even float16 differs, so check the model's pipeline"
    )
    return f"no variant is good enough ({details}). {way_out}"


def _undecided(verdicts: Mapping[str, Verdict]) -> str:
    """Give in full what the fewest pictures would decide, and name the others."""
    undecided = {
        name: one for name, one in verdicts.items() if one.undecided and not one.failed
    }
    nearest = min(undecided, key=lambda name: undecided[name].needed)
    others = [name for name in undecided if name != nearest]
    details = [
        f"{name}: {one.reasons()}" for name, one in verdicts.items() if one.failed
    ]
    details.append(f"{nearest}: {undecided[nearest].reasons()}")
    if others:
        details.append(f"undecided too, with no fewer: {', '.join(others)}")
    return (
        f"the pictures cannot decide which variant is good enough "
        f"({'; '.join(details)}). Give --images more labelled pictures, or accept the "
        "measured drops with --point-estimate"
    )
