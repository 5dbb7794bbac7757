"""What a report is made from: the build's JSON files, as they were read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgedeploy.ondevice.contract import ContractError, ImagePipeline

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """A build's results; what is None was not made, and the report says so.

    The mappings have the shapes of the build's files. Values that are missing, null
    or not finite are reported as not measured, with the reason that `unmeasured`
    (here, or in the file concerned) gives for them.

    Attributes:
        manifest: manifest.json. Read are `model`, `title`, `weights`, `summary`,
            `source` (a mapping), `licence` (a mapping with `spdx`, `holder`,
            `notice`, `homepage`), `pipeline`, `deliverables` and `files` (name to
            `sha256` and `size_bytes`), `tools` (name to version), `calibration` (a
            mapping) and `rebuild` (commands).
        evaluation: evaluation.json.
        benchmark: benchmark.json.
        selection: selection.json: `choice` (a recipe), `prefer`, `gate`, `passed`
            (recipes), `reasons` (recipe to why it lost) and `budgets`.
        verification: The checks, each with `level`, `name`, `passed` (None means not
            run) and `detail`.
        shapes: shapes.json: by recipe, times at each size of picture; None for a
            model of one size.
        android_sizes: android/sizes.json: what each kind of package takes.
        layers: attribution.json: by recipe, the noise of each layer; None where nobody
            asked for it.
        conversion: By recipe, conversion.json: what making it took.
        sweep: sweep.json, where it is of these weights.
        warnings: One line each.
        pictures: Image ids of the evaluation to the picture files.
        labels: Class names in the order of the outputs.
        notices: Licence notices of what was packaged, as plain text.
        unmeasured: Reasons, by section ("benchmark") or field ("top1", "int8.top1").
    """

    manifest: Json
    evaluation: Json
    benchmark: Json | None = None
    selection: Json | None = None
    shapes: Json | None = None
    layers: Json | None = None
    conversion: Json | None = None
    sweep: Json | None = None
    android_sizes: Json | None = None
    verification: tuple[Json, ...] | None = None
    warnings: tuple[str, ...] | None = None
    pictures: Mapping[str, Path] | None = None
    labels: tuple[str, ...] | None = None
    notices: tuple[str, ...] | None = None
    unmeasured: Mapping[str, str] = field(default_factory=dict)


def child(values: object, *keys: str) -> Any:
    """Walk down nested mappings; None where the way ends."""
    for key in keys:
        if not isinstance(values, Mapping):
            return None
        values = values.get(key)
    return values


def table(values: object, *keys: str) -> Json:
    """Walk down to a mapping; an empty one where there is none."""
    found = child(values, *keys)
    return found if isinstance(found, Mapping) else {}


def sequence(values: object, *keys: str) -> tuple[Any, ...]:
    """Walk down to a list; an empty one where there is none."""
    found = child(values, *keys)
    return tuple(found) if isinstance(found, (list, tuple)) else ()


def is_smoke_test(data: ReportData) -> bool:
    """Tell whether the gate calls its evidence a smoke test."""
    return bool(child(data.selection, "gate") == "smoke")


def contract_values(data: ReportData) -> Json:
    """Find the contract among the evaluation's and the manifest's values."""
    return table(data.evaluation, "pipeline") or table(data.manifest, "pipeline")


def read_contract(data: ReportData) -> ImagePipeline | None:
    """Read the contract, or None if it is missing or not a possible one."""
    try:
        return ImagePipeline.from_dict(contract_values(data))
    except (ContractError, TypeError):
        return None


def reason_for(data: ReportData, section: str, *fields: str) -> str:
    """Find out why something was not measured.

    Args:
        data: The build's results.
        section: "evaluation", "benchmark", "selection" or "verification".
        fields: Keys to look for, the most specific first.

    Returns:
        The recorded reason, or a sentence that there is none.
    """
    own = {
        "evaluation": data.evaluation,
        "benchmark": data.benchmark,
        "selection": data.selection,
    }.get(section)
    reasons = (
        table(own, "unmeasured"),
        data.unmeasured,
        table(data.evaluation, "unmeasured"),
    )
    for key in (*fields, section):
        for recorded in reasons:
            reason = recorded.get(key)
            if isinstance(reason, str) and reason.strip():
                return reason.strip()
    return "no reason was recorded"
