"""What was packaged, from what, under which terms, and how to make it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from edgedeploy import __version__
from edgedeploy.report import notation
from edgedeploy.report.data import ReportData, child, sequence, table

Pairs = tuple[tuple[str, str], ...]
_APP = "android/app/"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedFile:
    """A file with its digest.

    Attributes:
        name: Path relative to the build folder or inside the bundle.
        size: As text.
        sha256: Hexadecimal, or a dash.
    """

    name: str
    size: str
    sha256: str


def list_packaged(data: ReportData, kind: str) -> tuple[PackagedFile, ...]:
    """List files of the manifest.

    Args:
        data: The build's results.
        kind: "deliverables" (what is handed out) or "files" (what is inside).
    """
    return tuple(
        PackagedFile(
            name=str(name),
            size=notation.exact_bytes(child(values, "size_bytes")),
            sha256=str(child(values, "sha256") or notation.DASH),
        )
        for name, values in sorted(
            table(data.manifest, kind).items(), key=lambda item: str(item[0])
        )
    )


def describe_app(data: ReportData) -> str:
    """Say what was done with the Android app's project; "" where there is none."""
    names = map(str, table(data.manifest, "deliverables"))
    if not any(name.startswith(_APP) for name in names):
        return ""
    return (
        f"{_APP} is a Gradle project: its sources and its models were written and "
        "checked as files. Not run here: Gradle, the Android Gradle Plugin, R8, a "
        "phone; so there is no app to install yet"
    )


def describe_sources(data: ReportData) -> Pairs:
    """List where weights, calibration and evaluation pictures come from."""
    manifest = data.manifest
    pairs: list[tuple[str, str]] = []
    for key, name in (("weights", "weights"), ("summary", "classes")):
        if child(manifest, key):
            pairs.append((name, _flat(child(manifest, key))))
    pairs += _prefixed("source", child(manifest, "source"))
    pairs += _prefixed("calibration", child(manifest, "calibration"))
    pairs += _prefixed("evaluation", child(data.evaluation, "dataset"))
    return tuple(pairs)


def describe_licence(data: ReportData) -> Pairs:
    """List the terms of the weights, without the licence's full text."""
    licence = table(data.manifest, "licence")
    return tuple(
        (name, _flat(licence[key]))
        for key, name in (
            ("spdx", "licence"),
            ("holder", "holder"),
            ("notice", "notice"),
            ("homepage", "terms"),
        )
        if licence.get(key)
    )


def rebuild_commands(data: ReportData) -> tuple[str, ...]:
    """List the commands that make this build again."""
    recorded = sequence(data.manifest, "rebuild")
    if recorded:
        return tuple(str(command) for command in recorded)
    parts = ["edgedeploy", "build"]
    for flag in ("model", "weights"):
        value = child(data.manifest, flag)
        if isinstance(value, str) and value:
            parts += [f"--{flag}", shlex.quote(value)]
    return (" ".join(parts),)


def list_versions(data: ReportData) -> Pairs:
    """List the versions of edgedeploy and its tools."""
    tools = {
        str(key): _flat(value) for key, value in table(data.manifest, "tools").items()
    }
    return (
        ("edgedeploy", tools.pop("edgedeploy", __version__)),
        *sorted(tools.items()),
    )


def _prefixed(prefix: str, values: object) -> list[tuple[str, str]]:
    if isinstance(values, Mapping):
        return [
            (f"{prefix}: {key}", _flat(value))
            for key, value in values.items()
            if value is not None
        ]
    return [(prefix, _flat(values))] if values else []


def _flat(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = notation.finite(value)
        if number is None:
            return notation.DASH
        return notation.count(value) if number == int(number) else f"{number:g}"
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
