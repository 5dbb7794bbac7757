"""What an app takes over: files for its src/main/assets, and Kotlin."""

from __future__ import annotations

from pathlib import Path

from edgedeploy.resources import resource_folder
from edgedeploy.targets.android.request import PackageRequest
from edgedeploy.targets.android.templates import render
from edgedeploy.targets.android.tree import write_tree
from edgedeploy.workspace import write_bytes

SNIPPET = "snippet.gradle.kts"


def write_asset_tree(folder: Path, request: PackageRequest) -> None:
    """Write assets/, kotlin/ and a Gradle snippet for an app.

    Each file appears whole or not at all, and what no longer belongs is removed.

    Args:
        folder: Where the two folders and the snippet go.
        request: What to write.
    """
    files = {
        name.removeprefix("assets/"): source for name, source in request.files.items()
    }
    write_tree(folder / "assets", files)
    write_kotlin(folder / "kotlin")
    write_bytes(folder / SNIPPET, render("pack", SNIPPET).encode())


def write_kotlin(folder: Path) -> None:
    """Write the Kotlin sources that classify by the contract, for an app's src/main.

    Args:
        folder: Where they go; package folders are made below.

    Raises:
        WorkspaceError: If this installation lacks them.
    """
    # All are of one package, which is the folder's name.
    write_tree(folder, {f"edgedeploy/{path.name}": path for path in kotlin_sources()})


def kotlin_sources() -> tuple[Path, ...]:
    """The Kotlin sources that apps take over, in the order of their names."""
    return tuple(sorted((resource_folder("android_assets") / "kotlin").rglob("*.kt")))
