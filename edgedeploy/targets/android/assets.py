"""What an app takes over: the payload's files for its src/main/assets, and Kotlin."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from edgedeploy.resources import resource_folder
from edgedeploy.targets.payload import Payload
from edgedeploy.workspace import atomic_file, write_bytes


def asset_names(payload: Payload) -> dict[str, Path | bytes]:
    """Name the payload's files as an app finds them below its assets.

    They lie in a folder of the model's name, so that several models can share an app.
    """
    return {
        f"assets/{payload.model}/{name}": source
        for name, source in payload.files.items()
    }


def write_asset_tree(folder: Path, payload: Payload) -> None:
    """Write the files of the payload for an app's src/main/assets.

    Each file appears whole or not at all, and what no longer belongs is removed.

    Args:
        folder: The assets folder itself.
        payload: What to write.
    """
    _write_tree(
        {
            folder / Path(name).relative_to("assets"): source
            for name, source in asset_names(payload).items()
        },
        folder,
    )


def write_kotlin(folder: Path) -> None:
    """Write the Kotlin sources that classify by the contract, for an app's src/main.

    Args:
        folder: Where they go; package folders are made below.

    Raises:
        WorkspaceError: If this installation lacks them.
    """
    # All are of one package, which is the folder's name.
    files = {folder / "edgedeploy" / path.name: path for path in kotlin_sources()}
    _write_tree(files, folder)


def kotlin_sources() -> tuple[Path, ...]:
    """The Kotlin sources that apps take over, in the order of their names."""
    return tuple(sorted((resource_folder("android_assets") / "kotlin").rglob("*.kt")))


def _write_tree(files: Mapping[Path, Path | bytes], folder: Path) -> None:
    """Make a folder hold some files and no others."""
    for path, source in files.items():
        if isinstance(source, bytes):
            write_bytes(path, source)
            continue
        with atomic_file(path) as temporary:
            shutil.copyfile(source, temporary)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in files:
            path.unlink()
