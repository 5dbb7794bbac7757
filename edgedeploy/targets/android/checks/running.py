"""Run what is in a package: each model, and the golden vectors of our payloads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath

from edgedeploy.errors import EdgedeployError, FormatError
from edgedeploy.formats.tflite import summarize
from edgedeploy.isolate import run_isolated
from edgedeploy.ondevice.bundle import CONTRACT
from edgedeploy.results import Check
from edgedeploy.targets.android.checks.contents import Contents, PackagedFile

MANIFEST = "manifest.json"


def run_model(contents: Contents, file: PackagedFile) -> Iterator[Check]:
    """Run a model, from its place in an APK if it is stored there.

    Args:
        contents: The package.
        file: The model.

    Yields:
        One check, or none for a model that cannot be read, of which others tell.
    """
    try:
        foreign = summarize(contents.read(file)).custom_ops
    except EdgedeployError:
        return
    if foreign:
        yield Check(
            level="host",
            name=f"{file.name} runs",
            passed=None,
            detail=f"not run here: it needs the operator {', '.join(foreign)}",
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
    except EdgedeployError as error:
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
        except EdgedeployError as error:
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
    """Folders of the package that hold a payload of ours."""
    return [
        PurePosixPath(file.name).parent
        for file in contents.files
        if PurePosixPath(file.name).name == MANIFEST
    ]


def has_neighbours(contents: Contents, file: PackagedFile) -> bool:
    """Whether the payload that a model belongs to lets neighbours vote."""
    contract = contents.find(str(PurePosixPath(file.name).parent.parent / CONTRACT))
    if contract is None:
        return False
    try:
        document = json.loads(contents.read(contract, 64 << 20))
    except (FormatError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and "neighbours" in document
