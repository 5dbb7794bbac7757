"""The classes that a variant is worst at, and the confusions that it made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgedeploy.report import notation
from edgedeploy.report.data import ReportData, child, sequence, table
from edgedeploy.report.flips import name_class
from edgedeploy.report.measured import read_variants, reference_name


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassLine:
    """One class, as text.

    Attributes:
        label: Its name.
        pictures: How many were evaluated.
        top1: The variant's share of right answers.
        interval: Its 95 % interval.
        reference: The reference's share.
        reference_interval: Its 95 % interval.
    """

    label: str
    pictures: str
    top1: str
    interval: str
    reference: str
    reference_interval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionLine:
    """Pictures that went from one answer to another, as text.

    Attributes:
        reference: What the reference answers.
        variant: What the variant answers.
        pictures: How many.
        losses: How many of them became wrong; a dash where there are no labels.
        gains: How many became right.
    """

    reference: str
    variant: str
    pictures: str
    losses: str
    gains: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantClasses:
    """One variant's lines.

    Attributes:
        recipe: Its name.
        role: As in `MeasuredVariant`.
        worst: The worst class first.
        confusions: The most losses first; none for the reference.
    """

    recipe: str
    role: str
    worst: tuple[ClassLine, ...]
    confusions: tuple[ConfusionLine, ...]


def tabulate_classes(data: ReportData) -> tuple[VariantClasses, ...]:
    """List each variant that has any such line, the chosen one first."""
    variants = sorted(read_variants(data), key=lambda one: one.role != "chosen")
    found = (_collect(data, one.recipe, one.role) for one in variants)
    return tuple(one for one in found if one.worst or one.confusions)


def _collect(data: ReportData, recipe: str, role: str) -> VariantClasses:
    card = table(data.evaluation, "variants", recipe)
    labelled = card.get("top1") is not None
    confusions = () if recipe == reference_name(data) else sequence(card, "confusions")
    return VariantClasses(
        recipe=recipe,
        role=role,
        worst=tuple(_class(data, row) for row in sequence(card, "worst_classes")),
        confusions=tuple(_confusion(data, row, labelled) for row in confusions),
    )


def _class(data: ReportData, row: Any) -> ClassLine:
    intervals = [
        " to ".join(notation.percent(end, 0) for end in sequence(row, key))
        for key in ("top1_ci95", "reference_top1_ci95")
    ]
    return ClassLine(
        label=name_class(data, child(row, "label")),
        pictures=notation.count(child(row, "pictures")),
        top1=notation.percent(child(row, "top1"), 0),
        interval=intervals[0],
        reference=notation.percent(child(row, "reference_top1"), 0),
        reference_interval=intervals[1],
    )


def _confusion(data: ReportData, row: Any, labelled: bool) -> ConfusionLine:
    return ConfusionLine(
        reference=name_class(data, child(row, "reference")),
        variant=name_class(data, child(row, "variant")),
        pictures=notation.count(child(row, "pictures")),
        losses=notation.count(child(row, "losses")) if labelled else notation.DASH,
        gains=notation.count(child(row, "gains")) if labelled else notation.DASH,
    )
