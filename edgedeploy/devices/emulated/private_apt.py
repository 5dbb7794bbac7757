"""Debian packages of any architecture, fetched without touching the machine's apt.

A private apt has its own state, package lists and an empty status file, so it knows of
nothing that is installed. The mirror, the keyring, proxies and credentials are those
that the machine's own apt is configured with; apt checks signatures and digests.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.devices.emulated.unavailable import Unavailable
from edgedeploy.devices.processes import Ended, Job, run
from edgedeploy.errors import WorkspaceError

MIRROR_VARIABLE = "EDGEDEPLOY_DEBIAN_MIRROR"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PROGRAMS = ("apt-get", "apt-config", "dpkg-deb")
_UPDATE_S, _DOWNLOAD_S = 300.0, 900.0
_ASK_S = 60.0
# How the machine reaches the network is kept; what it keeps in lists is not.
_NOT_TAKEN = ("Acquire::IndexTargets", "Acquire::cdrom", "Acquire::Languages")
_OPTION = re.compile(r'Acquire::\S+ ".*";')
_SUITE_NAME = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateApt:
    """An apt of one suite and architecture.

    Attributes:
        folder: All that it writes.
        suite: Such as "bookworm".
        architecture: Debian's name of it, such as "arm64".
    """

    folder: Path
    suite: str
    architecture: str

    def download(self, packages: tuple[str, ...]) -> tuple[Path, ...]:
        """Fetch packages with all that they depend on.

        Args:
            packages: Debian's names.

        Returns:
            The .deb files, sorted by name.

        Raises:
            Unavailable: If this machine has no apt, or no mirror has the packages.
            WorkspaceError: If the folder cannot be written.
        """
        _check_programs()
        reasons = []
        for mirror in _mirrors():
            self._configure(mirror)
            ended = self._apt("update", timeout_s=_UPDATE_S)
            # `apt-get update` counts an unreachable mirror as a mere warning.
            if ended.code == 0 and any(self.folder.glob("state/lists/*Packages*")):
                return self._fetch(packages)
            reasons.append(_reason(ended))
        raise Unavailable(
            f"no configured mirror serves Debian {self.suite} for {self.architecture} "
            f"({'; '.join(reasons) or 'apt names none'}); give one in {MIRROR_VARIABLE}"
        )

    def _fetch(self, packages: tuple[str, ...]) -> tuple[Path, ...]:
        ended = self._apt(
            "install", "--yes", "--download-only", *packages, timeout_s=_DOWNLOAD_S
        )
        if ended.code != 0:
            raise Unavailable(
                f"apt cannot get {', '.join(packages)} of Debian {self.suite} for "
                f"{self.architecture}: {_reason(ended)}"
            )
        return tuple(sorted((self.folder / "cache" / "archives").glob("*.deb")))

    def _configure(self, mirror: str) -> None:
        folder = self.folder
        try:
            for name in ("state/lists/partial", "cache/archives/partial", "none"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / "status").write_bytes(b"")
            (folder / "nothing").write_bytes(b"")
            (folder / "sources.list").write_text(
                f"deb [arch={self.architecture} signed-by={KEYRING}] {mirror} "
                f"{self.suite} main\n",
                encoding="utf-8",
            )
            (folder / "apt.conf").write_text(self._settings(), encoding="utf-8")
        except OSError as error:
            raise WorkspaceError(
                f"cannot write the cache {folder}: {error.strerror or error}"
            ) from error

    def _settings(self) -> str:
        """Write apt.conf (apt.conf(5)); apt reads it before the machine's own.

        The machine's own files are left out: they may have hooks that clean the
        machine's archives or tell its services.
        """
        values = {
            "APT::Architecture": self.architecture,
            "APT::Install-Recommends": "false",
            # The cache may be closed to apt's own user.
            "APT::Sandbox::User": "root",
            "Dir::State": self.folder / "state",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "Dir::Log": self.folder / "state",
            "Dir::Etc::main": self.folder / "nothing",
            "Dir::Etc::parts": self.folder / "none",
            "Dir::Etc::sourcelist": self.folder / "sources.list",
            "Dir::Etc::sourceparts": self.folder / "none",
            "Dir::Etc::preferences": self.folder / "nothing",
            "Dir::Etc::preferencesparts": self.folder / "none",
            "Acquire::Languages": "none",
        }
        lines = [f'{name} "{value}";' for name, value in values.items()]
        lines.append(f'APT::Architectures {{ "{self.architecture}"; }};')
        return "\n".join([*lines, *_acquire_options()]) + "\n"

    def _apt(self, *arguments: str, timeout_s: float) -> Ended:
        return run(
            Job(
                command=("apt-get", "--quiet", *arguments),
                what=f"apt-get {arguments[0]} of Debian {self.suite}",
                timeout_s=timeout_s,
                environment=os.environ
                | {
                    "APT_CONFIG": str(self.folder / "apt.conf"),
                    "DEBIAN_FRONTEND": "noninteractive",
                    "LC_ALL": "C",
                },
            )
        )


def unpack(deb: Path, folder: Path) -> None:
    """Unpack a package's files, running none of its scripts.

    Raises:
        Unavailable: If it cannot be unpacked.
    """
    ended = run(
        Job(
            command=("dpkg-deb", "--extract", str(deb), str(folder)),
            what=f"unpacking {deb.name}",
            timeout_s=_DOWNLOAD_S,
        )
    )
    if ended.code != 0:
        raise Unavailable(f"{deb.name} cannot be unpacked: {ended.last_line}")


def control_fields(deb: Path) -> str:
    """Read a package's control paragraph (deb-control(5)).

    Raises:
        Unavailable: If it cannot be read.
    """
    ended = run(
        Job(
            command=("dpkg-deb", "--field", str(deb)),
            what=f"reading {deb.name}",
            timeout_s=_ASK_S,
        )
    )
    if ended.code != 0:
        raise Unavailable(f"{deb.name} cannot be read: {ended.last_line}")
    return ended.text


def _check_programs() -> None:
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        raise Unavailable(
            f"needs {', '.join(missing)} to fetch Debian packages; run it on Debian or "
            "Ubuntu, or install the packages apt and dpkg"
        )
    if not KEYRING.is_file():
        raise Unavailable(f"needs {KEYRING}; install debian-archive-keyring")


def _mirrors() -> tuple[str, ...]:
    """List where the machine's apt gets a Debian release from."""
    given = os.environ.get(MIRROR_VARIABLE)
    if given:
        return (given,)
    ended = _ask(
        "apt-get",
        "indextargets",
        "--format",
        "$(ORIGIN) $(REPO_URI) $(RELEASE)",
        "Created-By: Packages",
        "Component: main",
    )
    found: dict[str, bool] = {}
    for line in ended.text.splitlines():
        words = line.split()
        # A mirror whose lists were never fetched has no origin yet.
        origin = words[0] if len(words) == 3 else ""
        if len(words) >= 2 and _SUITE_NAME.fullmatch(words[-1]):
            found[words[-2]] = origin == "Debian"
    return tuple(sorted(found, key=lambda uri: not found[uri]))


def _acquire_options() -> list[str]:
    """Copy how the machine's apt reaches its mirrors: proxies, for example."""
    return [
        line
        for line in _ask("apt-config", "dump").text.splitlines()
        if _OPTION.fullmatch(line) and not line.startswith(_NOT_TAKEN)
    ]


def _ask(*command: str) -> Ended:
    return run(
        Job(
            command=command,
            what=" ".join(command[:2]),
            timeout_s=_ASK_S,
            environment=os.environ | {"LC_ALL": "C"},
        )
    )


def _reason(ended: Ended) -> str:
    """Take what apt complained of, without the address that it names."""
    complaints = [
        line
        for line in ended.text.splitlines()
        if line.startswith(("E:", "Err:", "W: Failed"))
    ]
    return complaints[0][:300] if complaints else ended.last_line
