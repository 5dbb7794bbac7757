"""What making each variant took, and int8's two quantizers side by side."""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.report import notation
from edgedeploy.report.data import Json, ReportData, table
from edgedeploy.report.measured import find_variant, read_variants, reference_name

_CONVERTER, _QUANTIZER = "int8", "int8_lq"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionLine:
    """One recipe, as text.

    Attributes:
        recipe: Its name.
        size: Of the file, as the benchmark has it.
        agreement: Share of answers that are the reference's.
        agreement_interval: Its 95 % interval.
        divergence: KL against the reference, in nats.
        images: Pictures that calibrated it.
        time: Wall time of making it.
        processor: Processor time, of all threads.
        memory: Peak of resident memory.
    """

    recipe: str
    size: str
    agreement: str
    agreement_interval: str
    divergence: str
    images: str
    time: str
    processor: str
    memory: str


def tabulate_conversion(data: ReportData) -> tuple[ConversionLine, ...]:
    """List the recipes whose making was measured, in the order of `read_variants`."""
    costs = table(data.conversion)
    variants = read_variants(data)
    known = [one.recipe for one in variants if one.recipe in costs]
    return tuple(_line(data, recipe, table(costs, recipe)) for recipe in known)


def compare_quantizers(data: ReportData) -> str:
    """Say what LiteRT's quantizer takes where the converter's int8 stands beside it."""
    costs = table(data.conversion)
    ours, theirs = table(costs, _QUANTIZER), table(costs, _CONVERTER)
    said = []
    for field, noun in (("peak_rss_bytes", "memory"), ("wall_s", "time")):
        own, other = (
            notation.finite(ours.get(field)),
            notation.finite(theirs.get(field)),
        )
        if own is not None and other:
            said.append(f"{notation.percent(own / other, 0)} of the {noun}")
    if not said:
        return ""
    return (
        f"{_QUANTIZER} (LiteRT's quantizer, from the finished float32 file) took "
        f"{' and '.join(said)} of {_CONVERTER} (TensorFlow's converter, from the "
        "network)."
    )


def tell_finetuned(data: ReportData) -> tuple[str, ...]:
    """Say what fine-tuning did to each variant's answers, and whether it was kept."""
    costs = table(data.conversion)
    known = [one.recipe for one in read_variants(data)]
    tuned = {name: table(costs, name, "finetuned") for name in known}
    return tuple(_tuned(name, facts) for name, facts in tuned.items() if facts)


def _tuned(recipe: str, facts: Json) -> str:
    pair = facts.get("mean_kl")
    before, after = pair if isinstance(pair, list) and len(pair) == 2 else (None, None)
    kept = facts.get("kept")
    outcome = "That was better, so it is kept" if kept else "That was no better"
    images, views = (notation.count(facts.get(key)) for key in ("images", "judged_on"))
    return (
        f"{recipe} was fine-tuned on {images} pictures: KL "
        f"{notation.divergence(before)} before and {notation.divergence(after)} after, "
        f"on {views} views of pictures that took no part. {outcome}"
        f"{'' if kept else ', so the file is as it was before'}."
    )


def _line(data: ReportData, recipe: str, cost: Json) -> ConversionLine:
    variant = find_variant(read_variants(data), recipe)
    # Held against itself it agrees by definition, which is not a measurement.
    compared = variant if recipe != reference_name(data) else None
    calibration = notation.finite(cost.get("calibration_images"))
    interval = compared.agreement_top1_ci95 if compared else None
    return ConversionLine(
        recipe=recipe,
        size=notation.megabytes(variant.size_bytes if variant else None),
        agreement=notation.percent(compared.agreement_top1 if compared else None),
        agreement_interval=notation.span(interval),
        divergence=notation.divergence(compared.mean_kl if compared else None),
        images=notation.count(calibration) if calibration else notation.DASH,
        time=_seconds(cost.get("wall_s")),
        processor=_seconds(cost.get("cpu_s")),
        memory=notation.megabytes(cost.get("peak_rss_bytes"), 0),
    )


def _seconds(value: object) -> str:
    text = notation.decimal(value, 1)
    return text if text == notation.DASH else f"{text}{notation.SPACE}s"
