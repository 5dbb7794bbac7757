"""A Debian root for Arm in the cache: what a fresh Raspberry Pi OS Lite would have.

Packages are unpacked, not installed, because their scripts would have to run on Arm.
What those scripts do and an installation needs is done here: links, users, shells, and
dpkg's database, so that a .deb finds its dependencies.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedeploy.devices.emulated.debian import SUITES
from edgedeploy.devices.emulated.private_apt import PrivateApt, control_fields, unpack
from edgedeploy.devices.emulated.store import facts_of, prepared
from edgedeploy.devices.emulated.unavailable import Unavailable
from edgedeploy.errors import InputError
from edgedeploy.ondevice.bundle import hash_file

# Grows when the same packages are laid out otherwise.
LAYOUT = 1
_ARCHITECTURE = "arm64"
_PACKAGES = (
    *("base-files", "base-passwd", "bash", "dash", "debianutils", "libc-bin"),
    *("coreutils", "diffutils", "findutils", "grep", "gzip", "hostname", "mawk"),
    *("sed", "tar", "util-linux", "mount", "dpkg", "ca-certificates"),
    *("python3", "python3-venv", "python3-numpy", "python3-pil"),
)
# Where /usr was merged, the old places are links (Debian's usrmerge).
_MERGED = ("bin", "sbin", "lib")
_FOLDERS = (
    "etc",
    "proc",
    "sys",
    "dev",
    "tmp",
    "run",
    "root",
    "home",
    "opt",
    "var/lib/dpkg",
)
_LINKS = {"bin/sh": "dash", "bin/awk": "mawk", "bin/which": "which.debianutils"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRoot:
    """A Debian root in the cache, which is never written to.

    Attributes:
        folder: The root.
        suite: Such as "bookworm".
        python: Its Python, such as "3.11".
        packages: File names of the unpacked .deb files and their SHA-256.
    """

    folder: Path
    suite: str
    python: str
    packages: dict[str, str]


def prepare_root(suite: str, *, offline: bool = False) -> ArmRoot:
    """Give the root of a Debian release, fetched the first time.

    Args:
        suite: A key of `SUITES`.
        offline: Whether only the cache may be asked.

    Raises:
        InputError: If there is no such suite.
        Unavailable: If its packages cannot be had.
        WorkspaceError: If the cache cannot be written.
    """
    if suite not in SUITES:
        raise InputError(f"suite must be {', '.join(SUITES)}; received {suite!r}")
    recipe = {"suite": suite, "packages": _PACKAGES, "layout": LAYOUT}

    def fill(folder: Path) -> dict[str, str]:
        if offline:
            raise Unavailable(
                f"no Arm root of {suite} in the cache; run once without --offline"
            )
        return _fill(folder, suite)

    name = f"root-{suite}-{_ARCHITECTURE}"
    folder = prepared(name, recipe, fill)
    packages: dict[str, Any] = facts_of(folder)
    return ArmRoot(
        folder=folder / "root", suite=suite, python=SUITES[suite], packages=packages
    )


def _fill(folder: Path, suite: str) -> dict[str, str]:
    apt = PrivateApt(folder=folder / "apt", suite=suite, architecture=_ARCHITECTURE)
    debs = apt.download(_PACKAGES)
    root = folder / "root"
    for deb in debs:
        unpack(deb, root)
    lay_out(root)
    register(root, debs)
    digests = {deb.name: hash_file(deb) for deb in debs}
    shutil.rmtree(folder / "apt")
    return digests


def lay_out(root: Path) -> None:
    """Do what the packages' own scripts would have done, as far as we need it.

    Args:
        root: With all packages unpacked.
    """
    for name in _MERGED:
        merge_into_usr(root, name)
    for name in _FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name, target in _LINKS.items():
        link = root / "usr" / name
        if not link.exists() and (link.parent / target).exists():
            link.symlink_to(target)
    for table in ("passwd", "group"):
        master = root / "usr" / "share" / "base-passwd" / f"{table}.master"
        shutil.copyfile(master, root / "etc" / table)
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = root / "etc" / "ssl" / "certs" / "ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(path.read_bytes() for path in certificates))


def merge_into_usr(root: Path, name: str) -> None:
    """Move /bin, say, into /usr/bin and leave a link, as every Debian since 12 has it.

    Args:
        root: The root.
        name: A folder of the root and of its usr/.
    """
    old, new = root / name, root / "usr" / name
    if old.is_symlink():
        return
    new.mkdir(parents=True, exist_ok=True)
    if old.is_dir():
        # Folders come before what is in them.
        for path in sorted(old.rglob("*")):
            place = new / path.relative_to(old)
            if path.is_dir() and not path.is_symlink():
                place.mkdir(exist_ok=True)
            elif not place.exists():
                path.rename(place)
        shutil.rmtree(old)
    old.symlink_to(f"usr/{name}")


def register(root: Path, debs: tuple[Path, ...]) -> None:
    """Tell the root's dpkg what is there (dpkg's status file, deb-control(5)).

    Args:
        root: The root.
        debs: All packages that were unpacked.
    """
    entries = []
    for deb in debs:
        name, _, rest = control_fields(deb).partition("\n")
        entries.append(f"{name}\nStatus: install ok installed\n{rest.rstrip()}\n")
    database = root / "var" / "lib" / "dpkg"
    (database / "status").write_text("\n".join(entries), encoding="utf-8")
    (database / "available").write_bytes(b"")
    for name in ("info", "updates", "triggers"):
        (database / name).mkdir(exist_ok=True)
