"""Verifies one APK Signature Scheme block, v2 or v3."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from edgedeploy.errors import FormatError
from edgedeploy.formats.apksig.block import Cursor, SigningBlocks
from edgedeploy.formats.apksig.certificate import (
    ALGORITHMS,
    load_certificate,
    public_key_der,
    signature_holds,
)
from edgedeploy.formats.apksig.lineage import ATTRIBUTE, read_lineage

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_BYTES = 1 << 20
_STRIPPING_PROTECTION = 0xBEEFF00D


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeCheck:
    """What checking one scheme gave.

    Attributes:
        scheme: 1, 2 or 3.
        certificate_sha256: Of the first signer, or None when it could not be read.
        problems: One line each; empty is good.
        promised_schemes: Other schemes that this one says are present.
        lineage: SHA-256 of the certificates that led to this signer's, oldest first;
            empty where the key was never rotated.
    """

    scheme: int
    certificate_sha256: str | None
    problems: tuple[str, ...]
    promised_schemes: tuple[int, ...]
    lineage: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signer:
    signed_data: bytes
    digests: tuple[tuple[int, bytes], ...]
    certificates: tuple[bytes, ...]
    attributes: tuple[tuple[int, bytes], ...]
    signatures: tuple[tuple[int, bytes], ...]
    public_key: bytes
    sdk_ranges: tuple[bytes, bytes]


def verify_scheme(
    stream: IO[bytes], blocks: SigningBlocks, scheme: int, value: bytes
) -> SchemeCheck:
    """Check one v2 or v3 block against the package.

    Args:
        stream: The package, seekable.
        blocks: What the signatures cover.
        scheme: 2 or 3.
        value: The block's value.

    Returns:
        The outcome; malformed structures are problems.
    """
    problems: list[str] = []
    certificate = None
    promised: list[int] = []
    lineage: tuple[str, ...] = ()
    try:
        signers = _parse_signers(value, scheme)
        for signer in signers:
            problems += _check_signer(signer)
            problems += _check_digests(stream, blocks, signer)
            promised += [
                int.from_bytes(content, "little")
                for identifier, content in signer.attributes
                if identifier == _STRIPPING_PROTECTION and scheme == 2
            ]
        certificate = hashlib.sha256(signers[0].certificates[0]).hexdigest()
        lineage = _read_lineage(signers[0]) if scheme == 3 else ()
    except FormatError as error:
        problems.append(str(error))
    return SchemeCheck(
        scheme=scheme,
        certificate_sha256=certificate,
        problems=tuple(f"scheme v{scheme}: {problem}" for problem in problems),
        promised_schemes=tuple(promised),
        lineage=lineage,
    )


def _parse_signers(value: bytes, scheme: int) -> tuple[_Signer, ...]:
    cursor = Cursor(value)
    signers = tuple(_parse_signer(part, scheme) for part in cursor.parts())
    cursor.finish("the signers")
    if not signers:
        raise FormatError("signing block: it has no signer")
    return signers


def _parse_signer(data: bytes, scheme: int) -> _Signer:
    outer = Cursor(data)
    signed_data = outer.part()
    outer_range = outer.take(8) if scheme == 3 else b""
    signatures = tuple(map(_parse_algorithm_value, outer.parts()))
    public_key = outer.part()
    outer.finish("a signer")
    inner = Cursor(signed_data)
    digests = tuple(map(_parse_algorithm_value, inner.parts()))
    certificates = inner.parts()
    inner_range = inner.take(8) if scheme == 3 else b""
    attributes = tuple(map(_parse_attribute, inner.parts()))
    if not certificates or not signatures:
        raise FormatError("signing block: a signer lacks a certificate or signature")
    return _Signer(
        signed_data=signed_data,
        digests=digests,
        certificates=certificates,
        attributes=attributes,
        signatures=signatures,
        public_key=public_key,
        sdk_ranges=(inner_range, outer_range),
    )


def _read_lineage(signer: _Signer) -> tuple[str, ...]:
    """Check the proof of rotation, which has to end with the signer."""
    for identifier, content in signer.attributes:
        if identifier == ATTRIBUTE:
            lineage = read_lineage(content)
            if lineage[-1] != hashlib.sha256(signer.certificates[0]).hexdigest():
                raise FormatError("the proof of rotation is for another certificate")
            return lineage
    return ()


def _parse_algorithm_value(data: bytes) -> tuple[int, bytes]:
    cursor = Cursor(data)
    pair = cursor.number(), cursor.part()
    cursor.finish("a digest or signature")
    return pair


def _parse_attribute(data: bytes) -> tuple[int, bytes]:
    cursor = Cursor(data)
    return cursor.number(), cursor.take(cursor.remaining)


def _check_signer(signer: _Signer) -> Iterator[str]:
    if signer.sdk_ranges[0] != signer.sdk_ranges[1]:
        yield "the SDK range outside the signed data differs from the one inside"
    if [item[0] for item in signer.digests] != [item[0] for item in signer.signatures]:
        yield "digests and signatures use different algorithms"
    certificate = load_certificate(signer.certificates[0])
    if public_key_der(certificate) != signer.public_key:
        yield "the public key is not the certificate's"
    supported = [item for item in signer.signatures if item[0] in ALGORITHMS]
    if not supported:
        yield "no signature with an algorithm that this verifier knows"
    for algorithm, signature in supported:
        hash_name, kind, padding = ALGORITHMS[algorithm]
        if not signature_holds(
            certificate.public_key(),
            signature,
            signer.signed_data,
            hash_name=hash_name,
            kind=kind,
            padding=padding,
        ):
            yield f"the signature with algorithm {algorithm:#06x} does not hold"


def _check_digests(
    stream: IO[bytes], blocks: SigningBlocks, signer: _Signer
) -> Iterator[str]:
    for algorithm, expected in signer.digests:
        if algorithm not in ALGORITHMS:
            continue
        if _content_digest(stream, blocks, ALGORITHMS[algorithm][0]) != expected:
            yield "the package's contents are not what was signed"


def _content_digest(stream: IO[bytes], blocks: SigningBlocks, hash_name: str) -> bytes:
    count = 0
    joined = bytearray()
    for chunk in _chunks(stream, blocks):
        digest = hashlib.new(hash_name, b"\xa5" + struct.pack("<I", len(chunk)))
        digest.update(chunk)
        joined += digest.digest()
        count += 1
    return hashlib.new(hash_name, b"\x5a" + struct.pack("<I", count) + joined).digest()


def _chunks(stream: IO[bytes], blocks: SigningBlocks) -> Iterator[bytes]:
    sections = (
        (0, blocks.entries_bytes),
        (blocks.directory_offset, blocks.directory_bytes),
    )
    for start, size in sections:
        stream.seek(start)
        left = size
        while left:
            chunk = stream.read(min(left, _CHUNK_BYTES))
            if not chunk:
                raise FormatError("the package is truncated")
            left -= len(chunk)
            yield chunk
    yield blocks.end_record
