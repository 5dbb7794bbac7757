"""An Android App Bundle: an empty base module and an asset pack with the models.

Layout: developer.android.com, "The Android App Bundle format"; the messages of
BundleConfig.pb and assets.pb are bundletool's config.proto and files.proto, compared
with what bundletool 1.18.2 writes. Written here rather than by bundletool and aapt2,
whose versions would decide the bytes; bundletool is asked what it thinks of it.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import IO

from edgedeploy.errors import FormatError, PackageError, WorkspaceError
from edgedeploy.formats.apksig import sign_v1
from edgedeploy.formats.proto_manifest import encode_proto_manifest
from edgedeploy.formats.protobuf import encode_bytes
from edgedeploy.formats.zip import ZipWriter
from edgedeploy.targets.android.apk import (
    MIN_SDK,
    MODEL_SUFFIX,
    TARGET_SDK,
    check_identity,
)
from edgedeploy.targets.android.request import PackageRequest
from edgedeploy.targets.android.templates import render
from edgedeploy.workspace import atomic_file

CONFIG = "BundleConfig.pb"
MANIFEST = "manifest/AndroidManifest.xml"
# bundletool adapts its behaviour to the version that wrote a bundle.
BUNDLETOOL_VERSION = "1.18.2"
UNCOMPRESSED = "**.tflite"


def write_app_bundle(path: Path, request: PackageRequest) -> None:
    """Write a bundle that Play, or bundletool, makes installable packages from.

    The models are stored, and the bundle says that they must be stored in what is made
    from it, too. Signed with a JAR signature, which Play's upload asks for.

    Args:
        path: The bundle to write; it appears whole or not at all.
        request: What to package.

    Raises:
        InputError: If a name or value is not allowed.
        PackageError: If the bundle cannot be written.
    """
    modules = _modules(request)
    try:
        with atomic_file(path) as temporary, temporary.open("w+b") as stream:
            _write_signed(stream, modules, request)
    except (FormatError, WorkspaceError, OSError) as error:
        raise PackageError(f"{path}: {error}") from error


def bundle_config() -> bytes:
    """Encode BundleConfig.pb: which bundletool, and what is never compressed."""
    tool = encode_bytes(2, BUNDLETOOL_VERSION)
    return encode_bytes(1, tool) + encode_bytes(3, encode_bytes(1, UNCOMPRESSED))


def _modules(request: PackageRequest) -> dict[str, Path | bytes]:
    check_identity(
        package=request.package,
        version_code=request.version_code,
        version_name=request.version_name,
        label=request.title,
    )
    base = render(
        "aab",
        "base.xml",
        package=request.package,
        version_code=request.version_code,
        version_name=request.version_name,
        label=request.title,
        min_sdk=MIN_SDK,
        target_sdk=TARGET_SDK,
    )
    pack = render(
        "aab",
        "pack.xml",
        package=request.package,
        pack=request.pack,
        delivery=request.delivery,
    )
    files = request.files
    folders = sorted({str(PurePosixPath(name).parent) for name in files})
    return {
        CONFIG: bundle_config(),
        f"base/{MANIFEST}": encode_proto_manifest(base),
        f"{request.pack}/{MANIFEST}": encode_proto_manifest(pack),
        f"{request.pack}/assets.pb": b"".join(
            encode_bytes(1, encode_bytes(1, folder) + encode_bytes(2, b""))
            for folder in folders
        ),
        **{f"{request.pack}/{name}": source for name, source in files.items()},
    }


def _write_signed(
    stream: IO[bytes], modules: dict[str, Path | bytes], request: PackageRequest
) -> None:
    writer = ZipWriter(stream)
    for name in sorted(modules):
        # Deflating what Play will recompress anyway takes minutes for a large model.
        writer.add(name, modules[name], stored=name.endswith(MODEL_SUFFIX))
    digests = [(entry.name, entry.sha256) for entry in writer.written]
    for name, content in sign_v1(digests, request.key, promised_schemes=""):
        writer.add(name, content)
    writer.finish()
