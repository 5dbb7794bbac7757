"""X.509 certificates, public keys, and whether a signature holds."""

from __future__ import annotations

import warnings
from typing import Any

from edgedeploy.errors import FormatError

# Signature algorithm ids: (hash, key, padding). The verity ones (0x0421, 0x0423,
# 0x0425) digest a hash tree instead of chunks and are not checked here.
ALGORITHMS = {
    0x0101: ("sha256", "RSA", "PSS"),
    0x0102: ("sha512", "RSA", "PSS"),
    0x0103: ("sha256", "RSA", "PKCS1v15"),
    0x0104: ("sha512", "RSA", "PKCS1v15"),
    0x0201: ("sha256", "EC", ""),
    0x0202: ("sha512", "EC", ""),
    0x0301: ("sha256", "DSA", ""),
}


def load_certificate(der: bytes) -> Any:
    """Parse an X.509 certificate.

    Args:
        der: The certificate, DER encoded.

    Returns:
        A `cryptography.x509.Certificate`.

    Raises:
        FormatError: If it cannot be parsed or its key is of an unknown kind.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.utils import CryptographyDeprecationWarning

    try:
        with warnings.catch_warnings():
            # About odd serial numbers, which other people's certificates may have.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            certificate = x509.load_der_x509_certificate(der)
        # Parsed lazily: what is malformed shall fail here.
        certificate.public_key()
        certificate.issuer.public_bytes()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise FormatError(f"a certificate cannot be read: {error}") from error
    return certificate


def public_key_der(certificate: Any) -> bytes:
    """A certificate's public key as SubjectPublicKeyInfo.

    Args:
        certificate: A `cryptography.x509.Certificate`.

    Returns:
        DER bytes.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der: bytes = certificate.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return der


def signature_holds(
    public_key: Any,
    signature: bytes,
    message: bytes,
    *,
    hash_name: str,
    kind: str,
    padding: str = "",
) -> bool:
    """Whether a signature is the key's over the message.

    Args:
        public_key: A public key of the `cryptography` package.
        signature: The signature's bytes.
        message: What was signed.
        hash_name: "sha256", "sha384" or "sha512".
        kind: "RSA", "EC" or "DSA"; a key of another kind never holds.
        padding: "PKCS1v15" or "PSS", for RSA.

    Returns:
        True only if it was verified.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
    from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding

    algorithms: dict[str, Any] = {
        "sha256": hashes.SHA256,
        "sha384": hashes.SHA384,
        "sha512": hashes.SHA512,
    }
    algorithm = algorithms[hash_name]()
    try:
        if kind == "RSA" and isinstance(public_key, rsa.RSAPublicKey):
            scheme: Any = rsa_padding.PKCS1v15()
            if padding == "PSS":
                mask = rsa_padding.MGF1(algorithm)
                scheme = rsa_padding.PSS(mask, algorithm.digest_size)
            public_key.verify(signature, message, scheme, algorithm)
        elif kind == "EC" and isinstance(public_key, ec.EllipticCurvePublicKey):
            public_key.verify(signature, message, ec.ECDSA(algorithm))
        elif kind == "DSA" and isinstance(public_key, dsa.DSAPublicKey):
            public_key.verify(signature, message, algorithm)
        else:
            return False
    except (InvalidSignature, ValueError):
        return False
    return True
