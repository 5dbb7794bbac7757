"""The key that signs a package."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """An RSA key with its certificate.

    RSA PKCS#1 v1.5 signatures are a function of key and message, so the same package
    gets the same bytes; ECDSA's are not.

    Attributes:
        private_key: At least 2048 bits; not part of the representation.
        certificate: For the key's public half.
        previous: The key that it follows, which still signs for Android below 9; None
            where it was never rotated.
    """

    private_key: RSAPrivateKey = field(repr=False)
    certificate: Certificate
    previous: SigningKey | None = None

    @property
    def certificate_der(self) -> bytes:
        """The certificate, DER encoded."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return self.certificate.public_bytes(Encoding.DER)

    @property
    def certificate_sha256(self) -> str:
        """Digest of the DER certificate, 64 hexadecimal digits; what stores show."""
        return hashlib.sha256(self.certificate_der).hexdigest()
