"""Verifies scheme v1: a signed JAR (the JAR File Specification, "Signed JAR File")."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from edgedeploy.errors import FormatError
from edgedeploy.formats.apksig.pkcs7 import verify_detached
from edgedeploy.formats.apksig.scheme import SchemeCheck
from edgedeploy.formats.zip_content import entry_pieces
from edgedeploy.formats.zip_layout import ZipEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

_MANIFEST = "META-INF/MANIFEST.MF"
_SIGNATURE_FILE = re.compile(r"META-INF/[^/]+\.SF", re.IGNORECASE)
_UNSIGNED = re.compile(
    r"META-INF/(MANIFEST\.MF|SIG-[^/]*|[^/]+\.(SF|RSA|DSA|EC))", re.IGNORECASE
)
_BLOCK_SUFFIXES = ("RSA", "EC", "DSA")
_HASHES = {"SHA-512": "sha512", "SHA-384": "sha384", "SHA-256": "sha256"}
_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    raw: bytes
    attributes: dict[str, str]


def verify_jar(stream: IO[bytes], found: tuple[ZipEntry, ...]) -> SchemeCheck | None:
    """Check the v1 signature, if there is one.

    Args:
        stream: The package, seekable.
        found: Its entries.

    Returns:
        The outcome, or None when the package has no signature file.
    """
    by_name = {entry.name: entry for entry in found}
    signature_files = sorted(filter(_SIGNATURE_FILE.fullmatch, by_name))
    if not signature_files:
        return None
    problems: list[str] = []
    certificates: list[str] = []
    promised: tuple[int, ...] = ()
    try:
        manifest = _read(stream, by_name, _MANIFEST)
        sections = _parse_sections(manifest)
        for name in signature_files:
            content = _read(stream, by_name, name)
            certificates.append(_verify_block(stream, by_name, name, content))
            signed = _parse_sections(content)
            _check_manifest(name, signed, manifest, sections)
            header = signed[0].attributes.get("x-android-apk-signed", "")
            promised = tuple(int(item) for item in re.findall(r"\d+", header))
        problems += _check_entries(stream, by_name, sections[1:])
    except FormatError as error:
        problems.append(str(error))
    return SchemeCheck(
        scheme=1,
        certificate_sha256=certificates[0] if certificates else None,
        problems=tuple(f"scheme v1: {problem}" for problem in problems),
        promised_schemes=promised,
    )


def _read(stream: IO[bytes], by_name: dict[str, ZipEntry], name: str) -> bytes:
    if name not in by_name:
        raise FormatError(f"{name} is missing")
    if by_name[name].size_bytes > _LIMIT_BYTES:
        raise FormatError(f"{name} is over {_LIMIT_BYTES} bytes")
    return b"".join(entry_pieces(stream, by_name[name]))


def _verify_block(
    stream: IO[bytes], by_name: dict[str, ZipEntry], name: str, content: bytes
) -> str:
    for suffix in _BLOCK_SUFFIXES:
        block = name[:-2] + suffix
        if block in by_name:
            return verify_detached(_read(stream, by_name, block), content)
    raise FormatError(f"{name} has no signature block beside it")


def _parse_sections(data: bytes) -> tuple[_Section, ...]:
    sections = []
    raw = b""
    lines: list[bytes] = []
    for line in data.splitlines(keepends=True):
        raw += line
        text = line.rstrip(b"\r\n")
        if text.startswith(b" ") and lines:
            lines[-1] += text[1:]
        elif text:
            lines.append(text)
        elif lines:
            sections.append(_Section(raw=raw, attributes=_parse_attributes(lines)))
            raw, lines = b"", []
    if lines:
        raise FormatError("the last section has no blank line after it")
    if not sections:
        raise FormatError("a manifest or signature file is empty")
    return tuple(sections)


def _parse_attributes(lines: list[bytes]) -> dict[str, str]:
    attributes = {}
    for line in lines:
        name, separator, value = line.partition(b": ")
        try:
            key, text = name.decode().lower(), value.decode()
        except UnicodeDecodeError as error:
            raise FormatError("a manifest line is not UTF-8") from error
        if not separator or key in attributes:
            raise FormatError(f"a manifest line is malformed or repeated: {line!r}")
        attributes[key] = text
    return attributes


def _digest(attributes: dict[str, str], suffix: str, what: str) -> tuple[str, bytes]:
    for name, hash_name in _HASHES.items():
        text = attributes.get(f"{name}-Digest{suffix}".lower())
        if text is not None:
            try:
                return hash_name, base64.b64decode(text, validate=True)
            except binascii.Error as error:
                raise FormatError(f"{what}: its digest is not base64") from error
    raise FormatError(f"{what}: no digest of the SHA-2 family")


def _check_manifest(
    name: str,
    signed: tuple[_Section, ...],
    manifest: bytes,
    sections: tuple[_Section, ...],
) -> None:
    hash_name, expected = _digest(signed[0].attributes, "-Manifest", name)
    if hashlib.new(hash_name, manifest).digest() == expected:
        return
    # The whole manifest may have grown by other signers; then sections count.
    by_name = {section.attributes.get("name"): section for section in signed[1:]}
    for section in sections[1:]:
        entry = section.attributes.get("name")
        if entry not in by_name:
            raise FormatError(f"{name} does not sign {entry!r}")
        hash_name, expected = _digest(by_name[entry].attributes, "", name)
        if hashlib.new(hash_name, section.raw).digest() != expected:
            raise FormatError(f"{name}: the manifest's section {entry!r} was changed")


def _check_entries(
    stream: IO[bytes], by_name: dict[str, ZipEntry], sections: tuple[_Section, ...]
) -> Iterator[str]:
    listed = set()
    for section in sections:
        name = section.attributes.get("name", "")
        if name in listed:
            yield f"the manifest lists {name!r} twice"
        listed.add(name)
        if name not in by_name:
            yield f"the manifest lists {name!r}, which the package lacks"
            continue
        hash_name, expected = _digest(section.attributes, "", name)
        digest = hashlib.new(hash_name)
        for piece in entry_pieces(stream, by_name[name]):
            digest.update(piece)
        if digest.digest() != expected:
            yield f"{name!r} is not what was signed"
    for name in by_name:
        if name not in listed and not _UNSIGNED.fullmatch(name) and name[-1:] != "/":
            yield f"{name!r} is not signed"
