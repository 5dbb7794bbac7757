"""The stage that verifies what was packaged, with which every build ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgedeploy.doctor import find_bundletool, find_program
from edgedeploy.errors import VerificationError
from edgedeploy.isolate import Progress
from edgedeploy.ondevice.installed import resolve_runtime, runtime_identity
from edgedeploy.results import Check
from edgedeploy.stages.context import Context
from edgedeploy.stages.pi_levels import add_levels, read_levels, sum_levels
from edgedeploy.verify import verify
from edgedeploy.workspace import code_digest, json_digest, read_json, write_json

# Programs that nobody here wrote, asked for their opinion where they are installed.
CLIENTS = ("aapt2", "apksigner", "jarsigner")
# What needs hardware that a build does not have.
_NOT_HERE = (
    Check(
        level="device",
        name="Android phone",
        passed=None,
        detail="not run here: installing and loading the APK needs a phone",
    ),
    Check(
        level="device",
        name="Raspberry Pi",
        passed=None,
        detail="not run here: install.sh and its self-test need a Pi (or an emulator)",
    ),
)


def verify_deliverables(
    context: Context, deliverables: Sequence[tuple[str, Path]]
) -> dict[str, Any]:
    """Verify each deliverable that changed since it was verified last.

    Args:
        context: The build.
        deliverables: The stage that made each, and its path.

    Returns:
        {"passed", "levels": {level: {"passed", "checks", "not_run"}}, "checks": […]},
        and "pi_levels" where `pi.verify` was run on one of the bundles.

    Raises:
        VerificationError: If a check fails.
    """
    checks: list[dict[str, Any]] = []
    emulated: dict[str, dict[str, dict[str, Any]]] = {}
    for stage, path in deliverables:
        checks += _verified(context, stage, path)
        below = path.relative_to(context.workspace.folder).as_posix()
        levels = read_levels(context.workspace, below, _digest(context, stage, below))
        if levels:
            emulated[below] = levels
    checks += [check.to_dict() for check in _NOT_HERE]
    failed = [check for check in checks if check["passed"] is False]
    if failed:
        first = failed[0]
        raise VerificationError(
            f"{len(failed)} of {len(checks)} checks failed, the first: "
            f"{first['name']}: {first['detail']}"
        )
    found = {"passed": True, "levels": sum_levels(checks), "checks": checks}
    # What pi.verify found earlier is shown; a failure there was reported there.
    return add_levels(found, emulated) if emulated else found


def _verified(context: Context, stage: str, path: Path) -> list[dict[str, Any]]:
    name = path.name
    result = context.workspace.folder / ".verification" / f"{name}.json"
    runtime = resolve_runtime("auto")
    below = path.relative_to(context.workspace.folder).as_posix()

    def action(_progress: Progress) -> None:
        found = [check.to_dict() | {"path": below} for check in verify(path)]
        write_json(result, found)

    context.stage(
        f"verify-{stage}",
        f"verify {name}",
        inputs={
            "sha256": _digest(context, stage, below),
            "runtime": runtime_identity(runtime),
            "clients": [
                *(client for client in CLIENTS if find_program(client)),
                *(["bundletool"] if find_bundletool() else []),
            ],
            "code": code_digest("verify.py", "targets", "formats", "ondevice"),
        },
        outputs=[result],
        action=action,
    )
    checks: list[dict[str, Any]] = read_json(result)
    return checks


def _digest(context: Context, stage: str, below: str) -> str:
    """SHA-256 of a deliverable; of a folder, of what all its files are."""
    outputs = context.workspace.stage_outputs(stage)
    if below in outputs:
        return str(outputs[below]["sha256"])
    return json_digest({name: stamp["sha256"] for name, stamp in outputs.items()})
