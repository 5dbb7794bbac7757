"""What `pi.verify` found in a bundle, kept beside the build and shown with it.

A finding counts for the bytes that it was made with: the bundle's digest is kept, and
a bundle that was built anew has no levels until it is verified again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgedeploy.errors import WorkspaceError
from edgedeploy.workspace import Workspace, file_digest, read_json, write_json

SCHEMA = 1
EMULATED = "emulated"
# What a build's own verification has looked at already is not listed twice.
_EMULATED_LEVELS = ("b", "c")


def record_levels(
    workspace: Workspace, path: Path, levels: Mapping[str, Mapping[str, Any]]
) -> Path:
    """Keep a bundle's levels, and show them in measured.json where there is one.

    Levels that were found earlier for the same bytes and were not run now stay.

    Args:
        workspace: The build that the bundle is of; the caller has it exclusively.
        path: The bundle.
        levels: By letter: {"passed", "checks", "detail", "seconds"}.

    Returns:
        The file that was written.

    Raises:
        WorkspaceError: If it cannot be written.
    """
    sha256 = file_digest(path)
    below = path.resolve().relative_to(workspace.folder.resolve()).as_posix()
    kept = dict(read_levels(workspace, below, sha256) or {})
    for name, level in levels.items():
        if level["passed"] is not None or name not in kept:
            kept[name] = dict(level)
    record = {"schema": SCHEMA, "bundle": below, "sha256": sha256, "levels": kept}
    written = _path(workspace, below)
    write_json(written, record)
    measured_path = workspace.folder / "measured.json"
    if measured_path.is_file():
        measured = read_json(measured_path)
        verification = dict(measured.get("verification") or {"checks": []})
        measured["verification"] = add_levels(verification, {below: kept})
        write_json(measured_path, measured)
    return written


def read_levels(
    workspace: Workspace, below: str, sha256: str
) -> dict[str, dict[str, Any]] | None:
    """Read what was found in a bundle.

    Args:
        workspace: The build.
        below: The bundle's path below the build folder.
        sha256: The bundle's digest.

    Returns:
        Its levels by letter, or None if these bytes were never verified.
    """
    try:
        record = json.loads(_path(workspace, below).read_text(encoding="utf-8"))
        if record["schema"] != SCHEMA or record["sha256"] != sha256:
            return None
        return {
            str(name): {
                "passed": level["passed"],
                "checks": [dict(check) for check in level["checks"]],
                "detail": str(level["detail"]),
                "seconds": float(level["seconds"]),
            }
            for name, level in record["levels"].items()
        }
    # A record that cannot be read is as good as none: nothing has been verified.
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def add_levels(
    verification: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Put bundles' levels into a build's verification.

    Args:
        verification: {"passed", "levels", "checks", …}.
        found: Levels by letter, by the bundle's path below the build folder.

    Returns:
        The same with "pi_levels", and with the emulated levels among the checks; what
        it said of these bundles before is replaced.
    """
    checks = [
        check
        for check in verification["checks"]
        if not (check["level"] == EMULATED and check.get("path") in found)
    ]
    summary = dict(verification.get("pi_levels") or {})
    for below, levels in found.items():
        checks += _checks(below, levels)
        summary[below] = {
            name: {key: level[key] for key in ("passed", "detail", "seconds")}
            for name, level in levels.items()
        }
    passed = all(check["passed"] is not False for check in checks)
    return {
        **verification,
        "passed": passed,
        "levels": sum_levels(checks),
        "pi_levels": summary,
        "checks": checks,
    }


def sum_levels(checks: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up by level; a level of which nothing was run has not passed."""
    levels: dict[str, Any] = {}
    for name in dict.fromkeys(check["level"] for check in checks):
        own = [check["passed"] for check in checks if check["level"] == name]
        run = [passed for passed in own if passed is not None]
        levels[name] = {
            "passed": all(run) if run else None,
            "checks": len(run),
            "not_run": len(own) - len(run),
        }
    return levels


def _checks(below: str, levels: Mapping[str, Any]) -> list[dict[str, Any]]:
    checks: list[dict[str, Any]] = []
    for name in _EMULATED_LEVELS:
        level = levels.get(name)
        if level is None:
            continue
        # A level without checks was not run, and the reader shall see that.
        checks += [
            dict(check) | {"level": EMULATED, "path": below}
            for check in level["checks"]
        ] or [
            {
                "level": EMULATED,
                "name": f"level {name}",
                "passed": level["passed"],
                "detail": level["detail"],
                "path": below,
            }
        ]
    return checks


def _path(workspace: Workspace, below: str) -> Path:
    name = Path(below).name
    if not name:
        raise WorkspaceError(f"{below!r} is no bundle's path")
    return workspace.folder / ".verification" / f"pi-levels-{name}.json"
