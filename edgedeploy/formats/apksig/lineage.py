"""Proof of rotation: how a new signing key shows that it follows an old one.

Source: source.android.com, "APK Signature Scheme v3", "Proof-of-rotation and self-
trusted-old-certs structs"; compared with what apksigner's `rotate` writes. Numbers are
little-endian; a part is preceded by its length in four bytes.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from edgedeploy.errors import FormatError
from edgedeploy.formats.apksig.block import Cursor
from edgedeploy.formats.apksig.certificate import (
    ALGORITHMS,
    load_certificate,
    signature_holds,
)

if TYPE_CHECKING:
    from edgedeploy.formats.apksig.key import SigningKey

ATTRIBUTE = 0x3BA06F8C
_VERSION = 1
_RSA_PKCS1_SHA256 = 0x0103
# What an old certificate may still do, as apksigner grants by default: install over
# its data (1), share a user id (2), keep permissions (4), authenticate (16); not roll
# back to the old key (8).
_CAPABILITIES = 1 | 2 | 4 | 16


def write_lineage(old: SigningKey, new: SigningKey) -> bytes:
    """Let an old key vouch for a new one.

    Args:
        old: The key that signed until now.
        new: The key that signs from now on.

    Returns:
        The value of the attribute `ATTRIBUTE`; the same keys give the same bytes.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    first = _prefixed(old.certificate_der) + struct.pack("<I", 0)
    second = _prefixed(new.certificate_der) + struct.pack("<I", _RSA_PKCS1_SHA256)
    signature = old.private_key.sign(second, PKCS1v15(), hashes.SHA256())
    return (
        struct.pack("<I", _VERSION)
        + _prefixed(_node(first, b""))
        + _prefixed(_node(second, signature))
    )


def read_lineage(data: bytes) -> tuple[str, ...]:
    """Check a proof of rotation.

    Args:
        data: The attribute's value.

    Returns:
        SHA-256 of the certificates, oldest first, 64 hexadecimal digits each.

    Raises:
        FormatError: If it is malformed, or a signature does not hold.
    """
    cursor = Cursor(data)
    version = cursor.number()
    if version != _VERSION:
        raise FormatError(f"a proof of rotation of version {version}")
    found: list[str] = []
    last, expected = None, 0
    while not cursor.at_end:
        node = Cursor(cursor.part())
        signed = node.part()
        node.number()
        following = node.number()
        signature = node.part()
        node.finish("a certificate of the lineage")
        inner = Cursor(signed)
        encoded, algorithm = inner.part(), inner.number()
        inner.finish("a certificate of the lineage")
        if last is not None:
            if algorithm != expected or algorithm not in ALGORITHMS:
                raise FormatError("a proof of rotation with an unknown algorithm")
            hash_name, kind, padding = ALGORITHMS[algorithm]
            if not signature_holds(
                last.public_key(),
                signature,
                signed,
                hash_name=hash_name,
                kind=kind,
                padding=padding,
            ):
                raise FormatError("a signature of the proof of rotation does not hold")
        last, expected = load_certificate(encoded), following
        found.append(hashlib.sha256(encoded).hexdigest())
    if len(set(found)) != len(found) or not found:
        raise FormatError("a proof of rotation that names no certificate, or one twice")
    return tuple(found)


def _node(signed: bytes, signature: bytes) -> bytes:
    numbers = struct.pack("<II", _CAPABILITIES, _RSA_PKCS1_SHA256)
    return _prefixed(signed) + numbers + _prefixed(signature)


def _prefixed(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content
