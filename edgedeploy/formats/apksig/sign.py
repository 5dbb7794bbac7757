"""Signs an APK with the schemes v1, v2 and v3 (RSA PKCS#1 v1.5, SHA-256).

Sources: the JAR File Specification, "Signed JAR File"; source.android.com, "APK
Signature Scheme v2" and "v3" (algorithm 0x0103, block ids, stripping protection).
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import IO, TYPE_CHECKING

from edgedeploy.formats.apksig.lineage import ATTRIBUTE, write_lineage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedeploy.formats.apksig.key import SigningKey

_CHUNK_BYTES = 1 << 20
_RSA_PKCS1_SHA256 = 0x0103
_V2_BLOCK, _V3_BLOCK, _PADDING_BLOCK = 0x7109871A, 0xF05368C0, 0x42726577
_STRIPPING_PROTECTION = 0xBEEFF00D
_V3_MIN_SDK, _V3_MAX_SDK = 28, 0x7FFFFFFF
_MAGIC = b"APK Sig Block 42"
# The directory after the block stays page-aligned, as apksig leaves it.
_BLOCK_ALIGNMENT = 4096
_LINE_BYTES = 70


def sign_v1(
    digests: Iterable[tuple[str, bytes]],
    key: SigningKey,
    *,
    promised_schemes: str = "2, 3",
) -> tuple[tuple[str, bytes], ...]:
    """Make the JAR signature that Android below 7.0 and Play's upload read.

    Args:
        digests: (entry name, SHA-256 of its uncompressed content) for every entry.
        key: The signing key.
        promised_schemes: Which other schemes sign the file too; "" for none, as in
            app bundles.

    Returns:
        (name, content) of the three META-INF files to add to the archive.
    """
    sections = [
        (name, _attribute("Name", name) + _digest_attribute("", digest) + b"\r\n")
        for name, digest in sorted(digests)
    ]
    head = _attribute("Manifest-Version", "1.0") + _attribute(
        "Created-By", "edgedeploy"
    )
    manifest = head + b"\r\n" + b"".join(section for _, section in sections)
    signature_file = (
        _attribute("Signature-Version", "1.0")
        + _attribute("Created-By", "edgedeploy")
        + _digest_attribute("-Manifest", hashlib.sha256(manifest).digest())
        # Tells a verifier which other schemes must be there, so that nobody can
        # strip them and fall back to this one.
        + (
            _attribute("X-Android-APK-Signed", promised_schemes)
            if promised_schemes
            else b""
        )
        + b"\r\n"
        + b"".join(
            _attribute("Name", name)
            + _digest_attribute("", hashlib.sha256(section).digest())
            + b"\r\n"
            for name, section in sections
        )
    )
    return (
        ("META-INF/CERT.SF", signature_file),
        ("META-INF/CERT.RSA", _sign_pkcs7(signature_file, key)),
        ("META-INF/MANIFEST.MF", manifest),
    )


def signing_block(
    stream: IO[bytes],
    entries_bytes: int,
    central_directory: bytes,
    end_record: bytes,
    key: SigningKey,
) -> bytes:
    """Make the APK Signing Block with a v2 and a v3 signature.

    Args:
        stream: The archive's entries, seekable, readable from position 0.
        entries_bytes: Where the entries end and the block will begin.
        central_directory: What will follow the block.
        end_record: What will follow the directory, with the directory's offset still
            at `entries_bytes`, as the schemes demand for the digest.
        key: The signing key; v2 is signed by the one it follows, if there is one.

    Returns:
        The block, a multiple of 4096 bytes.
    """
    digest = _content_digest(stream, entries_bytes, central_directory, end_record)
    protection = _prefixed(struct.pack("<II", _STRIPPING_PROTECTION, 3))
    old = key.previous
    signer2 = _signer(old or key, digest, sdk_range=b"", attributes=protection)
    lineage = struct.pack("<I", ATTRIBUTE) + write_lineage(old, key) if old else b""
    sdk_range = struct.pack("<II", _V3_MIN_SDK, _V3_MAX_SDK)
    signer3 = _signer(
        key, digest, sdk_range=sdk_range, attributes=_prefixed(lineage) if old else b""
    )
    pairs = _pair(_V2_BLOCK, _prefixed(_prefixed(signer2)))
    pairs += _pair(_V3_BLOCK, _prefixed(_prefixed(signer3)))
    # Two sizes of 8 bytes, the magic, and 12 bytes for the padding's own header.
    padding = -(len(pairs) + 32 + 12) % _BLOCK_ALIGNMENT
    pairs += _pair(_PADDING_BLOCK, bytes(padding))
    size = struct.pack("<Q", len(pairs) + 24)
    return size + pairs + size + _MAGIC


def _attribute(name: str, value: str) -> bytes:
    # The JAR specification limits lines to 72 bytes with their end, and bytes of one
    # character may be parted; continuations begin with a blank.
    line = f"{name}: {value}".encode()
    starts = range(_LINE_BYTES, len(line), _LINE_BYTES - 1)
    continuations = (b" " + line[at : at + _LINE_BYTES - 1] for at in starts)
    parts = (line[:_LINE_BYTES], *continuations)
    return b"\r\n".join(parts) + b"\r\n"


def _digest_attribute(suffix: str, digest: bytes) -> bytes:
    return _attribute(f"SHA-256-Digest{suffix}", base64.b64encode(digest).decode())


def _sign_pkcs7(content: bytes, key: SigningKey) -> bytes:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.serialization import pkcs7

    # Signed attributes would hold the time of signing.
    return (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(content)
        .add_signer(key.certificate, key.private_key, hashes.SHA256())
        .sign(
            serialization.Encoding.DER,
            [
                pkcs7.PKCS7Options.DetachedSignature,
                pkcs7.PKCS7Options.Binary,
                pkcs7.PKCS7Options.NoAttributes,
            ],
        )
    )


def _content_digest(
    stream: IO[bytes], entries_bytes: int, directory: bytes, end_record: bytes
) -> bytes:
    digests = []
    stream.seek(0)
    for start in range(0, entries_bytes, _CHUNK_BYTES):
        chunk = stream.read(min(_CHUNK_BYTES, entries_bytes - start))
        digests.append(_chunk_digest(chunk))
    for section in (directory, end_record):
        digests += [
            _chunk_digest(section[start : start + _CHUNK_BYTES])
            for start in range(0, len(section), _CHUNK_BYTES)
        ]
    top = b"\x5a" + struct.pack("<I", len(digests)) + b"".join(digests)
    return hashlib.sha256(top).digest()


def _chunk_digest(chunk: bytes) -> bytes:
    digest = hashlib.sha256(b"\xa5" + struct.pack("<I", len(chunk)))
    digest.update(chunk)
    return digest.digest()


def _signer(
    key: SigningKey, digest: bytes, *, sdk_range: bytes, attributes: bytes
) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    signed_data = (
        _prefixed(_algorithm_pair(digest))
        + _prefixed(_prefixed(key.certificate_der))
        + sdk_range
        + _prefixed(attributes)
    )
    signature = key.private_key.sign(signed_data, PKCS1v15(), hashes.SHA256())
    public_key = key.certificate.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return (
        _prefixed(signed_data)
        + sdk_range
        + _prefixed(_algorithm_pair(signature))
        + _prefixed(public_key)
    )


def _algorithm_pair(value: bytes) -> bytes:
    return _prefixed(struct.pack("<I", _RSA_PKCS1_SHA256) + _prefixed(value))


def _prefixed(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


def _pair(identifier: int, value: bytes) -> bytes:
    return struct.pack("<QI", 4 + len(value), identifier) + value
