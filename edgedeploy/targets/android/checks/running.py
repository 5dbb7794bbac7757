"""Run what is in a package: each model, and the golden vectors of our payloads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from edgedeploy.errors import EdgedeployError, FormatError
from edgedeploy.formats.tflite import TfliteSummary, summarize
from edgedeploy.isolate import run_isolated
from edgedeploy.ondevice.bundle import CONTRACT
from edgedeploy.ondevice.contract import ContractError
from edgedeploy.results import Check
from edgedeploy.targets.android.checks.contents import Contents, PackagedFile

MANIFEST = "manifest.json"
# What each document of a payload has, beside its schema's number; other programs
# write a manifest.json, too: web apps, package managers.
_KEYS = {MANIFEST: ("model", "files"), CONTRACT: ("pipeline", "variants")}
_LIMIT_BYTES = 64 << 20


def run_model(contents: Contents, file: PackagedFile) -> Iterator[Check]:
    """Run a model, from its place in an APK if it is stored there.

    Args:
        contents: The package.
        file: The model.

    Yields:
        One check, or none for a model that cannot be read, of which others tell.
    """
    try:
        hindrance = _hindrance(summarize(contents.read(file)))
    except EdgedeployError:
        return
    if hindrance:
        yield Check(
            level="host",
            name=f"{file.name} runs",
            passed=None,
            detail=f"not run here: {hindrance}",
        )
        return
    mapped = file.entry is not None and file.stored
    try:
        outputs = run_isolated(
            "edgedeploy.targets.android.replay:compare_mapped"
            if mapped
            else "edgedeploy.targets.android.replay:run_extracted",
            {"path": str(contents.path), "name": file.name},
            what=f"running {file.name}",
        )
    except (EdgedeployError, ContractError) as error:
        yield Check(
            level="host", name=f"{file.name} runs", passed=False, detail=str(error)
        )
        return
    good = (
        "mapped in place it answers as the plain file does"
        if mapped
        else "unpacked, it answers"
    )
    yield Check(
        level="host",
        name=f"{file.name} runs",
        passed=outputs["equal"],
        detail=good
        if outputs["equal"]
        else f"its answers differ from the plain file's by {outputs['difference']:g}",
    )


def replay_payloads(contents: Contents) -> Iterator[Check]:
    """Replay the golden vectors of every payload of ours in the package.

    Args:
        contents: The package.

    Yields:
        The self-test's checks, or one that says that there is no payload.
    """
    folders = payload_folders(contents)
    if not folders:
        yield Check(
            level="host",
            name="golden vectors",
            passed=None,
            detail="not run here: the package carries no manifest of edgedeploy",
        )
    for folder in folders:
        try:
            report = run_isolated(
                "edgedeploy.targets.android.replay:replay_payload",
                {"path": str(contents.path), "folder": str(folder)},
                what=f"self-test of {folder}",
            )
        except (EdgedeployError, ContractError) as error:
            yield Check(
                level="host",
                name=f"{folder} self-test",
                passed=False,
                detail=str(error),
            )
            continue
        for check in report["checks"]:
            yield Check(
                level="host",
                name=f"self-test: {check['name']}",
                passed=check["passed"],
                detail=check["detail"],
            )


def payload_folders(contents: Contents) -> list[PurePosixPath]:
    """Folders of the package that hold a payload of ours.

    A manifest and a contract lie side by side, and at least one of the two reads as
    ours: a payload with one damaged document is still replayed, and fails.
    """
    folders = [
        PurePosixPath(file.name).parent
        for file in contents.files
        if PurePosixPath(file.name).name == MANIFEST
    ]
    return [folder for folder in folders if _is_payload(contents, folder)]


def has_neighbours(contents: Contents, file: PackagedFile) -> bool:
    """Whether the payload that a model belongs to lets neighbours vote."""
    folder = PurePosixPath(file.name).parent.parent
    return "neighbours" in _read_document(contents, folder / CONTRACT)


def _hindrance(model: TfliteSummary) -> str:
    """Why a model cannot be run here; empty if it can."""
    if model.custom_ops:
        return f"it needs the operator {', '.join(model.custom_ops)}"
    counts = len(model.inputs), len(model.outputs)
    if counts != (1, 1):
        return f"it has {counts[0]} inputs and {counts[1]} outputs; only one each runs"
    if not model.inputs[0].shape or not model.outputs[0].shape:
        return "its input or output has no dimensions"
    return ""


def _is_payload(contents: Contents, folder: PurePosixPath) -> bool:
    if contents.find(str(folder / CONTRACT)) is None:
        return False
    documents = {name: _read_document(contents, folder / name) for name in _KEYS}
    return any(
        isinstance(document.get("schema"), int) and all(key in document for key in keys)
        for document, keys in zip(documents.values(), _KEYS.values(), strict=True)
    )


def _read_document(contents: Contents, path: PurePosixPath) -> dict[str, Any]:
    """Read a JSON object; empty where there is none."""
    file = contents.find(str(path))
    if file is None:
        return {}
    try:
        document = json.loads(contents.read(file, _LIMIT_BYTES))
    except (FormatError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
