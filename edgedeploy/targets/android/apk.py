"""An asset-only APK: a model and its files as an installable, signed package."""

from __future__ import annotations

import mmap
import re
from typing import IO, TYPE_CHECKING

from edgedeploy.errors import FormatError, InputError, PackageError, WorkspaceError
from edgedeploy.formats.apksig import SigningKey, sign_v1, signing_block
from edgedeploy.formats.axml import encode_manifest
from edgedeploy.formats.zip import STORED, ZipWriter, entries
from edgedeploy.targets.android.templates import render
from edgedeploy.workspace import atomic_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MIN_SDK = 24
# Play asks it of new apps and updates since 31 August 2026; the app's own
# build.gradle.kts says the same.
TARGET_SDK = 36
MODEL_SUFFIX = ".tflite"
# LiteRT wants 16; pages let FileChannel.map hand out the model without a copy.
MODEL_ALIGNMENT_BYTES = 4096
_MANIFEST_NAME = "AndroidManifest.xml"
_ASSETS = "assets/"
_PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
# PackageParser's limit, and Google Play's for versionCode.
_MAX_PACKAGE_CHARS = 223
_MAX_VERSION_CODE = 2_100_000_000
_MAX_TEXT_CHARS = 1000


def write_asset_apk(
    path: Path,
    *,
    package: str,
    version_code: int,
    version_name: str,
    label: str,
    files: Mapping[str, Path | bytes],
    key: SigningKey,
) -> None:
    """Write a signed package that holds assets and no code.

    Models (.tflite) are stored, not deflated, and begin on a page, so that an app can
    map them; everything else is deflated. Signed with v1, v2 and v3.

    Args:
        path: The package to write; it appears whole or not at all.
        package: Application id, such as "org.example.classifier".
        version_code: 1 to 2,100,000,000; grows with each release.
        version_name: What people see as version.
        label: What people see as name.
        files: Contents or their files by entry name, below "assets/".
        key: The signing key; the same arguments and key give the same bytes.

    Raises:
        InputError: If a name or value is not allowed, or a file cannot be read.
        PackageError: If the package cannot be written.
    """
    manifest = render_manifest(
        package=package,
        version_code=version_code,
        version_name=version_name,
        label=label,
    )
    for name in files:
        if not name.startswith(_ASSETS):
            raise InputError(f"{name!r}: an asset-only package has files below assets/")
    try:
        with atomic_file(path) as temporary, temporary.open("w+b") as stream:
            _write_signed(stream, encode_manifest(manifest), files, key)
    except (FormatError, WorkspaceError, OSError) as error:
        raise PackageError(f"{path}: {error}") from error


def render_manifest(
    *, package: str, version_code: int, version_name: str, label: str
) -> str:
    """Fill in android_assets/apk/AndroidManifest.xml.

    Args:
        package: As in `write_asset_apk`.
        version_code: As in `write_asset_apk`.
        version_name: As in `write_asset_apk`.
        label: As in `write_asset_apk`.

    Returns:
        The manifest as XML text.

    Raises:
        InputError: If a value is not allowed.
    """
    check_identity(
        package=package,
        version_code=version_code,
        version_name=version_name,
        label=label,
    )
    return render(
        "apk",
        _MANIFEST_NAME,
        package=package,
        version_code=version_code,
        version_name=version_name,
        label=label,
        min_sdk=MIN_SDK,
        target_sdk=TARGET_SDK,
    )


def check_identity(
    *, package: str, version_code: int, version_name: str, label: str
) -> None:
    """Insist on an application id, version and name that Android installs.

    Args:
        package: As in `write_asset_apk`.
        version_code: As in `write_asset_apk`.
        version_name: As in `write_asset_apk`.
        label: As in `write_asset_apk`.

    Raises:
        InputError: If a value is not allowed.
    """
    check_package_name(package)
    if not 1 <= version_code <= _MAX_VERSION_CODE:
        raise InputError(
            f"version code {version_code}: expected 1 to {_MAX_VERSION_CODE}"
        )
    for what, text in (("version name", version_name), ("label", label)):
        if not text.strip() or len(text) > _MAX_TEXT_CHARS or not text.isprintable():
            raise InputError(
                f"{what} {text[:40]!r}: expected 1 to {_MAX_TEXT_CHARS} printable "
                "characters"
            )


def check_package_name(package: str) -> None:
    """Insist on an application id that Android installs.

    Args:
        package: The application id.

    Raises:
        InputError: If it has fewer than two parts, other characters than ASCII
            letters, digits and underscores, a part that does not begin with a letter,
            or over 223 characters.
    """
    if not _PACKAGE.fullmatch(package) or len(package) > _MAX_PACKAGE_CHARS:
        raise InputError(
            f"package name {package[:80]!r}: expected two or more parts of letters, "
            "digits and underscores, each beginning with a letter, such as "
            "org.example.classifier"
        )


def map_asset(apk_path: Path, name: str) -> tuple[memoryview, int]:
    """Map a file inside a package, as AssetFileDescriptor and FileChannel.map do.

    Args:
        apk_path: The package.
        name: The entry, such as "assets/model.tflite".

    Returns:
        A read-only view of the file's bytes, backed by the page cache, and the offset
        of its first byte in the package.

    Raises:
        InputError: If the package cannot be opened.
        FormatError: If it is malformed, lacks the entry, or has compressed it.
    """
    entry = next((item for item in entries(apk_path) if item.name == name), None)
    if entry is None:
        raise FormatError(f"{apk_path}: it has no entry {name!r}")
    if entry.method != STORED or entry.encrypted:
        raise FormatError(
            f"{apk_path}: {name!r} is compressed, so Android cannot map it; store it "
            "(noCompress in Gradle)"
        )
    if not entry.size_bytes:
        raise FormatError(f"{apk_path}: {name!r} is empty, so it cannot be mapped")
    # Only multiples of the page size can be mapped: begin before, then slice.
    skipped = entry.data_offset % mmap.ALLOCATIONGRANULARITY
    try:
        with apk_path.open("rb") as stream:
            mapped = mmap.mmap(
                stream.fileno(),
                skipped + entry.size_bytes,
                access=mmap.ACCESS_READ,
                offset=entry.data_offset - skipped,
            )
    except (OSError, ValueError) as error:
        raise FormatError(f"{apk_path}: {name!r} cannot be mapped: {error}") from error
    view = memoryview(mapped)[skipped : skipped + entry.size_bytes]
    return view, entry.data_offset


def _write_signed(
    stream: IO[bytes],
    manifest: bytes,
    files: Mapping[str, Path | bytes],
    key: SigningKey,
) -> None:
    writer = ZipWriter(stream)
    writer.add(_MANIFEST_NAME, manifest)
    for name in sorted(files):
        if name.endswith(MODEL_SUFFIX):
            writer.add(name, files[name], stored=True, alignment=MODEL_ALIGNMENT_BYTES)
        else:
            writer.add(name, files[name])
    digests = [(entry.name, entry.sha256) for entry in writer.written]
    # Android below 9 knows the old key alone.
    for name, content in sign_v1(digests, key.previous or key):
        writer.add(name, content)
    entries_bytes = writer.pad(MODEL_ALIGNMENT_BYTES)
    directory = writer.central_directory()
    unsigned_end = writer.end_record(entries_bytes)
    block = signing_block(stream, entries_bytes, directory, unsigned_end, key)
    stream.seek(entries_bytes)
    stream.write(block + directory + writer.end_record(entries_bytes + len(block)))
