"""The layers that add a variant's error, as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgedeploy.report import notation
from edgedeploy.report.data import ReportData, child, sequence, table


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyLayer:
    """One layer, as text.

    Attributes:
        name: Its name.
        operator: The operator's.
        before: Signal-to-noise at its noisiest input, in dB.
        after: The same at its output.
        own: Noise that it adds, in percent of the signal.
    """

    name: str
    operator: str
    before: str
    after: str
    own: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyVariant:
    """One variant.

    Attributes:
        recipe: Its name.
        lines: The layers to keep in higher precision, the worst first.
    """

    recipe: str
    lines: tuple[NoisyLayer, ...]


def tabulate_layers(data: ReportData) -> tuple[NoisyVariant, ...]:
    """List the layers that add most noise; none where nobody asked for them."""
    measured = table(data.layers, "variants")
    found = (
        NoisyVariant(recipe=str(recipe), lines=_lines(table(measured, str(recipe))))
        for recipe in measured
    )
    return tuple(one for one in found if one.lines)


def _lines(one: Any) -> tuple[NoisyLayer, ...]:
    by_name = {str(child(row, "name")): row for row in sequence(one, "layers")}
    return tuple(
        NoisyLayer(
            name=str(name),
            operator=str(child(by_name[name], "operator") or ""),
            before=notation.decimal(child(by_name[name], "input_snr_db"), 1),
            after=notation.decimal(child(by_name[name], "snr_db"), 1),
            own=notation.percent(child(by_name[name], "own_noise"), 2),
        )
        for name in sequence(one, "keep")
        if isinstance(name, str) and name in by_name
    )
