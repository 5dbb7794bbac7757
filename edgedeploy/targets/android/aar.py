"""An Android library (AAR) in a local Maven repository.

Layout: developer.android.com, "Anatomy of an AAR file"; maven.apache.org, "Repository
Layout" and "POM Reference".
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from edgedeploy.errors import FormatError, InputError, PackageError
from edgedeploy.formats.zip import ZipWriter
from edgedeploy.resources import resource_folder
from edgedeploy.targets.android.apk import (
    MIN_SDK,
    MODEL_ALIGNMENT_BYTES,
    MODEL_SUFFIX,
    check_package_name,
)
from edgedeploy.targets.android.assets import kotlin_sources
from edgedeploy.targets.android.kotlin_classes import (
    KotlinClasses,
    compile_classes,
    write_jar,
)
from edgedeploy.targets.android.request import PackageRequest
from edgedeploy.targets.android.runtime_limits import check_models
from edgedeploy.targets.android.templates import render
from edgedeploy.targets.android.tree import write_tree
from edgedeploy.targets.android.versions import pinned_version
from edgedeploy.workspace import atomic_file

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]*")
_SUMS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}


def aar_path(package: str, version_name: str) -> str:
    """Where the .aar lies in the repository: <group>/<artifact>/<version>/….

    Args:
        package: Application id; parted at its last dot, it is group and artifact.
        version_name: The version.

    Raises:
        InputError: If Maven could not name it so.
    """
    check_package_name(package)
    if not _VERSION.fullmatch(version_name):
        raise InputError(
            f"version name {version_name[:40]!r}: Maven takes letters, digits, "
            "'.', '_', '+' and '-'; give another --version-name"
        )
    group, _, artifact = package.rpartition(".")
    folder = f"{group.replace('.', '/')}/{artifact}/{version_name}"
    return f"{folder}/{artifact}-{version_name}.aar"


def write_maven_repository(folder: Path, request: PackageRequest) -> KotlinClasses:
    """Write a repository with the library, its sources and its description.

    Args:
        folder: The repository's root; it holds nothing else afterwards.
        request: What to package.

    Returns:
        What its classes.jar holds.

    Raises:
        InputError: If a name or version is not allowed.
        PackageError: If it cannot be written, or a model is too new for the LiteRT
            that it asks for.
    """
    check_models(request.files)
    name = aar_path(request.package, request.version_name)
    stem = name.removesuffix(".aar")
    classes = compile_classes()
    library = folder / name
    try:
        with atomic_file(library) as temporary, temporary.open("w+b") as stream:
            writer = ZipWriter(stream)
            for entry, source in sorted(_entries(request, classes).items()):
                stored = entry.endswith(MODEL_SUFFIX)
                alignment = MODEL_ALIGNMENT_BYTES if stored else 1
                writer.add(entry, source, stored=stored, alignment=alignment)
            writer.finish()
    except (FormatError, OSError) as error:
        raise PackageError(f"{library}: {error}") from error
    files: dict[str, Path | bytes] = {
        f"{stem}.pom": _describe(request, classes),
        f"{stem}-sources.jar": _sources(),
    }
    sums = {
        f"{one}.{suffix}": _sum(folder / one, files.get(one), suffix)
        for one in (name, *files)
        for suffix in _SUMS
    }
    # The library is there already; naming it as its own source would truncate it.
    write_tree(folder, {**files, **sums}, keep=(name,))
    return classes


def _entries(
    request: PackageRequest, classes: KotlinClasses
) -> dict[str, Path | bytes]:
    manifest = render(
        "aar", "AndroidManifest.xml", package=request.package, min_sdk=MIN_SDK
    )
    rules = (resource_folder("android_assets") / "aar" / "proguard.txt").read_bytes()
    return {
        "AndroidManifest.xml": manifest.encode(),
        "R.txt": b"",
        "classes.jar": classes.jar,
        "proguard.txt": rules,
        **request.files,
    }


def _describe(request: PackageRequest, classes: KotlinClasses) -> bytes:
    group, _, artifact = request.package.rpartition(".")
    licences = {str(p.subject.licence) for p in request.payloads}
    text = render(
        "aar",
        "pom.xml",
        group=group,
        artifact=artifact,
        version=request.version_name,
        title=request.title,
        licences=sorted({"Apache-2.0", *licences}),
        litert=pinned_version("litert"),
        kotlin=classes.stdlib,
    )
    return text.encode()


def _sources() -> bytes:
    return write_jar({f"edgedeploy/{p.name}": p.read_bytes() for p in kotlin_sources()})


def _sum(path: Path, content: Path | bytes | None, suffix: str) -> bytes:
    digest = _SUMS[suffix](usedforsecurity=False)
    if isinstance(content, bytes):
        digest.update(content)
    else:
        with path.open("rb") as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest().encode()
