"""The assets tree: the payload's files for an app's src/main/assets."""

from __future__ import annotations

import shutil
from pathlib import Path

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
    wanted = set()
    for name, source in asset_names(payload).items():
        path = folder / Path(name).relative_to("assets")
        wanted.add(path)
        if isinstance(source, bytes):
            write_bytes(path, source)
            continue
        with atomic_file(path) as temporary:
            shutil.copyfile(source, temporary)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in wanted:
            path.unlink()
