"""Tasks that write deliverables: `package.android`, `.pi` and `.functions`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

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
    """Write the Android packages: assets, apk, aar, packs, aab, update."""
    from edgedeploy.cli.options import build_context
    from edgedeploy.stages.run import open_build

    context, speaker = build_context(values)
    with open_build(context) as job:
        paths = list(job.android.values())
        sizes = job.android_sizes
    if values.json:
        speaker.answer(
            {"deliverables": [str(path) for path in paths], "sizes": sizes["kinds"]}
        )
        return
    _tell(values, speaker, paths)
    speaker.table(
        ("kind", "download", "brotli", "installed", "limit"),
        [
            _size_row(kind, sizes["kinds"][kind])
            for kind in context.options.android_kinds
        ],
    )
    for what, reason in sizes["unmeasured"].items():
        speaker.note(f"{what}: not measured; {reason}")


@command(*BUILD_FLAGS, *CHOICE_FLAGS, *PACKAGE_FLAGS)
def pi(values: SimpleNamespace) -> None:
    """Write the Raspberry Pi bundles, one a Python version."""
    from edgedeploy.cli.options import build_context
    from edgedeploy.stages.run import open_build

    context, speaker = build_context(values)
    with open_build(context) as job:
        paths = list(job.raspberry_pi.values())
    _tell(values, speaker, paths)


@command(
    "models",
    "recipe",
    *(flag for flag in BUILD_FLAGS if flag not in ("model", "recipes")),
)
def functions(values: SimpleNamespace) -> None:
    """Put several models into one download that shares equal weights."""
    from edgedeploy.cli.options import build_context
    from edgedeploy.stages.functions import package_functions

    names = [name.strip() for name in values.models.split(",") if name.strip()]
    given = vars(values)
    contexts = []
    speaker = None
    for name in names:
        one = SimpleNamespace(**{**given, "model": name, "recipes": values.recipe})
        context, speaker = build_context(one)
        contexts.append(context)
    path, sizes = package_functions(contexts, values.recipe)
    if speaker is None:  # No models; package_functions has refused that.
        return
    if values.json:
        speaker.answer(
            {"deliverables": [str(path)], "sizes": [asdict(size) for size in sizes]}
        )
        return
    apart = sum(size.size_bytes for size in sizes[:-1])
    for size in sizes:
        speaker.note(
            f"{size.size_bytes / 1e6:8.2f} MB {size.deflated_bytes / 1e6:8.2f} MB "
            f"deflated  {size.name}"
        )
    share = sizes[-1].size_bytes / apart
    speaker.note(f"{share:.0%} of the separate files' {apart / 1e6:.2f} MB: {path}")


def _tell(values: SimpleNamespace, speaker: Speaker, paths: list[Path]) -> None:
    from edgedeploy.workspace import folder_bytes

    if values.json:
        speaker.answer({"deliverables": [str(path) for path in paths]})
        return
    for path in paths:
        size = folder_bytes(path) if path.is_dir() else path.stat().st_size
        speaker.note(f"{size / 1e6:8.2f} MB  {path}")


def _size_row(kind: str, size: dict[str, Any]) -> tuple[str, ...]:
    def megabytes(name: str) -> str:
        return "-" if size[name] is None else f"{size[name] / 1e6:.2f} MB"

    limit = f"{megabytes('limit_bytes')}, " if size["limit_bytes"] else ""
    figures = ("download_bytes", "download_brotli_bytes", "installed_bytes")
    return (kind, *map(megabytes, figures), f"{limit}{size['limit']}")


TASKS = (android, pi, functions)
