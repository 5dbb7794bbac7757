"""benchmark.json, put together from one file a device.

Each device's figures lie in devices/<id>.json beside the digests of the models that
gave them, so a build that measures this machine anew keeps what other devices gave,
as long as the models are the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgedeploy.errors import InputError, WorkspaceError
from edgedeploy.workspace import Workspace, read_json, write_json

HOST = "host"
BENCHMARK = "benchmark.json"
_FOLDER = "devices"
_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,119}")


def host_path(workspace: Workspace) -> Path:
    """The file with the figures of the machine that builds."""
    return workspace.folder / _FOLDER / f"{HOST}.json"


def write_device(
    path: Path,
    *,
    models: Mapping[str, str],
    device: Mapping[str, Any],
    unmeasured: Mapping[str, str],
) -> None:
    """Write one device's figures.

    Args:
        path: devices/<id>.json.
        models: SHA-256 of what was measured, by recipe.
        device: The device's entry in benchmark.json.
        unmeasured: Reasons of missing figures, by their place in the entry.
    """
    host = device["host"]
    reasons = dict(unmeasured) | {
        f"host.{name}": "this system does not tell"
        for name, value in host.items()
        if value is None
    }
    write_json(
        path,
        {
            "schema": 1,
            "models": dict(models),
            "device": dict(device),
            "unmeasured": reasons,
        },
    )


def record_device(
    workspace: Workspace,
    name: str,
    *,
    models: Mapping[str, str],
    device: Mapping[str, Any],
    unmeasured: Mapping[str, str],
    note: Callable[[str], None],
) -> str:
    """Put a device's figures into benchmark.json; hold the workspace's lock.

    Args:
        workspace: The model's.
        name: The device's id. Another device of the same board and host name is told
            apart by a few digits of its identity.
        models: SHA-256 of what was measured, by recipe.
        device: The device's entry.
        unmeasured: Reasons of missing figures, by their place in the entry.
        note: Told of entries that had to go.

    Returns:
        The id that the entry has.

    Raises:
        InputError: If the id cannot be a file's name, or the build has other models.
        WorkspaceError: If the file cannot be written.
    """
    if not _ID.fullmatch(name) or name == HOST:
        raise InputError(f"{name[:80]!r} cannot be a device's id; give an alias")
    built = built_models(workspace)
    differing = sorted(
        recipe
        for recipe in models
        if built.get(recipe, models[recipe]) != models[recipe]
    )
    if differing:
        raise InputError(
            f"{name} has another {', '.join(differing)} than {workspace.folder}; bring "
            "it up to date with inv pi.install, then measure again"
        )
    identity = device["host"].get("identity")
    path = workspace.folder / _FOLDER / f"{name}.json"
    before = _read(path) if path.is_file() else None
    if before and identity and before["device"]["host"].get("identity") != identity:
        name = f"{name}-{identity[:6]}"
        path = path.with_name(f"{name}.json")
    variants = {
        recipe: {"deflated_bytes": None, **facts, **_deflated(workspace, recipe)}
        for recipe, facts in device["variants"].items()
    }
    write_device(
        path,
        models={recipe: sha for recipe, sha in models.items() if recipe in variants},
        device={**device, "variants": variants},
        unmeasured={
            f"variants.{recipe}.deflated_bytes": "this build folder has no such variant"
            for recipe, facts in variants.items()
            if facts["deflated_bytes"] is None
        }
        | dict(unmeasured),
    )
    compose_benchmark(workspace, built or models, note)
    return name


def record_facts(
    workspace: Workspace, facts: Mapping[str, Any], note: Callable[[str], None]
) -> dict[str, Any]:
    """Put what was measured on one device into benchmark.json.

    Args:
        workspace: The model's; waited for while another process is in it.
        facts: "device_id", "models", "device" and "unmeasured", as `record_device`
            takes them; others are left alone.
        note: Told of waiting, and of entries that had to go.

    Returns:
        The facts with the id that the entry has.

    Raises:
        InputError: As `record_device`.
        WorkspaceError: As `record_device`.
    """
    with workspace.exclusive(note):
        name = record_device(
            workspace,
            facts["device_id"],
            models=facts["models"],
            device=facts["device"],
            unmeasured=facts["unmeasured"],
            note=note,
        )
    return {**facts, "device_id": name}


def compose_benchmark(
    workspace: Workspace, models: Mapping[str, str], note: Callable[[str], None]
) -> dict[str, Any]:
    """Write benchmark.json from the devices' files, this machine first.

    Args:
        workspace: The model's.
        models: SHA-256 of the variants that count, by recipe. A device that measured
            others under these names is dropped; what it measured beyond them is kept
            for a build that has them, and not shown.
        note: Told, in one line each, what was dropped.

    Returns:
        The value of benchmark.json.

    Raises:
        WorkspaceError: If a file cannot be read or written.
    """
    folder = workspace.folder / _FOLDER
    paths = sorted(
        folder.glob("*.json"), key=lambda path: (path.stem != HOST, path.stem)
    )
    devices: dict[str, Any] = {}
    unmeasured: dict[str, str] = {}
    for path in paths:
        found = _read(path)
        changed = [
            recipe
            for recipe, sha in found["models"].items()
            if models.get(recipe, sha) != sha
        ]
        if changed and path.stem == HOST:
            continue  # Its stage will run again.
        if changed:
            path.unlink(missing_ok=True)
            note(
                f"dropped the figures of {path.stem}: {', '.join(sorted(changed))} "
                "changed since; measure it again with inv pi.benchmark"
            )
            continue
        shown = {
            recipe: facts
            for recipe, facts in found["device"]["variants"].items()
            if recipe in models
        }
        if not shown:
            continue
        devices[path.stem] = found["device"] | {"variants": shown}
        where = "" if path.stem == HOST else f"devices.{path.stem}."
        unmeasured |= {
            f"{where}{key}": reason
            for key, reason in found["unmeasured"].items()
            if _is_shown(key, shown)
        }
    value = {
        "schema": 1,
        "model": workspace.model,
        "devices": devices,
        "unmeasured": unmeasured,
    }
    path = workspace.folder / BENCHMARK
    if not path.is_file() or _changed(path, value):
        write_json(path, value)
    return value


def built_models(workspace: Workspace) -> dict[str, str]:
    """SHA-256 of the variants that the build folder holds, by recipe; maybe none."""
    found = {}
    for path in sorted((workspace.folder / "variants").glob("*/variant.json")):
        digest = read_json(path).get("sha256")
        if isinstance(digest, str):
            found[path.parent.name] = digest
    return found


def _deflated(workspace: Workspace, recipe: str) -> dict[str, Any]:
    path = workspace.variant_facts(recipe)
    if not path.is_file():
        return {}
    return {"deflated_bytes": read_json(path).get("deflated_bytes")}


def _is_shown(key: str, shown: Mapping[str, Any]) -> bool:
    parts = key.split(".")
    return parts[0] != "variants" or (len(parts) > 1 and parts[1] in shown)


def _changed(path: Path, value: dict[str, Any]) -> bool:
    try:
        return bool(read_json(path) != value)
    except WorkspaceError:  # Damaged: all that it held is in the devices' files.
        return True


def _read(path: Path) -> dict[str, Any]:
    found = read_json(path)
    try:
        sound = (
            isinstance(found["device"]["host"], dict)
            and isinstance(found["device"]["variants"], dict)
            and isinstance(found["models"], dict)
            and isinstance(found["unmeasured"], dict)
        )
    except (KeyError, TypeError):
        sound = False
    if not sound:
        raise WorkspaceError(
            f"{path}: not a device's figures; delete it and measure again"
        )
    result: dict[str, Any] = found
    return result
