"""Gradle source modules that Play delivers apart from the app's code."""

from __future__ import annotations

from pathlib import Path

from edgedeploy.targets.android.request import PackageRequest
from edgedeploy.targets.android.templates import render
from edgedeploy.targets.android.tree import with_sums, write_tree


def write_asset_pack(folder: Path, request: PackageRequest) -> None:
    """Write an asset pack (Play Asset Delivery) as a module of an app's build.

    Args:
        folder: The module's folder; it holds nothing else afterwards.
        request: What to package; `delivery` goes into the build file.

    Raises:
        WorkspaceError: If the folder or the disk does not take it.
    """
    _write(folder, "asset-pack.gradle.kts", request)


def write_ai_pack(folder: Path, request: PackageRequest) -> None:
    """Write an AI pack (Play for On-device AI) as a module of an app's build.

    Args:
        folder: As in `write_asset_pack`.
        request: As in `write_asset_pack`.

    Raises:
        WorkspaceError: If the folder or the disk does not take it.
    """
    _write(folder, "ai-pack.gradle.kts", request)


def _write(folder: Path, template: str, request: PackageRequest) -> None:
    build = render("pack", template, pack=request.pack, delivery=request.delivery)
    files: dict[str, Path | bytes] = {"build.gradle.kts": build.encode()}
    for name, source in request.files.items():
        files[f"src/main/{name}"] = source
    write_tree(folder, with_sums(files))
