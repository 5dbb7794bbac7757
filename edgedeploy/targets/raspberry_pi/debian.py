"""The bundle as a Debian package, whose scripts call the very same install.sh.

The package's own files, which dpkg replaces one by one, are only what install.sh
installs from. What runs lies in /opt, where a version is switched by one rename: so a
dpkg that was killed, or a self-test that failed, leaves the version before in use.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from pathlib import Path

from edgedeploy import __version__
from edgedeploy.errors import PackageError
from edgedeploy.formats.deb import write_deb
from edgedeploy.formats.tar import TarEntry
from edgedeploy.targets.payload import Payload
from edgedeploy.targets.raspberry_pi.bundle import (
    bundle_entries,
    bundle_files,
    render,
    required_glibc,
)
from edgedeploy.targets.raspberry_pi.systems import System
from edgedeploy.targets.raspberry_pi.wheelhouse import Wheelhouse

SCRIPTS = ("postinst", "prerm")
# Nobody can be written to at .invalid (RFC 2606): whoever ships it knows its users.
_MAINTAINER = "edgedeploy <nobody@edgedeploy.invalid>"
_DATE = "Tue, 01 Jan 1980 00:00:00 +0000"


def write_package(
    path: Path, *, payload: Payload, wheelhouse: Wheelhouse, version: str
) -> None:
    """Write the .deb; the same inputs give the same bytes.

    Args:
        path: Where to; replaced in one step.
        payload: What every deliverable carries.
        wheelhouse: The wheels.
        version: As `package_version` makes it.

    Raises:
        PackageError: If the parts do not fit together or the file cannot be written.
    """
    system = wheelhouse.system
    name = package_name(payload.model)
    files = bundle_files(payload, wheelhouse)
    entries = [
        *bundle_entries(files, source_folder(payload.model)),
        *_papers(name, version, payload.model, files),
    ]
    fields = {
        "Package": name,
        "Version": version,
        "Architecture": system.architecture.debian,
        "Maintainer": _MAINTAINER,
        "Depends": ", ".join(dependencies(system, required_glibc(wheelhouse))),
        "Section": "science",
        "Priority": "optional",
        "Description": _description(payload, system),
    }
    write_deb(path, fields=fields, scripts=scripts(payload.model), data=entries)


def package_name(model: str) -> str:
    """Name the package of a model; Debian allows no underscores."""
    return f"edgedeploy-{model.replace('_', '-')}"


def package_version(version_name: str, version_code: int, python: str) -> str:
    """Make a Debian version of the user's; what Debian forbids becomes a dot.

    Args:
        version_name: Such as "1.0".
        version_code: A number that grows with each release.
        python: The device's Python: packages for two of them are not the same.

    Returns:
        Such as "1.0-1+py3.11" (deb-version(7)).
    """
    upstream = re.sub(r"[^A-Za-z0-9.+~]", ".", version_name)
    if not re.match(r"[0-9]", upstream):
        upstream = f"0.{upstream}"
    return f"{upstream}-{version_code}+py{python}"


def source_folder(model: str) -> str:
    """Name the folder that install.sh is run from, below the root folder."""
    return f"usr/lib/edgedeploy/{model}"


def dependencies(system: System, glibc: tuple[int, int]) -> tuple[str, ...]:
    """List what Debian has to bring.

    Args:
        system: What the package is for.
        glibc: (major, minor) that the wheels need.
    """
    major, minor = (int(part) for part in system.python.split("."))
    return (
        f"python3 (>= {major}.{minor})",
        f"python3 (<< {major}.{minor + 1})",
        "python3-venv",
        f"libc6 (>= {glibc[0]}.{glibc[1]})",
        *system.system_packages,
    )


def scripts(model: str) -> dict[str, bytes]:
    """Write the maintainer scripts, by name."""
    values = {
        "model": model,
        "source": f"/{source_folder(model)}",
        "prefix": f"/opt/edgedeploy/{model}",
    }
    return {name: render(f"{name}.j2", values) for name in SCRIPTS}


def _description(payload: Payload, system: System) -> str:
    return (
        f"{' '.join(payload.title.split())}, an image classifier\n"
        f"Installs itself offline into /opt/edgedeploy/{payload.model}, proves itself "
        "with\ngolden vectors, and only then becomes the version in use.\n\n"
        f"Made for {system.name}, with {system.runtime}."
    )


def _papers(
    name: str, version: str, model: str, files: Mapping[str, Path | bytes]
) -> list[TarEntry]:
    """Write what Debian's policy (12.5, 12.7) asks for."""
    notice = files.get("LICENSES/NOTICE.txt")
    if not isinstance(notice, bytes):
        raise PackageError("the payload has no LICENSES/NOTICE.txt")
    terms = (
        "Copyright: by the holders named below, each of a part; their terms are in "
        f"/{source_folder(model)}/LICENSES.\nOn Debian systems the Apache License, "
        "Version 2.0, is in /usr/share/common-licenses/Apache-2.0.\n\n"
    )
    changelog = (
        f"{name} ({version}) unstable; urgency=medium\n\n"
        f"  * Built by edgedeploy {__version__}.\n\n"
        f" -- {_MAINTAINER}  {_DATE}\n"
    )
    papers = f"usr/share/doc/{name}"
    return [
        TarEntry(name=f"{papers}/copyright", source=terms.encode() + notice),
        TarEntry(
            name=f"{papers}/changelog.Debian.gz",
            source=gzip.compress(changelog.encode(), 9, mtime=0),
        ),
    ]
