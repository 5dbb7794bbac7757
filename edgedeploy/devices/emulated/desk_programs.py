"""Programs of Debian for this machine, without installing them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from edgedeploy.devices.emulated.debian import DESK_ARCHITECTURE
from edgedeploy.devices.emulated.private_apt import PrivateApt, unpack
from edgedeploy.devices.emulated.store import prepared
from edgedeploy.devices.emulated.unavailable import Unavailable


def prepare_program(
    name: str,
    *,
    suite: str,
    package: str,
    alone: bool,
    gather: Callable[[Path, Path], None],
    offline: bool,
) -> Path:
    """Give a folder with a program, fetched the first time.

    Args:
        name: The program, as people call it.
        suite: Debian's release, such as "bookworm".
        package: Debian's name of the package.
        alone: Whether what the package depends on stays behind.
        gather: Takes what is wanted out of the unpacked packages, its first argument,
            into the folder, its second.
        offline: Whether only the cache may be asked.

    Raises:
        Unavailable: If it cannot be had.
        WorkspaceError: If the cache cannot be written.
    """

    def fill(folder: Path) -> list[str]:
        if offline:
            raise Unavailable(f"no {name} in the cache; run once without --offline")
        apt = PrivateApt(
            folder=folder / "apt", suite=suite, architecture=DESK_ARCHITECTURE
        )
        debs = apt.download((package,))
        for deb in debs:
            if not alone or deb.name.startswith(f"{package}_"):
                unpack(deb, folder / "unpacked")
        gather(folder / "unpacked", folder)
        shutil.rmtree(folder / "unpacked")
        shutil.rmtree(folder / "apt")
        return [deb.name for deb in debs]

    recipe = {"suite": suite, "package": package, "arch": DESK_ARCHITECTURE}
    return prepared(name, recipe, fill)
