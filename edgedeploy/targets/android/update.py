"""A signed model package for updates over the air; apps install it with ModelStore.kt.

A ZIP archive with the payload's files and two more: `update.txt`, lines of ASCII that
list every file with its SHA-256 and size, and `update.sig`, the RSA PKCS#1 v1.5
signature with SHA-256 of that text's bytes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from edgedeploy.errors import FormatError, InputError, PackageError, WorkspaceError
from edgedeploy.formats.apksig.certificate import signature_holds
from edgedeploy.formats.zip import ZipWriter, entries, read_entry
from edgedeploy.ondevice.bundle import SCHEMA as CONTRACT_SCHEMA
from edgedeploy.results import Check
from edgedeploy.targets.android.apk import check_identity
from edgedeploy.targets.android.request import PackageRequest
from edgedeploy.targets.android.update_manifest import (
    FILE_NAME,
    FORMAT,
    UpdateManifest,
    parse_update,
)
from edgedeploy.targets.content import digest_source
from edgedeploy.targets.payload import Payload
from edgedeploy.workspace import atomic_file, write_bytes

MANIFEST = "update.txt"
SIGNATURE = "update.sig"
KEY = "update-key.der"
SUFFIX = "-update.zip"
_LIMIT_BYTES = 1 << 20
_KEY_LIMIT_BYTES = 1 << 16


def write_update(folder: Path, request: PackageRequest) -> None:
    """Write an update, and beside it the key that the app has to trust.

    Args:
        folder: Where both go.
        request: One model; `version_code` is the update's version, which has to grow,
            and `min_app_version` the oldest app that may take it.

    Raises:
        InputError: If there are several models, or a name that could not be unpacked.
        PackageError: If it cannot be written.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if len(request.payloads) != 1:
        raise InputError("an update is of one model; make one for each")
    check_identity(
        package=request.package,
        version_code=request.version_code,
        version_name=request.version_name,
        label=request.title,
    )
    (payload,) = request.payloads
    text = render_update(payload, request.version_code, request.min_app_version)
    key = request.key
    signature = key.private_key.sign(text, PKCS1v15(), hashes.SHA256())
    path = folder / f"{request.name}{SUFFIX}"
    try:
        with atomic_file(path) as temporary, temporary.open("w+b") as stream:
            writer = ZipWriter(stream)
            writer.add(MANIFEST, text)
            writer.add(SIGNATURE, signature)
            for name, source in sorted(payload.files.items()):
                # Unpacked before they are mapped, so models are deflated, too.
                writer.add(name, source)
            writer.finish()
    except (FormatError, WorkspaceError, OSError) as error:
        raise PackageError(f"{path}: {error}") from error
    public = key.certificate.public_key()
    encoded = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    write_bytes(folder / KEY, encoded)


def render_update(payload: Payload, version: int, min_app_version: int) -> bytes:
    """Write what is signed.

    Args:
        payload: The model.
        version: The update's version, from 1.
        min_app_version: versionCode of the oldest app that may take it, from 0.

    Raises:
        InputError: If the app's version is negative or a name could not be unpacked.
    """
    if min_app_version < 0:
        raise InputError(
            f"min-app-version must be 0 or more; received {min_app_version}"
        )
    lines = [
        f"edgedeploy-update {FORMAT}",
        f"model {payload.model}",
        f"version {version}",
        f"contract {CONTRACT_SCHEMA}",
        f"min-app-version {min_app_version}",
    ]
    for name, source in sorted(payload.files.items()):
        if not FILE_NAME.fullmatch(name):
            raise InputError(f"{name!r}: no name that an app would unpack")
        digest, size = digest_source(name, source)
        lines.append(f"file {digest} {size} {name}")
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def check_update(path: Path) -> tuple[Check, ...]:
    """Check an update as the app will, with the key that lies beside it.

    Args:
        path: The update.

    Returns:
        One check each; a malformed update fails checks, it raises nothing.

    Raises:
        InputError: If the file cannot be opened.
    """
    try:
        contents = {
            entry.name: (entry, read_entry(path, entry, limit_bytes=_LIMIT_BYTES))
            for entry in entries(path)
            if entry.name in (MANIFEST, SIGNATURE)
        }
        missing = [name for name in (MANIFEST, SIGNATURE) if name not in contents]
        if missing:
            return (_check("update", [f"it lacks {missing[0]}"], ""),)
        text, signature = contents[MANIFEST][1], contents[SIGNATURE][1]
    except FormatError as error:
        return (_check("update", [str(error)], ""),)
    return _check_signature(path, text, signature), _check_files(path, text)


def _check_signature(path: Path, text: bytes, signature: bytes) -> Check:
    try:
        key = _read_key(path.parent / KEY)
    except FormatError as error:
        return _check("update's signature", [str(error)], "")
    holds = signature_holds(
        key, signature, text, hash_name="sha256", kind="RSA", padding="PKCS1v15"
    )
    problems = [] if holds else [f"it is not signed with the key of {KEY}"]
    return _check("update's signature", problems, f"holds with {KEY}")


def _read_key(path: Path) -> Any:
    """Read the key that the app trusts, as strictly as Java does."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_der_public_key,
    )

    try:
        with path.open("rb") as stream:
            encoded = stream.read(_KEY_LIMIT_BYTES)
    except FileNotFoundError as error:
        raise FormatError(
            f"cannot be checked without the app's key: put {KEY} beside the update"
        ) from error
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        key = load_der_public_key(encoded)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if not isinstance(key, RSAPublicKey) or key.public_bytes(*form) != encoded:
        raise FormatError(
            f"{path}: expected an RSA key, SubjectPublicKeyInfo in DER; received "
            f"{len(encoded)} bytes that are none. Take the {KEY} that package.android "
            "wrote"
        )
    return key


def _check_files(path: Path, text: bytes) -> Check:
    name = "update's files"
    try:
        manifest = parse_update(text)
        problems = [*_judge_header(manifest), *_compare(path, manifest)]
    except FormatError as error:
        return _check(name, [str(error)], "")
    return _check(name, problems, f"{len(manifest.files)} files are what was signed")


def _judge_header(manifest: UpdateManifest) -> list[str]:
    """What every app refuses, whatever its own model and version."""
    problems = []
    if manifest.version < 1:
        problems.append("version 0 is newer than no other")
    if manifest.contract != CONTRACT_SCHEMA:
        problems.append(
            f"it has contract {manifest.contract}; apps follow {CONTRACT_SCHEMA}"
        )
    return problems


def _compare(path: Path, manifest: UpdateManifest) -> list[str]:
    listed = {file.name: file for file in manifest.files}
    found = {entry.name: entry for entry in entries(path)}
    strays = found.keys() - listed.keys() - {MANIFEST, SIGNATURE}
    problems = [f"{name!r} is not signed" for name in sorted(strays)]
    for name, file in listed.items():
        if name not in found:
            problems.append(f"{name} is missing")
        elif found[name].size_bytes != file.size_bytes:
            problems.append(f"{name} has another size")
        elif hashlib.sha256(read_entry(path, found[name])).hexdigest() != file.sha256:
            problems.append(f"{name} is not what was signed")
    return problems


def _check(name: str, problems: list[str], good: str) -> Check:
    return Check(
        level="file",
        name=name,
        passed=not problems,
        detail="; ".join(problems[:5]) or good,
    )
