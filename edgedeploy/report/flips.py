"""Pictures on which a variant answers otherwise than float32."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedeploy.report import notation
from edgedeploy.report.data import ReportData, child, read_contract, sequence, table
from edgedeploy.report.measured import read_variants, reference_name
from edgedeploy.report.thumbnails import Thumbnail, make_thumbnail

SHOWN = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A picture with two answers.

    Attributes:
        image: Its id.
        thumbnail: The picture.
        truth: Its label, or empty where it has none.
        reference: The reference's answer.
        variant: The variant's answer.
        reference_is_right: Whether the answer is the label; None without a label.
        variant_is_right: The same for the variant.
    """

    image: str
    thumbnail: Thumbnail
    truth: str
    reference: str
    variant: str
    reference_is_right: bool | None
    variant_is_right: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlippedPictures:
    """What a variant changed.

    Attributes:
        recipe: The variant.
        role: As in `MeasuredVariant`.
        total: How many pictures flipped, or None if they were not counted.
        flips: The first `SHOWN`.
    """

    recipe: str
    role: str
    total: int | None
    flips: tuple[Flip, ...]

    @property
    def hidden(self) -> int:
        """How many more there are than are shown."""
        return max(0, (self.total or 0) - len(self.flips))


def collect_flips(data: ReportData) -> tuple[FlippedPictures, ...]:
    """Gather each variant's flipped pictures, the chosen variant's first."""
    seen: dict[str, Thumbnail] = {}
    variants = [
        variant
        for variant in read_variants(data)
        if variant.recipe != reference_name(data)
        and child(data.evaluation, "variants", variant.recipe) is not None
    ]
    variants.sort(key=lambda variant: variant.role != "chosen")
    return tuple(
        _collect(data, variant.recipe, variant.role, seen) for variant in variants
    )


def _collect(
    data: ReportData, recipe: str, role: str, seen: dict[str, Thumbnail]
) -> FlippedPictures:
    values = table(data.evaluation, "variants", recipe)
    listed = sequence(values, "flipped")
    total = notation.finite(values.get("flipped_count"))
    if total is None and listed:
        total = len(listed)
    return FlippedPictures(
        recipe=recipe,
        role=role,
        total=None if total is None else int(total),
        flips=tuple(_read_flip(data, entry, seen) for entry in listed[:SHOWN]),
    )


def _read_flip(data: ReportData, entry: Any, seen: dict[str, Thumbnail]) -> Flip:
    image = str(child(entry, "image") or "unnamed picture")
    if image not in seen:
        path = (data.pictures or {}).get(image)
        seen[image] = make_thumbnail(
            Path(path) if path is not None else None, read_contract(data)
        )
    truth = name_class(data, child(entry, "label"))
    reference = name_class(data, child(entry, "reference"))
    variant = name_class(data, child(entry, "variant"))
    return Flip(
        image=image,
        thumbnail=seen[image],
        truth=truth,
        reference=reference or notation.DASH,
        variant=variant or notation.DASH,
        reference_is_right=reference == truth if truth else None,
        variant_is_right=variant == truth if truth else None,
    )


def name_class(data: ReportData, value: Any) -> str:
    """Name a class that is given by its index or by its name; empty for none."""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int):
        labels = data.labels or ()
        return labels[value] if 0 <= value < len(labels) else f"class {value}"
    return str(value)
