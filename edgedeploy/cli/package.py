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
from edgedeploy.errors import InputError

if TYPE_CHECKING:
    from edgedeploy.cli.console import Speaker


@command(*BUILD_FLAGS, *CHOICE_FLAGS, *PACKAGE_FLAGS, "models")
def android(values: SimpleNamespace) -> None:
    """Write the Android packages: assets, apk, aar, packs, aab, update, app."""
    from edgedeploy.cli.options import build_context
    from edgedeploy.stages.run import open_build
    from edgedeploy.targets.android.kinds import KINDS as ANDROID_KINDS

    _insist_on_kinds(values.kind, tuple(ANDROID_KINDS), other="package.pi")
    if values.models:
        _android_together(values)
        return
    context, speaker = build_context(values)
    with open_build(context) as job:
        paths = list(job.android.values())
        found = job.android_sizes
    kinds = {kind: found["kinds"][kind] for kind in context.options.android_kinds}
    _tell_android(values, speaker, dict(zip(kinds, paths, strict=True)), kinds)


def _android_together(values: SimpleNamespace) -> None:
    from edgedeploy.cli.options import build_context
    from edgedeploy.stages.android_together import package_together

    contexts = []
    for name in (name.strip() for name in values.models.split(",")):
        one = SimpleNamespace(**{**vars(values), "model": name})
        context, speaker = build_context(one)
        contexts.append(context)
    made, sizes = package_together(contexts)
    kinds = {kind: asdict(size) for kind, size in sizes.items()}
    _tell_android(values, speaker, made, kinds)


def _tell_android(
    values: SimpleNamespace,
    speaker: Speaker,
    paths: dict[str, Path],
    kinds: dict[str, dict[str, Any]],
) -> None:
    from edgedeploy.targets.android.budget import NO_BROTLI
    from edgedeploy.targets.android.kinds import KINDS

    if values.json:
        made = [str(path) for path in paths.values()]
        speaker.answer({"deliverables": made, "sizes": kinds})
        return
    for kind, path in paths.items():
        speaker.note(f"{path}\n  {KINDS[kind].summary}")
    speaker.table(
        ("kind", "download", "brotli", "installed", "limit"),
        [_size_row(kind, size) for kind, size in kinds.items()],
    )
    if any(size["download_brotli_bytes"] is None for size in kinds.values()):
        speaker.note(f"brotli: not measured; {NO_BROTLI}")


@command(*BUILD_FLAGS, *CHOICE_FLAGS, *PACKAGE_FLAGS)
def pi(values: SimpleNamespace) -> None:
    """Write the Raspberry Pi bundles, one a Python version."""
    from edgedeploy.cli.options import build_context
    from edgedeploy.stages.context import KINDS
    from edgedeploy.stages.run import open_build

    _insist_on_kinds(values.kind, KINDS, other="package.android")
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


def _insist_on_kinds(text: str, kinds: tuple[str, ...], *, other: str) -> None:
    """Refuse kinds of the other target, which `build` would make.

    Raises:
        InputError: If there is one.
    """
    words = [word.strip() for word in text.split(",")]
    unknown = [word for word in words if word and word not in kinds]
    if unknown:
        raise InputError(
            f"--kind takes {', '.join(kinds)} here; received {unknown[0]!r}; {other} "
            "makes the other target's, and build both"
        )


def _tell(values: SimpleNamespace, speaker: Speaker, paths: list[Path]) -> None:
    if values.json:
        speaker.answer({"deliverables": [str(path) for path in paths]})
        return
    for path in paths:
        speaker.note(f"{path.stat().st_size / 1e6:8.2f} MB  {path}")


def _size_row(kind: str, size: dict[str, Any]) -> tuple[str, ...]:
    def megabytes(name: str) -> str:
        return "-" if size[name] is None else f"{size[name] / 1e6:.2f} MB"

    limit = f"{megabytes('limit_bytes')}, " if size["limit_bytes"] else ""
    figures = ("download_bytes", "download_brotli_bytes", "installed_bytes")
    return (kind, *map(megabytes, figures), f"{limit}{size['limit']}")


TASKS = (android, pi, functions)
