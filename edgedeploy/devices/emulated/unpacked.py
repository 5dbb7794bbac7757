"""A bundle opened on the desk, tarball or package, with its wheels beside it."""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.archive import is_safe_name
from edgedeploy.formats.deb import extract_deb
from edgedeploy.formats.tar import MAX_TOTAL_BYTES, extract_tar_gz
from edgedeploy.ondevice.bundle import read_bundle, read_document
from edgedeploy.ondevice.delivered import Bundle
from edgedeploy.targets.payload import MANIFEST
from edgedeploy.targets.raspberry_pi.debian import source_folder

TARBALL, PACKAGE = ".tar.gz", ".deb"
_WHEEL_ERRORS = (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """A bundle on the desk.

    Attributes:
        path: The file that it came in.
        folder: The bundle, with install.sh in it.
        bundle: Its contract.
        python: The device's Python, such as "3.11".
        arch: The device's architecture, such as "aarch64".
    """

    path: Path
    folder: Path
    bundle: Bundle
    python: str
    arch: str

    @property
    def is_package(self) -> bool:
        """Whether it is a .deb, which dpkg installs."""
        return self.path.name.endswith(PACKAGE)


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Unpacked]:
    """Open a bundle; it is gone from the desk afterwards.

    Raises:
        InputError: If it is neither a tarball nor a package.
        FormatError: If it is damaged, hostile or no bundle.
        ContractError: If its documents are.
    """
    with tempfile.TemporaryDirectory(prefix="edgedeploy-bundle-") as name:
        folder = _extract(path, Path(name))
        target = read_document(folder / MANIFEST).get("target")
        if not isinstance(target, dict):
            raise FormatError(f"{path.name}: its {MANIFEST} names no target")
        yield Unpacked(
            path=path,
            folder=folder,
            bundle=read_bundle(folder),
            python=str(target.get("python")),
            arch=str(target.get("arch")),
        )


def _extract(path: Path, folder: Path) -> Path:
    if path.name.endswith(TARBALL):
        members = extract_tar_gz(path, folder / "bundle")
        if not members:
            raise FormatError(f"{path.name}: is empty")
        return folder / "bundle" / members[0].name.partition("/")[0]
    if path.name.endswith(PACKAGE):
        extract_deb(path, folder)
        library = folder / "data" / Path(source_folder("any")).parent
        found = sorted(library.iterdir()) if library.is_dir() else []
        if len(found) != 1:
            raise FormatError(f"{path.name}: has {len(found)} bundles; expected one")
        return found[0]
    raise InputError(f"{path}: expected a {TARBALL} or {PACKAGE} bundle")


def unpack_wheels(folder: Path, site: Path) -> None:
    """Unpack a bundle's wheels as an installer would lay them out.

    Args:
        folder: The bundle.
        site: Where the modules go.

    Raises:
        FormatError: If a wheel is damaged or hostile.
    """
    room = MAX_TOTAL_BYTES
    for wheel in sorted((folder / "wheels").glob("*.whl")):
        try:
            with zipfile.ZipFile(wheel) as archive:
                for info in archive.infolist():
                    room -= info.file_size
                    if not is_safe_name(info.filename.rstrip("/")) or room < 0:
                        raise FormatError(f"{wheel.name}: {info.filename!r} refused")
                archive.extractall(site)
        except _WHEEL_ERRORS as error:
            raise FormatError(f"{wheel.name}: not a wheel ({error})") from error
