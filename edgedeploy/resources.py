"""Where models/ and android_assets/ are: in a checkout, or inside the wheel."""

from __future__ import annotations

from pathlib import Path

from edgedeploy.errors import WorkspaceError

_PACKAGE = Path(__file__).resolve().parent


def resource_folder(name: str) -> Path:
    """Find a folder of data that belongs to the project.

    Args:
        name: "models" or "android_assets".

    Raises:
        WorkspaceError: If the installation is incomplete.
    """
    checkout = _PACKAGE.parent / name
    if (_PACKAGE.parent / "pyproject.toml").is_file() and checkout.is_dir():
        return checkout
    packaged = _PACKAGE / "_resources" / name
    if packaged.is_dir():
        return packaged
    raise WorkspaceError(
        f"the installation lacks its {name} folder (looked in {checkout} and "
        f"{packaged}); install edgedeploy again"
    )
