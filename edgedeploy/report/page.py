"""The page: every section's values, rendered by one template."""

from __future__ import annotations

import re
from typing import Any

from edgedeploy.report import notation, overview, provenance
from edgedeploy.report.classes import tabulate_classes
from edgedeploy.report.comparison import COLUMNS, Row, compare_variants
from edgedeploy.report.contract import describe_contract, tabulate_contract
from edgedeploy.report.conversion import (
    compare_quantizers,
    tabulate_conversion,
    tell_finetuned,
)
from edgedeploy.report.data import (
    Json,
    ReportData,
    child,
    contract_values,
    is_smoke_test,
    read_contract,
    reason_for,
    table,
)
from edgedeploy.report.downloads import describe_downloads, tabulate_downloads
from edgedeploy.report.drawing import draw_plot
from edgedeploy.report.flips import SHOWN, collect_flips
from edgedeploy.report.layers import tabulate_layers
from edgedeploy.report.measured import (
    HOST,
    is_emulated,
    primary_device,
    read_variants,
    reference_name,
)
from edgedeploy.report.plots import plan_plots
from edgedeploy.report.sizes import tabulate_sizes
from edgedeploy.report.skew import describe_peculiar, tabulate_skew
from edgedeploy.report.stability import tabulate_stability
from edgedeploy.report.templating import open_templates
from edgedeploy.report.widths import tabulate_widths

_DIGEST = re.compile(r"[0-9a-f]{64}|sha512-[A-Za-z0-9+/=]+")


def render(data: ReportData) -> str:
    """Render a build's results as one HTML page that needs nothing else.

    Args:
        data: The results; labels, names and details may come from strangers.

    Returns:
        A whole HTML document; the same data gives the same text.
    """
    from markupsafe import Markup

    environment = open_templates()
    environment.tests["digest"] = _is_digest
    # Escaping would double what draw_plot has escaped already.
    plots = [
        (plot, None if plot.reason else Markup(draw_plot(plot)))  # noqa: S704
        for plot in plan_plots(data)
    ]
    template = environment.get_template("report.html")
    return template.render(**_gather(data), plots=plots)


def _gather(data: ReportData) -> dict[str, Any]:
    """Collect what the template shows, section by section."""
    rows = compare_variants(data)
    contract = read_contract(data)
    return {
        "model": overview.name_model(data),
        "weights": child(data.manifest, "weights"),
        "summary": child(data.manifest, "summary"),
        "choice": overview.describe_choice(data),
        "gate": overview.describe_gate(data),
        "evidence": overview.describe_evidence(data),
        "verdict": overview.judge_verification(data),
        "smoke": is_smoke_test(data),
        "reference": reference_name(data),
        "key_figures": overview.key_figures(data),
        "columns": COLUMNS,
        "rows": rows,
        "notes": collect_notes(rows),
        "devices": _other_devices(data),
        "machine": _describe_machine(data, primary_device(data)),
        "benchmark_reason": (
            reason_for(data, "benchmark") if data.benchmark is None else ""
        ),
        "sizes": tabulate_sizes(data),
        "skew": tabulate_skew(data),
        "skew_peculiar": describe_peculiar(data),
        "classes": tabulate_classes(data),
        "stability": tabulate_stability(data),
        "layers": tabulate_layers(data),
        "conversion": tabulate_conversion(data),
        "quantizers": compare_quantizers(data),
        "finetuned": tell_finetuned(data),
        "widths": tabulate_widths(data.sweep),
        "flips": collect_flips(data),
        "flips_shown": SHOWN,
        "contract_words": describe_contract(contract) if contract else "",
        "contract": tabulate_contract(contract) if contract else (),
        "contract_raw": contract_values(data),
        "warnings": data.warnings,
        "warnings_reason": reason_for(data, "warnings"),
        "checks": _group_checks(data.verification or ()),
        "verification_reason": reason_for(data, "verification"),
        "deliverables": provenance.list_packaged(data, "deliverables"),
        "files": provenance.list_packaged(data, "files"),
        "app": provenance.describe_app(data),
        "downloads": tabulate_downloads(data),
        "downloads_source": describe_downloads(data),
        "deliverables_reason": reason_for(data, "deliverables"),
        "sources": provenance.describe_sources(data),
        "licence": provenance.describe_licence(data),
        "notices": data.notices or (),
        "commands": provenance.rebuild_commands(data),
        "versions": provenance.list_versions(data),
    }


def collect_notes(rows: tuple[Row, ...]) -> dict[str, str]:
    """Letter the reasons for missing figures: "a" for the first, and so on."""
    reasons = dict.fromkeys(
        cell.reason for row in rows for cell in row.cells if cell.reason
    )
    return {reason: _letter(index) for index, reason in enumerate(reasons)}


def _is_digest(value: object) -> bool:
    """Tell whether a text is for machines, to be set in their type and copied."""
    return isinstance(value, str) and bool(_DIGEST.fullmatch(value))


def _letter(index: int) -> str:
    """Count in letters: a to z, then aa, ab, and so on."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


def _group_checks(checks: tuple[Json, ...]) -> dict[str, list[dict[str, str]]]:
    """Group the checks by level, in the order in which the levels come first."""
    groups: dict[str, list[dict[str, str]]] = {}
    for check in checks:
        passed = child(check, "passed")
        state = {True: "passed", False: "failed"}.get(passed, "not run here")
        groups.setdefault(str(child(check, "level") or "other"), []).append(
            {
                "name": str(child(check, "name") or "unnamed check"),
                "state": state,
                "detail": str(child(check, "detail") or ""),
            }
        )
    return groups


def _other_devices(data: ReportData) -> list[dict[str, Any]]:
    """List the devices beside the main table's, with their times."""
    primary = primary_device(data)
    devices = []
    for name in sorted(str(key) for key in table(data.benchmark, "devices")):
        if name == primary:
            continue
        lines = []
        for variant in read_variants(data, name):
            best = variant.fastest()
            lines.append(
                {
                    "recipe": variant.recipe,
                    "latency": notation.milliseconds(best.p50_ms if best else None),
                    "threads": notation.threads(best.threads) if best else "",
                    "speedup": notation.ratio(best.speedup if best else None),
                    "memory": notation.megabytes(variant.peak_rss_bytes, 0),
                    "error": variant.error,
                }
            )
        devices.append(
            {
                "name": name,
                "machine": _describe_machine(data, name),
                "emulated": is_emulated(data, name),
                "lines": lines,
            }
        )
    return devices


def _describe_machine(data: ReportData, device: str) -> str:
    """Say on what the times were taken; empty where nothing is known."""
    host = table(data.benchmark, "devices", device, "host")
    cores = notation.finite(host.get("cores"))
    parts = [
        str(host[key])
        for key in ("cpu", "machine", "os")
        if isinstance(host.get(key), str) and host[key]
    ]
    if cores is not None:
        parts.insert(1, notation.counted(int(cores), "core"))
    runtime = " ".join(
        str(host[key]) for key in ("runtime", "runtime_version") if host.get(key)
    )
    if runtime:
        parts.append(runtime)
    where = "this machine" if device == HOST else device
    return f"{where}: {', '.join(parts)}" if parts else ""
