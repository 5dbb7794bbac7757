"""Open a Debian package as a stranger's and say what is wrong with it.

Nothing of it is executed but its models: its scripts are compared with ours.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from edgedeploy import __version__
from edgedeploy.errors import VerificationError
from edgedeploy.formats.deb import Deb, extract_deb
from edgedeploy.results import Check
from edgedeploy.targets.raspberry_pi.check import (
    BundleCheck,
    attempt,
    below,
    check_contents,
)
from edgedeploy.targets.raspberry_pi.debian import (
    SCRIPTS,
    dependencies,
    package_name,
    scripts,
    source_folder,
)
from edgedeploy.targets.raspberry_pi.systems import system_for

_LIBRARY = ["usr", "lib", "edgedeploy"]


def check_package(path: Path, *, runtime: str = "auto") -> BundleCheck:
    """Check a package: structure, sums, what it asks of the system, and the bundle.

    Args:
        path: The .deb file.
        runtime: A name of `ondevice.installed.RUNTIMES`, or "auto".

    Returns:
        All checks. A damaged package is a failed check, not an error.
    """
    checks: list[Check] = []
    with tempfile.TemporaryDirectory(prefix="edgedeploy-check-") as name:
        root = Path(name)
        found: list[Deb] = []
        if attempt(checks, "package", lambda: _unpack(path, root, found)):
            _check(checks, root, found[0], runtime)
    return BundleCheck(path=path, checks=tuple(checks))


def _unpack(path: Path, root: Path, found: list[Deb]) -> str:
    found.append(extract_deb(path, root))
    return f"{len(found[0].data)} files have their md5sums"


def _check(checks: list[Check], root: Path, package: Deb, runtime: str) -> None:
    models: list[str] = []
    if not attempt(checks, "places", lambda: _check_places(package, models)):
        return
    top = source_folder(models[0])
    manifest = check_contents(
        checks,
        root / "data" / top,
        below(top, package.data),
        runtime,
        named=False,
    )
    if manifest:
        attempt(checks, "control", lambda: _check_control(package, manifest))
        attempt(checks, "scripts", lambda: _check_scripts(root, package, manifest))


def _check_places(package: Deb, models: list[str]) -> str:
    """Insist that files go only where a bundle's may, and find the model."""
    parts = [member.name.split("/") for member in package.data]
    models += sorted({part[3] for part in parts if part[:3] == _LIBRARY})
    name = package.fields.get("Package", "")
    if len(models) != 1 or package_name(models[0]) != name:
        raise VerificationError(
            f"package {name!r} has files of {', '.join(models) or 'no model'}"
        )
    papers = f"usr/share/doc/{name}/"
    for member in package.data:
        if not member.name.startswith((f"{source_folder(models[0])}/", papers)):
            raise VerificationError(f"{member.name} is outside of the bundle's folder")
    return f"all files are below {source_folder(models[0])}/ and {papers}"


def _check_control(package: Deb, manifest: dict[str, Any]) -> str:
    target = manifest.get("target")
    if not isinstance(target, dict):
        raise VerificationError("the manifest has no target")
    system = system_for(str(target.get("python")), str(target.get("arch")))
    glibc = target.get("glibc")
    if not isinstance(glibc, list) or [type(part) for part in glibc] != [int, int]:
        raise VerificationError("the manifest's glibc is not two numbers")
    expected = {
        "Architecture": system.architecture.debian,
        "Depends": ", ".join(dependencies(system, (glibc[0], glibc[1]))),
        "Package": package_name(str(manifest.get("model"))),
    }
    for field, value in expected.items():
        if package.fields.get(field) != value:
            raise VerificationError(
                f"{field}: expected {value}; found {package.fields.get(field)!r}"
            )
    return f"{expected['Package']} {package.fields.get('Version')} for {system.name}"


def _check_scripts(root: Path, package: Deb, manifest: dict[str, Any]) -> str:
    names = {member.name for member in package.control}
    if names != {"control", "md5sums", *SCRIPTS}:
        raise VerificationError(f"the control archive has {', '.join(sorted(names))}")
    built_by = manifest["target"].get("edgedeploy")
    if built_by != __version__:
        return f"not compared: built by edgedeploy {built_by}, this is {__version__}"
    for name, ours in scripts(str(manifest.get("model"))).items():
        if (root / "control" / name).read_bytes() != ours:
            raise VerificationError(f"{name} is not edgedeploy {__version__}'s")
    executable = {member.name for member in package.control if member.executable}
    if not set(SCRIPTS) <= executable:
        raise VerificationError("the maintainer scripts are not executable")
    return f"the maintainer scripts are edgedeploy {__version__}'s, byte for byte"
