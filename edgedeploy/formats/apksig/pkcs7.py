"""Verifies a detached PKCS#7 signature, as JAR signing makes (RFC 5652)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from edgedeploy.errors import FormatError
from edgedeploy.formats.apksig import der
from edgedeploy.formats.apksig.certificate import load_certificate, signature_holds

# Object identifiers, DER encoded without tag and length.
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010904")
_HASHES = {
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}
# rsaEncryption, then sha256/384/512WithRSAEncryption; ecdsa-with-SHA256/384/512.
_RSA_PREFIX = bytes.fromhex("2a864886f70d0101")
_ECDSA_PREFIX = bytes.fromhex("2a8648ce3d0403")


@dataclass(frozen=True, slots=True, kw_only=True)
class _SignerInfo:
    issuer: bytes
    serial: bytes
    hash_name: str
    attributes: der.Node | None
    kind: str
    signature: bytes


def verify_detached(signature: bytes, content: bytes) -> str:
    """Check that a signature file covers the content.

    Args:
        signature: PKCS#7 SignedData with certificates, DER encoded.
        content: The bytes that it is said to sign.

    Returns:
        SHA-256 of the signer's certificate, 64 hexadecimal digits.

    Raises:
        FormatError: If it is malformed, uses an unknown algorithm, or the signature
            does not hold.
    """
    certificates, signers = _parse(signature)
    if len(signers) != 1:
        raise FormatError(f"PKCS#7: expected one signer; found {len(signers)}")
    signer = signers[0]
    certificate_der, certificate = _find_certificate(certificates, signer)
    message = content
    if signer.attributes is not None:
        _check_attributes(signer.attributes, signer.hash_name, content)
        # Signed attributes are digested as a SET, not with their context tag.
        message = bytes([der.SET]) + signer.attributes.encoded[1:]
    if not signature_holds(
        certificate.public_key(),
        signer.signature,
        message,
        hash_name=signer.hash_name,
        kind=signer.kind,
        padding="PKCS1v15",
    ):
        raise FormatError("PKCS#7: the signature does not hold")
    return hashlib.sha256(certificate_der).hexdigest()


def _parse(data: bytes) -> tuple[tuple[bytes, ...], tuple[_SignerInfo, ...]]:
    content_info = der.read_der(data).expect(der.SEQUENCE).children()
    if len(content_info) != 2 or content_info[0].content != _SIGNED_DATA:
        raise FormatError("PKCS#7: this is no SignedData")
    (signed_data,) = _exactly(content_info[1].expect(der.CONTEXT_0).children(), 1)
    parts = signed_data.expect(der.SEQUENCE).children()
    if len(parts) < 4:
        raise FormatError("PKCS#7: SignedData is incomplete")
    certificates = tuple(
        item.encoded
        for part in parts[3:-1]
        if part.tag == der.CONTEXT_0
        for item in part.children()
    )
    signers = tuple(map(_parse_signer, parts[-1].expect(der.SET).children()))
    return certificates, signers


def _parse_signer(node: der.Node) -> _SignerInfo:
    parts = list(node.expect(der.SEQUENCE).children())
    attributes = None
    if len(parts) > 3 and parts[3].tag == der.CONTEXT_0:
        attributes = parts.pop(3)
    if len(parts) < 5:
        raise FormatError("PKCS#7: a SignerInfo is incomplete")
    issuer, serial = _exactly(parts[1].expect(der.SEQUENCE).children(), 2)
    return _SignerInfo(
        issuer=issuer.encoded,
        serial=serial.content,
        hash_name=_hash_name(_algorithm(parts[2])),
        attributes=attributes,
        kind=_key_kind(_algorithm(parts[3])),
        signature=parts[4].expect(der.OCTET_STRING).content,
    )


def _exactly(nodes: tuple[der.Node, ...], count: int) -> tuple[der.Node, ...]:
    if len(nodes) != count:
        raise FormatError(f"PKCS#7: expected {count} values; found {len(nodes)}")
    return nodes


def _algorithm(node: der.Node) -> bytes:
    children = node.expect(der.SEQUENCE).children()
    if not children:
        raise FormatError("PKCS#7: an algorithm is missing")
    return children[0].expect(der.OBJECT_IDENTIFIER).content


def _hash_name(identifier: bytes) -> str:
    if identifier not in _HASHES:
        raise FormatError("PKCS#7: the digest is not of the SHA-2 family")
    return _HASHES[identifier]


def _key_kind(identifier: bytes) -> str:
    if identifier[:-1] == _RSA_PREFIX and identifier[-1] in {1, 11, 12, 13}:
        return "RSA"
    if identifier[:-1] == _ECDSA_PREFIX:
        return "EC"
    raise FormatError("PKCS#7: the signature is neither RSA nor ECDSA")


def _find_certificate(
    certificates: tuple[bytes, ...], signer: _SignerInfo
) -> tuple[bytes, Any]:
    for encoded in certificates:
        certificate = load_certificate(encoded)
        serial = int.from_bytes(signer.serial, "big", signed=True)
        if (
            certificate.issuer.public_bytes() == signer.issuer
            and certificate.serial_number == serial
        ):
            return encoded, certificate
    raise FormatError("PKCS#7: the signer's certificate is missing")


def _check_attributes(attributes: der.Node, hash_name: str, content: bytes) -> None:
    expected = hashlib.new(hash_name, content).digest()
    for attribute in attributes.children():
        name, values = _exactly(attribute.expect(der.SEQUENCE).children(), 2)
        if name.content == _MESSAGE_DIGEST:
            (value,) = _exactly(values.expect(der.SET).children(), 1)
            if value.content == expected:
                return
    raise FormatError("PKCS#7: the signed digest is not the content's")
