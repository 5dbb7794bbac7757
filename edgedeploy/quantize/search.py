"""Which layers get how many bits: arithmetic on what was measured, without pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedeploy.quantize.layers import DEPTHWISE, Layer
from edgedeploy.quantize.solve import WIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

# As in the evaluation: a probability under this counts as this.
_FLOOR = 1 / 512
# A change of the probabilities moves answers that no calibration picture happened to
# sit beside. On 800 to 1,000 labelled pictures variants of EfficientNet-Lite0 lost 0.1
# to 0.5 points at a KL of 0.006 and 1.5 at about 0.011, and 97 per cent of the answers
# stayed below 0.0045: 0.5 KL + 132 KL^2, for 0.3 points at 0.0032. Candidates are
# chosen for how they do on the pictures that choose, and showed two fifths more on
# others, which counts here: 0.3 points are forecast at 0.0023, 1.0 at 0.0050.
_LINEAR, _SQUARE = 0.7, 259.0
# Chance that two draws from a picture's answers differ, when layers are compared.
_UNDECIDED = 0.4
_HOTTEST = 16.0
# What a picture counts at least, beside that chance.
_LEAST = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Closeness:
    """How near a variant's answers are to float32's, without labels.

    Attributes:
        expected_drop: Fraction of top-1 that the changed answers cost, if float32's
            probabilities are right.
        mean_kl: Floored divergence, in nats.
        agreement: Fraction of equal answers.
    """

    expected_drop: float
    mean_kl: float
    agreement: float

    @property
    def predicted_drop(self) -> float:
        """A cautious forecast of the loss of top-1, a fraction."""
        by_kl = _LINEAR * self.mean_kl + _SQUARE * self.mean_kl**2
        return max(self.expected_drop, min(1.0, by_kl))


def closeness(reference: NDArray[Any], variant: NDArray[Any]) -> Closeness:
    """Hold answers against float32's.

    When the answer changes from a to b, the chance of being right changes from p(a) to
    p(b), with p float32's own probabilities; this needs no label, and a picture that
    float32 itself finds undecided costs little.

    Args:
        reference: Probabilities, shape (pictures, classes).
        variant: Probabilities, of the same shape.
    """
    rows = np.arange(len(reference))
    before, after = reference.argmax(axis=1), variant.argmax(axis=1)
    certain = np.asarray(reference, np.float64)
    lost = certain[rows, before] - certain[rows, after]
    p, q = _floored(reference), _floored(variant)
    return Closeness(
        expected_drop=float(np.mean(lost)),
        mean_kl=float(np.mean(np.sum(p * np.log(p / q), axis=1))),
        agreement=float(np.mean(before == after)),
    )


def temperature_of(reference: NDArray[Any]) -> float:
    """How far to soften answers so that every picture has a say.

    Of a network that is certain of nearly all pictures, a few undecided ones make up
    the divergence, and layers could be compared by those alone. On Inception v3's
    content safety, whose pictures are 95 per cent of one kind, costs of softened
    answers ranked the layers as other pictures did (0.85 by Spearman, 0.66 without).

    Args:
        reference: Probabilities, shape (pictures, classes).

    Returns:
        1 for a network that is undecided enough, at most 16.
    """
    logs = _logarithms(reference)
    low, high = 1.0, _HOTTEST
    if _undecided(logs) >= _UNDECIDED:
        return 1.0
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        if _undecided(logs / middle) >= _UNDECIDED:
            high = middle
        else:
            low = middle
    return high


def weight_of(probabilities: NDArray[Any]) -> float:
    """How much a picture counts when layers are solved.

    By the chance that two draws from its answer differ: errors of a picture that is
    answered with certainty change nothing.

    Args:
        probabilities: Float32's answer, shape (classes,).
    """
    certain = np.asarray(probabilities, np.float64)
    return _LEAST + max(0.0, 1 - float(np.sum(certain**2)))


def softened_divergence(
    reference: NDArray[Any], variant: NDArray[Any], temperature: float
) -> float:
    """Mean divergence of answers whose logits were divided by a temperature.

    Args:
        reference: Probabilities, shape (pictures, classes).
        variant: Probabilities, of the same shape.
        temperature: 1 or more.

    Returns:
        In nats, 0 or more.
    """
    p = _softmax(_logarithms(reference) / temperature)
    q = _softmax(_logarithms(variant) / temperature)
    return max(0.0, float(np.mean(np.sum(p * np.log(p / q), axis=1))))


def _logarithms(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    # A float32 softmax ends in zeros; what is below this says nothing.
    return np.log(np.maximum(np.asarray(probabilities, np.float64), 1e-12))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _undecided(logits: NDArray[np.float64]) -> float:
    return float(np.mean(1 - np.sum(_softmax(logits) ** 2, axis=1)))


def _floored(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    floored = np.maximum(np.asarray(probabilities, np.float64), _FLOOR)
    return np.asarray(floored / floored.sum(axis=1, keepdims=True))


def can_be_narrow(layer: Layer) -> bool:
    """Whether a layer may have 4-bit codes: no runtime has a depthwise kernel."""
    return layer.kind != DEPTHWISE


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One way to write a layer.

    Attributes:
        bits: Width of its grid.
        cost: Divergence that it causes.
        price: Bytes that it takes, on disk or deflated.
    """

    bits: float
    cost: float
    price: int


def assign_bits(
    layers: Sequence[Layer], options: Mapping[int, Sequence[Option]], allowed: float
) -> dict[int, float]:
    """Narrow the layers that save most for what they cost.

    Args:
        layers: All layers.
        options: Ways to write a layer, by operator number, the widest first; a layer
            without an entry keeps 8 bits.
        allowed: Sum of costs that may be spent.

    Returns:
        Bits by operator number.
    """
    chosen = {operator: ways[0] for operator, ways in options.items() if ways}
    left = allowed
    while True:
        # What saves nothing for its cost comes last; equal rates go by file order.
        steps = [
            (_rate(chosen[operator], way), operator, way.bits, way)
            for operator, ways in options.items()
            for way in ways
            if way.price < chosen[operator].price
            and _extra(chosen[operator], way) <= left
        ]
        if not steps:
            break
        _, operator, _, way = min(steps, key=lambda step: step[:3])
        left -= _extra(chosen[operator], way)
        chosen[operator] = way
    bits: dict[int, float] = {layer.operator: WIDE for layer in layers}
    bits.update({operator: way.bits for operator, way in chosen.items()})
    return bits


def _extra(now: Option, way: Option) -> float:
    # A layer that happens to help gives nothing to spend elsewhere.
    return max(way.cost, 0.0) - max(now.cost, 0.0)


def _rate(now: Option, way: Option) -> float:
    return _extra(now, way) / (now.price - way.price)


def divergence_for(drop: float) -> float:
    """The divergence at which a drop is forecast; undoes `Closeness.predicted_drop`.

    Args:
        drop: A fraction of top-1, 0 or more.
    """
    root = math.sqrt(_LINEAR**2 + 4 * _SQUARE * drop)
    return (root - _LINEAR) / (2 * _SQUARE)


def next_allowance(tried: Sequence[tuple[float, float]], wanted: float) -> float | None:
    """Where to look next, given what was tried.

    Costs do not add up: where one trial was within and another beyond, the next lies
    between the two nearest; until then the last one is scaled.

    Args:
        tried: Sums of costs that were allowed, and the divergence that each led to.
        wanted: The divergence that may be reached.

    Returns:
        A sum of costs; None where two trials are too near for another between.
    """
    within = [allowed for allowed, reached in tried if reached <= wanted]
    beyond = [allowed for allowed, reached in tried if reached > wanted]
    if within and beyond:
        low = max(within)
        above = [allowed for allowed in beyond if allowed > low]
        if above:
            high = min(above)
            return math.sqrt(low * high) if high > 1.02 * low else None
    allowed, reached = tried[-1]
    ratio = 0.95 * wanted / reached if reached > 0 else 4.0
    return float(allowed * min(4.0, max(0.25, ratio)))
