"""The task `pi.verify`: how far a bundle was proved, level by level."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from edgedeploy.cli.command import command

if TYPE_CHECKING:
    from edgedeploy.cli.console import Speaker
    from edgedeploy.devices.emulated.levels import Request
    from edgedeploy.devices.emulated.outcome import Outcome
    from edgedeploy.workspace import Workspace

_SUFFIXES = (".tar.gz", ".deb")


@command("path", "model", "level", "cpu", "suite", "offline", "json")
def verify(values: SimpleNamespace) -> None:
    """Verify Pi bundles on emulated Arm processors and systems, offline."""
    from edgedeploy.cli.console import Speaker
    from edgedeploy.devices.emulated.levels import LEVELS, combine, verify_levels

    request = _request(values)
    paths = _bundles(values)
    speaker = Speaker(machine=values.json)
    found: dict[str, dict[str, Outcome]] = {}
    for path in paths:
        levels = verify_levels(path, request, speaker.step)
        found[path.name] = levels
        _record(path, levels, speaker)
    combined = combine(found)
    if values.json:
        answer = {
            "levels": {name: level.to_dict() for name, level in combined.items()},
            "bundles": {
                bundle: {name: level.to_dict() for name, level in levels.items()}
                for bundle, levels in found.items()
            },
        }
        speaker.answer(answer)
    else:
        for name, level in combined.items():
            speaker.checks(level.checks)
            word = {True: "passed", False: "FAILED", None: "not run"}[level.passed]
            speaker.note(f"level {name} ({LEVELS[name]}): {word}; {level.detail}")
    _judge(combined, values.level)


def _judge(levels: dict[str, Outcome], named: str) -> None:
    """Fail for what failed, and for what was named and could not be run."""
    from edgedeploy.errors import VerificationError

    failed = [name for name, level in levels.items() if level.passed is False]
    missing = [name for name in _list(named) if levels[name].passed is None]
    for name in (*failed, *missing):
        raise VerificationError(f"level {name}: {levels[name].detail}")


def _request(values: SimpleNamespace) -> Request:
    from edgedeploy.devices.emulated.levels import Request

    default = Request()
    return Request(
        levels=_list(values.level) or default.levels,
        cpus=_list(values.cpu) or default.cpus,
        suites=_list(values.suite),
        offline=values.offline,
    )


def _bundles(values: SimpleNamespace) -> list[Path]:
    """Find the bundle that was named, or all of the model's.

    Raises:
        InputError: If there is none.
    """
    from edgedeploy.catalog import model_specs
    from edgedeploy.errors import InputError

    if values.path:
        path = Path(values.path)
        if not path.is_file() or not path.name.endswith(_SUFFIXES):
            raise InputError(
                f"{path}: expected a Pi bundle, {' or '.join(_SUFFIXES)}; build one "
                "with package.pi"
            )
        return [path]
    name = model_specs(values.model)[0].name
    folder = Path.cwd() / "build" / name / "pi"
    found = sorted(
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.name.endswith(_SUFFIXES) and not path.name.startswith(".")
    )
    if not found:
        raise InputError(
            f"{folder}: no Pi bundles; build them with package.pi --model {name}"
        )
    return found


def _record(path: Path, levels: dict[str, Outcome], speaker: Speaker) -> None:
    from edgedeploy.stages.pi_levels import record_levels

    workspace = _workspace_of(path)
    if workspace is None:
        speaker.note(f"{path} is in no build folder here, so nothing is recorded")
        return
    with workspace.exclusive(speaker.note):
        record_levels(
            workspace,
            path,
            {name: level.to_dict() for name, level in levels.items()},
        )


def _workspace_of(path: Path) -> Workspace | None:
    """Find the build that a bundle is of: build/<model>/pi/<bundle> here."""
    from edgedeploy.workspace import Workspace

    folder = path.resolve().parent
    workspace = Workspace(root=Path.cwd(), model=folder.parent.name)
    return workspace if folder == (workspace.folder / "pi").resolve() else None


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


TASKS = (verify,)
