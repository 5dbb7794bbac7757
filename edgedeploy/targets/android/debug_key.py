"""Makes the key that signs where no other is given."""

from __future__ import annotations

import datetime
import os
import stat
import tempfile
from pathlib import Path

from edgedeploy.errors import SigningError

# Android's own debug keystores have this password; the file mode is what protects.
DEBUG_PASSWORD = "android"  # noqa: S105
KEY_BITS = 2048
_DEBUG_NAME = "edgedeploy debug"
_VALID_FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
_VALID_TO = datetime.datetime(2120, 1, 1, tzinfo=datetime.timezone.utc)


def make_debug_keystore() -> bytes:
    """Make an RSA key with a certificate of its own, as PKCS#12."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        pkcs12,
    )
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _DEBUG_NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_VALID_FROM)
        .not_valid_after(_VALID_TO)
        .sign(key, hashes.SHA256())
    )
    return pkcs12.serialize_key_and_certificates(
        b"debug",
        key,
        certificate,
        None,
        BestAvailableEncryption(DEBUG_PASSWORD.encode()),
    )


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only this user may read; it appears whole or not at all.

    Args:
        path: The file.
        data: Its bytes.

    Raises:
        OSError: If the folder does not take it.
    """
    # mkstemp creates the file with mode 0600: there is no moment with another.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_readable_by_others(path: Path) -> None:
    """Insist on a file that only this user may read.

    Raises:
        SigningError: If others may.
        OSError: If it cannot be looked at.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SigningError(
            f"{path}: other users have access to this private key (mode {mode:04o}, "
            f"expected 0600); delete it to get a new one, or keep it with "
            f"'chmod 600 {path}'"
        )
