"""Tasks that write deliverables: `package.android` and `package.pi`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from edgedeploy.cli.command import (
    BUILD_FLAGS,
    CHOICE_FLAGS,
    PACKAGE_FLAGS,
    command,
)

if TYPE_CHECKING:
    from edgedeploy.cli.console import Speaker


@command(*BUILD_FLAGS, *CHOICE_FLAGS, *PACKAGE_FLAGS)
def android(values: SimpleNamespace) -> None:
    """Write android/assets/ and the signed asset-only APK."""
    from edgedeploy.cli.options import build_context
    from edgedeploy.stages.run import open_build

    context, speaker = build_context(values)
    with open_build(context) as job:
        paths = [job.android]
    _tell(values, speaker, paths)


@command(*BUILD_FLAGS, *CHOICE_FLAGS, *PACKAGE_FLAGS)
def pi(values: SimpleNamespace) -> None:
    """Write the Raspberry Pi bundles, one a Python version."""
    from edgedeploy.cli.options import build_context
    from edgedeploy.stages.run import open_build

    context, speaker = build_context(values)
    with open_build(context) as job:
        paths = list(job.raspberry_pi.values())
    _tell(values, speaker, paths)


def _tell(values: SimpleNamespace, speaker: Speaker, paths: list[Path]) -> None:
    if values.json:
        speaker.answer({"deliverables": [str(path) for path in paths]})
        return
    for path in paths:
        speaker.note(f"{path.stat().st_size / 1e6:8.2f} MB  {path}")


TASKS = (android, pi)
