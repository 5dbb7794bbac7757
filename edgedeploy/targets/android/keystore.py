"""The key that signs Android packages: a debug key of one's own, or a given one."""

from __future__ import annotations

import datetime
import getpass
import os
import stat
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgedeploy.errors import FormatError, InputError, SigningError
from edgedeploy.formats import jks
from edgedeploy.formats.apksig import SigningKey
from edgedeploy.formats.apksig.der import SEQUENCE, read_der

KEYS_VARIABLE = "EDGEDEPLOY_KEYS"
PASSWORD_VARIABLE = "EDGEDEPLOY_KEYSTORE_PASSWORD"  # noqa: S105 - a variable's name
OLD_PASSWORD_VARIABLE = "EDGEDEPLOY_OLD_KEYSTORE_PASSWORD"  # noqa: S105
KEY_PASSWORD_VARIABLE = "EDGEDEPLOY_KEY_PASSWORD"  # noqa: S105 - a variable's name
ALIAS_VARIABLE = "EDGEDEPLOY_KEY_ALIAS"
DEBUG_KEY_FILE = "debug.p12"
# Android's own debug keystores have this password; the file mode is what protects.
_DEBUG_PASSWORD = b"android"
_DEBUG_NAME = "edgedeploy debug"
_KEY_BITS = 2048
_LOCK_SECONDS = 60
_MAX_KEYSTORE_BYTES = 1 << 20
_JCEKS_MAGIC = b"\xce\xce\xce\xce"
_VALID_FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
_VALID_TO = datetime.datetime(2120, 1, 1, tzinfo=datetime.timezone.utc)


def keys_folder() -> Path:
    """Where the debug key lives: EDGEDEPLOY_KEYS, or the user's configuration."""
    chosen = os.environ.get(KEYS_VARIABLE)
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_config_dir("edgedeploy"))


def load_debug_key(folder: Path | None = None) -> SigningKey:
    """Load this user's debug key; make it the first time.

    Packages signed with the same key install over each other, so the key is made
    once, also when several processes ask at the same time.

    Args:
        folder: Where debug.p12 is or shall be; by default `keys_folder()`.

    Returns:
        An RSA key with a certificate named "edgedeploy debug".

    Raises:
        SigningError: If the folder cannot be used, the file is damaged, or other
            users may read it.
    """
    import filelock

    folder = folder or keys_folder()
    path = folder / DEBUG_KEY_FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            with filelock.FileLock(folder / ".debug.lock", timeout=_LOCK_SECONDS):
                if not path.exists():
                    _write_private(path, _make_debug_keystore())
        _refuse_readable_by_others(path)
        data = path.read_bytes()
    except filelock.Timeout as error:
        raise SigningError(
            f"{path}: another process has been making the key for {_LOCK_SECONDS} s; "
            f"end it, or set {KEYS_VARIABLE} to another folder"
        ) from error
    except OSError as error:
        raise SigningError(
            f"{path}: {error.strerror or error}; set {KEYS_VARIABLE} to a folder that "
            "can be written"
        ) from error
    try:
        return _parse_keystore(data, _DEBUG_PASSWORD, path)
    except InputError as error:
        raise SigningError(
            f"{path}: the debug key is damaged; delete it to get a new one (packages "
            "signed with the old one must then be uninstalled first)"
        ) from error


def load_keystore(path: Path, password: str | None = None) -> SigningKey:
    """Load a signing key from a PKCS#12 file or a Java keystore (JKS).

    Of a Java keystore with several keys, EDGEDEPLOY_KEY_ALIAS names one;
    EDGEDEPLOY_KEY_PASSWORD is the key's own password, where it has another.

    Args:
        path: The keystore.
        password: For callers that have it; otherwise it is taken from the variable
            EDGEDEPLOY_KEYSTORE_PASSWORD, or asked for at a terminal.

    Returns:
        The key and its certificate.

    Raises:
        InputError: If the file cannot be read, is no keystore, or the password is
            missing or wrong.
        SigningError: If the key is not RSA of 2048 bits or more, or has no
            certificate.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_KEYSTORE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    _check_container(data, path)
    if password is None:
        password = _ask_password(path)
    if data.startswith(jks.MAGIC):
        return _parse_java_keystore(data, password, path)
    return _parse_keystore(data, password.encode(), path)


def load_rotated_keystore(path: Path, old: Path) -> SigningKey:
    """Load a key that follows another one.

    Args:
        path: The keystore of the key that signs from now on.
        old: The keystore of the key that signed until now; its password comes from
            EDGEDEPLOY_OLD_KEYSTORE_PASSWORD, or is the new one's.

    Returns:
        The new key, with the old one as its `previous`.

    Raises:
        InputError: As `load_keystore`, or if both hold the same key.
        SigningError: As `load_keystore`.
    """
    key = load_keystore(path)
    previous = load_keystore(old, os.environ.get(OLD_PASSWORD_VARIABLE))
    if previous.certificate_sha256 == key.certificate_sha256:
        raise InputError(f"{old}: holds the same key as {path}; nothing is rotated")
    return replace(key, previous=previous)


def _parse_java_keystore(data: bytes, password: str, path: Path) -> SigningKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    from edgedeploy.formats.apksig.certificate import load_certificate

    try:
        entry = _choose_entry(jks.read_jks(data, password), path)
        own = os.environ.get(KEY_PASSWORD_VARIABLE, password)
        key = load_der_private_key(jks.recover_key(entry, own), None)
        certificate = load_certificate(entry.certificates[0])
    except jks.WrongPassword as error:
        raise InputError(
            f"{path}: {error}; check {PASSWORD_VARIABLE} and {KEY_PASSWORD_VARIABLE}"
        ) from error
    except (
        FormatError,
        IndexError,
        TypeError,
        ValueError,
        UnsupportedAlgorithm,
    ) as error:
        raise InputError(
            f"{path}: the Java keystore cannot be used ({error}); convert it with "
            "'keytool -importkeystore -deststoretype PKCS12'"
        ) from error
    return _signing_key(key, certificate, path)


def _choose_entry(found: tuple[jks.KeyEntry, ...], path: Path) -> jks.KeyEntry:
    wanted = os.environ.get(ALIAS_VARIABLE)
    named = [one for one in found if wanted in (None, one.alias)]
    if len(named) != 1:
        aliases = ", ".join(sorted(one.alias for one in found)) or "none"
        raise InputError(
            f"{path}: its keys are {aliases}; name one with {ALIAS_VARIABLE}"
        )
    return named[0]


def _check_container(data: bytes, path: Path) -> None:
    if data.startswith(_JCEKS_MAGIC):
        raise InputError(
            f"{path}: a Java keystore of the kind JCEKS; convert it with 'keytool "
            "-importkeystore -deststoretype PKCS12' first"
        )
    if len(data) > _MAX_KEYSTORE_BYTES:
        raise InputError(f"{path}: over 1 MiB; expected a keystore (.p12, .jks)")
    if data.startswith(jks.MAGIC):
        return
    try:
        read_der(data).expect(SEQUENCE)
    except FormatError as error:
        raise InputError(
            f"{path}: expected a PKCS#12 keystore (.p12, .pfx) or a .jks; {error}"
        ) from error


def _ask_password(path: Path) -> str:
    password = os.environ.get(PASSWORD_VARIABLE)
    if password is not None:
        return password
    if not sys.stdin.isatty():
        raise InputError(
            f"{path}: its password is needed; set {PASSWORD_VARIABLE}, or run this in "
            "a terminal to be asked"
        )
    try:
        return getpass.getpass(f"Password of {path}: ")
    except (EOFError, KeyboardInterrupt) as error:
        raise InputError(f"{path}: no password was given") from error


def _parse_keystore(data: bytes, password: bytes, path: Path) -> SigningKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import pkcs12

    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(data, password)
    except (ValueError, TypeError) as error:
        # The library's message may quote what it read, so it is not repeated.
        raise InputError(
            f"{path}: wrong password, or a damaged keystore; check {PASSWORD_VARIABLE}"
        ) from error
    except UnsupportedAlgorithm as error:
        raise SigningError(f"{path}: encrypted in a way that is unsupported") from error
    return _signing_key(key, certificate, path)


def _signing_key(key: Any, certificate: Any, path: Path) -> SigningKey:
    """Insist on a key whose signatures are the same on every build."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    if key is None or certificate is None:
        missing = "private key" if key is None else "certificate"
        raise SigningError(f"{path}: the keystore has no {missing}; export it with one")
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _KEY_BITS:
        kind = type(key).__name__.removeprefix("_").removesuffix("PrivateKey")
        size = getattr(key, "key_size", "?")
        raise SigningError(
            f"{path}: expected an RSA key of {_KEY_BITS} bits or more; received {kind} "
            f"of {size} bits. Only RSA signatures are the same on every build; make "
            "one with 'keytool -genkeypair -keyalg RSA -keysize 2048'"
        )
    if certificate.public_key() != key.public_key():
        raise SigningError(f"{path}: the certificate belongs to another key")
    return SigningKey(private_key=key, certificate=certificate)


def _make_debug_keystore() -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        pkcs12,
    )
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
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
        b"debug", key, certificate, None, BestAvailableEncryption(_DEBUG_PASSWORD)
    )


def _write_private(path: Path, data: bytes) -> None:
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


def _refuse_readable_by_others(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SigningError(
            f"{path}: other users have access to this private key (mode {mode:04o}, "
            f"expected 0600); delete it to get a new one, or keep it with "
            f"'chmod 600 {path}'"
        )
