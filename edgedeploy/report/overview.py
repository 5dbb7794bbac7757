"""The top of the page: what was made, whether it can be trusted, the key figures."""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.recipes import AS_IS
from edgedeploy.report import notation
from edgedeploy.report.data import (
    ReportData,
    child,
    is_smoke_test,
    reason_for,
    sequence,
    table,
)
from edgedeploy.report.measured import (
    MeasuredVariant,
    chosen_name,
    find_variant,
    is_emulated,
    primary_device,
    read_variants,
    reference_name,
)
from edgedeploy.report.plots import comparison_threads

_GATES = {
    "smoke": "These pictures cannot judge accuracy, so accuracy decided nothing.",
    "point": "The measured drop itself decided, not its 95 % interval.",
    "interval": "The whole 95 % interval of the drop decided.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """One of the figures that sum the choice up.

    Attributes:
        name: What it is.
        value: The choice's figure, or "not measured".
        versus: float32's figure and the ratio, or the reason.
    """

    name: str
    value: str
    versus: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether what was packaged does what it claims.

    Attributes:
        state: "passed", "failed" or "unknown".
        text: In words, with the counts.
    """

    state: str
    text: str


def name_model(data: ReportData) -> str:
    """Name the model for people."""
    for source in (data.manifest, data.evaluation):
        for key in ("title", "model"):
            name = child(source, key)
            if isinstance(name, str) and name:
                return name
    return "Unnamed model"


def describe_choice(data: ReportData) -> str:
    """Say in one sentence what was chosen and why."""
    if data.selection is None:
        return f"No variant has been chosen: {reason_for(data, 'selection')}."
    chosen = chosen_name(data)
    if chosen is None:
        return f"No variant was chosen: {reason_for(data, 'selection', 'choice')}."
    if chosen == AS_IS:
        return (
            f"{chosen} was taken: the file was quantised elsewhere, and no float32 "
            "network is here to hold it against."
        )
    passed = len(sequence(data.selection, "passed"))
    prefer = str(child(data.selection, "prefer") or "first")
    which = f"the {prefer} of the {passed} variants" if passed > 1 else "the only one"
    return f"{chosen} was chosen: {which} that {_describe_checks(data)}."


def _describe_checks(data: ReportData) -> str:
    allowed = notation.points(child(data.selection, "budgets", "max_top1_drop"))
    others = "the checks of agreement, divergence and class collapse"
    if is_smoke_test(data) or allowed == notation.DASH:
        return f"passed {others}"
    return f"kept its top-1 drop within {allowed} points and passed {others}"


def describe_gate(data: ReportData) -> str:
    """Say what kind of evidence decided; empty where nothing was decided."""
    if data.selection is None:
        return ""
    gate = child(data.selection, "gate")
    return _GATES.get(str(gate), f"What kind of evidence decided is unknown ({gate}).")


def describe_evidence(data: ReportData) -> str:
    """Say which pictures the accuracy comes from."""
    dataset = table(data.evaluation, "dataset")
    images = notation.finite(dataset.get("images"))
    if images is None:
        return f"Pictures: not recorded ({reason_for(data, 'evaluation', 'dataset')})."
    name = str(dataset.get("name") or "unnamed")
    labelled = notation.finite(dataset.get("labelled"))
    skipped = notation.finite(dataset.get("skipped"))
    return (
        f"Evaluated on {notation.counted(int(images), 'picture')} ({name}), "
        f"{'—' if labelled is None else notation.count(labelled)} labelled, "
        f"{'—' if skipped is None else notation.count(skipped)} skipped."
    )


def judge_verification(data: ReportData) -> Verdict:
    """Sum the checks up; what was not run never counts as passed."""
    if not data.verification:
        reason = reason_for(data, "verification")
        return Verdict(state="unknown", text=f"Not verified: {reason}")
    results = [child(check, "passed") for check in data.verification]
    passed = sum(result is True for result in results)
    failed = sum(result is False for result in results)
    unrun = len(results) - passed - failed
    rest = f", {unrun} not run here" if unrun else ""
    if failed:
        failing = notation.counted(failed, "check")
        return Verdict(
            state="failed",
            text=f"Verification failed: {failing} of {len(results)}{rest}",
        )
    if not passed:
        return Verdict(state="unknown", text="Not verified: no check was run here")
    return Verdict(
        state="passed",
        text=f"Verified: {notation.counted(passed, 'check')} passed{rest}",
    )


def key_figures(data: ReportData) -> tuple[KeyFigure, ...]:
    """Sum the choice up against the reference: size, download, accuracy, latency."""
    variants = read_variants(data)
    reference = find_variant(variants, reference_name(data))
    chosen = find_variant(variants, chosen_name(data)) or reference
    if chosen is None:
        return ()
    return (
        _size_figure(data, chosen, reference, "size_bytes", "Size"),
        _size_figure(data, chosen, reference, "deflated_bytes", "Download, deflated"),
        _accuracy_figure(data, chosen, reference),
        _latency_figure(data, chosen, reference),
    )


def _size_figure(
    data: ReportData,
    chosen: MeasuredVariant,
    reference: MeasuredVariant | None,
    field: str,
    name: str,
) -> KeyFigure:
    own = getattr(chosen, field)
    other = getattr(reference, field) if reference else None
    if own is None:
        reason = chosen.error or reason_for(
            data, "benchmark", f"{chosen.recipe}.{field}", field
        )
        return KeyFigure(name=name, value="not measured", versus=reason)
    versus = _against(data, chosen, notation.megabytes(other))
    if other and own and chosen is not reference:
        versus += f", {notation.decimal(other / own, 1)}× smaller"  # noqa: RUF001
    return KeyFigure(name=name, value=notation.megabytes(own), versus=versus)


def _accuracy_figure(
    data: ReportData, chosen: MeasuredVariant, reference: MeasuredVariant | None
) -> KeyFigure:
    if is_smoke_test(data) or chosen.top1 is None:
        return _agreement_figure(data, chosen)
    versus = _against(
        data, chosen, notation.percent(reference.top1 if reference else None)
    )
    if chosen.top1_drop is not None and chosen is not reference:
        versus += f"; drop {notation.points(chosen.top1_drop)} points"
        if chosen.top1_drop_ci95:
            low, high = (notation.points(end) for end in chosen.top1_drop_ci95)
            versus += f" ({low} to {high})"
    return KeyFigure(
        name="Top-1 accuracy", value=notation.percent(chosen.top1), versus=versus
    )


def _agreement_figure(data: ReportData, chosen: MeasuredVariant) -> KeyFigure:
    name = f"Agreement with {reference_name(data)}"
    recipe = chosen.recipe
    if recipe == reference_name(data):
        # Its agreement with itself would be a hundred percent of nothing.
        reason = f"{recipe} is what the others are held against"
        return KeyFigure(name=name, value="not measured", versus=reason)
    if chosen.agreement_top1 is None:
        key = "agreement_top1"
        reason = reason_for(data, "evaluation", f"{recipe}.{key}", key)
        return KeyFigure(name=name, value="not measured", versus=reason)
    divergence = notation.divergence(chosen.mean_kl)
    note = "not an accuracy; " if is_smoke_test(data) else ""
    return KeyFigure(
        name=name,
        value=notation.percent(chosen.agreement_top1),
        versus=f"{note}mean KL {divergence}",
    )


def _latency_figure(
    data: ReportData, chosen: MeasuredVariant, reference: MeasuredVariant | None
) -> KeyFigure:
    at = comparison_threads(data)
    own = chosen.latency_at(at) if at is not None else None
    if at is None or own is None or own.p50_ms is None:
        device = primary_device(data)
        reason = chosen.error or reason_for(data, "benchmark", "p50_ms")
        if is_emulated(data, device):
            reason = f"{device} was emulated, and an emulator's times are no device's"
        return KeyFigure(name="Latency", value="not measured", versus=reason)
    other = reference.latency_at(at) if reference else None
    versus = _against(
        data, chosen, notation.milliseconds(other.p50_ms if other else None)
    )
    if own.speedup is not None and chosen is not reference:
        versus += f"; {_compare_speed(own.speedup)}"
    return KeyFigure(
        name=f"Latency, median, {notation.threads(at)}",
        value=notation.milliseconds(own.p50_ms),
        versus=versus,
    )


def _compare_speed(speedup: float) -> str:
    if speedup <= 0:
        return "ratio not measured"
    if speedup >= 1:
        return f"{notation.ratio(speedup)} as fast"
    return f"slower, {notation.ratio(1 / speedup)} the time"


def _against(data: ReportData, chosen: MeasuredVariant, figure: str) -> str:
    name = reference_name(data)
    if chosen.recipe == name:
        return f"{name} itself"
    return f"{name} {figure}"
