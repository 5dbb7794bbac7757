"""The key that signs Android packages: a debug key of one's own, or a given one."""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from edgedeploy.errors import FormatError, InputError, SigningError
from edgedeploy.formats import jks
from edgedeploy.formats.apksig import SigningKey
from edgedeploy.formats.apksig.der import SEQUENCE, read_der
from edgedeploy.formats.pkcs12 import KeyBag, read_key_bags
from edgedeploy.targets.android.debug_key import (
    DEBUG_PASSWORD,
    KEY_BITS,
    make_debug_keystore,
    refuse_readable_by_others,
    write_private,
)

KEYS_VARIABLE = "EDGEDEPLOY_KEYS"
PASSWORD_VARIABLE = "EDGEDEPLOY_KEYSTORE_PASSWORD"  # noqa: S105 - a variable's name
OLD_PASSWORD_VARIABLE = "EDGEDEPLOY_OLD_KEYSTORE_PASSWORD"  # noqa: S105
KEY_PASSWORD_VARIABLE = "EDGEDEPLOY_KEY_PASSWORD"  # noqa: S105 - a variable's name
ALIAS_VARIABLE = "EDGEDEPLOY_KEY_ALIAS"
OLD_KEY_PASSWORD_VARIABLE = "EDGEDEPLOY_OLD_KEY_PASSWORD"  # noqa: S105
OLD_ALIAS_VARIABLE = "EDGEDEPLOY_OLD_KEY_ALIAS"
DEBUG_KEY_FILE = "debug.p12"
_LOCK_SECONDS = 60
_MAX_KEYSTORE_BYTES = 1 << 20
_JCEKS_MAGIC = b"\xce\xce\xce\xce"


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
                    write_private(path, make_debug_keystore())
        refuse_readable_by_others(path)
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
        return _signing_key(*_parse_pkcs12(data, DEBUG_PASSWORD, path)[:2], path)
    except InputError as error:
        raise SigningError(
            f"{path}: the debug key is damaged; delete it to get a new one (packages "
            "signed with the old one must then be uninstalled first)"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """Which key of a keystore is wanted.

    Attributes:
        alias: Its name; None for the only one.
        password: Its own; None for the keystore's.
        alias_variable: What names it.
        password_variable: What holds its password.
    """

    alias: str | None
    password: str | None = field(repr=False)
    alias_variable: str
    password_variable: str


def load_keystore(path: Path, password: str | None = None) -> SigningKey:
    """Load a signing key from a PKCS#12 file or a Java keystore (JKS).

    Of several keys, EDGEDEPLOY_KEY_ALIAS names one; EDGEDEPLOY_KEY_PASSWORD is the
    key's own password, where it has another.

    Args:
        path: The keystore.
        password: For callers that have it; otherwise it is taken from the variable
            EDGEDEPLOY_KEYSTORE_PASSWORD, or asked for at a terminal.

    Returns:
        The key and its certificate.

    Raises:
        InputError: If the file cannot be read, is no keystore, the password is
            missing or wrong, or it is not said which of its keys is meant.
        SigningError: If the key is not RSA of 2048 bits or more, or has no
            certificate.
    """
    wish = _Wish(
        alias=os.environ.get(ALIAS_VARIABLE) or None,
        password=os.environ.get(KEY_PASSWORD_VARIABLE),
        alias_variable=ALIAS_VARIABLE,
        password_variable=KEY_PASSWORD_VARIABLE,
    )
    return _load(path, password, wish)


def load_rotated_keystore(path: Path, old: Path) -> SigningKey:
    """Load a key that follows another one.

    Args:
        path: The keystore of the key that signs from now on.
        old: The keystore of the key that signed until now; password and alias come
            from EDGEDEPLOY_OLD_KEYSTORE_PASSWORD, EDGEDEPLOY_OLD_KEY_PASSWORD and
            EDGEDEPLOY_OLD_KEY_ALIAS, or are the new one's.

    Returns:
        The new key, with the old one as its `previous`.

    Raises:
        InputError: As `load_keystore`, or if both hold the same key.
        SigningError: As `load_keystore`.
    """
    key = load_keystore(path)
    wish = _Wish(
        alias=os.environ.get(OLD_ALIAS_VARIABLE, os.environ.get(ALIAS_VARIABLE))
        or None,
        password=os.environ.get(
            OLD_KEY_PASSWORD_VARIABLE, os.environ.get(KEY_PASSWORD_VARIABLE)
        ),
        alias_variable=OLD_ALIAS_VARIABLE,
        password_variable=OLD_KEY_PASSWORD_VARIABLE,
    )
    previous = _load(old, os.environ.get(OLD_PASSWORD_VARIABLE), wish)
    if previous.certificate_sha256 == key.certificate_sha256:
        raise InputError(f"{old}: holds the same key as {path}; nothing is rotated")
    return replace(key, previous=previous)


def _load(path: Path, password: str | None, wish: _Wish) -> SigningKey:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_KEYSTORE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    _check_container(data, path)
    if password is None:
        password = _ask_password(path)
    if data.startswith(jks.MAGIC):
        return _load_java(data, password, path, wish)
    return _load_pkcs12(data, password, path, wish)


def _load_java(data: bytes, password: str, path: Path, wish: _Wish) -> SigningKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    from edgedeploy.formats.apksig.certificate import load_certificate

    try:
        entry = _choose(jks.read_jks(data, password), path, wish)
        own = password if wish.password is None else wish.password
        key = load_der_private_key(jks.recover_key(entry, own), None)
        certificate = load_certificate(entry.certificates[0])
    except jks.WrongPassword as error:
        raise InputError(
            f"{path}: {error}; check {PASSWORD_VARIABLE} and {wish.password_variable}"
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


def _load_pkcs12(data: bytes, password: str, path: Path, wish: _Wish) -> SigningKey:
    key, certificate, others = _parse_pkcs12(data, password.encode(), path)
    try:
        bags = read_key_bags(data)
    except FormatError as error:
        raise InputError(f"{path}: a damaged keystore: {error}") from error
    if not bags:
        if key is not None and (wish.alias or wish.password is not None):
            raise InputError(
                f"{path}: its keys' aliases are encrypted, so {wish.alias_variable} "
                f"and {wish.password_variable} cannot be followed; unset them if it "
                "holds one key, or write it anew with 'keytool -importkeystore'"
            )
        return _signing_key(key, certificate, path)
    bag = _choose(bags, path, wish)
    if len(bags) > 1 or wish.password is not None:
        # OpenSSL gives the first key alone, but the certificates of all.
        key = _decrypt(bag, password, path, wish)
        certificate = next(
            (one for one in (certificate, *others) if _belongs(one, key)), None
        )
    return _signing_key(key, certificate, path)


def _decrypt(bag: KeyBag, password: str, path: Path, wish: _Wish) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    own = (password if wish.password is None else wish.password).encode()
    try:
        return load_der_private_key(bag.content, own if bag.encrypted else None)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}: wrong password of the key {bag.alias!r}; keys of a PKCS#12 file "
            f"mostly have the file's own: unset {wish.password_variable}, or correct it"
        ) from error
    except UnsupportedAlgorithm as error:
        raise SigningError(
            f"{path}: the key {bag.alias!r} is encrypted in a way that is unsupported"
        ) from error


def _belongs(certificate: Any, key: Any) -> bool:
    return certificate is not None and certificate.public_key() == key.public_key()


_Entry = TypeVar("_Entry", jks.KeyEntry, KeyBag)


def _choose(found: tuple[_Entry, ...], path: Path, wish: _Wish) -> _Entry:
    named = [one for one in found if wish.alias in (None, one.alias)]
    if not named and wish.alias:
        # Java's keystores do not tell capitals from small letters.
        folded = wish.alias.casefold()
        named = [one for one in found if one.alias.casefold() == folded]
    if len(named) != 1:
        aliases = ", ".join(sorted(one.alias for one in found)) or "none"
        asked = f"; {wish.alias_variable} is {wish.alias!r}" if wish.alias else ""
        raise InputError(
            f"{path}: its keys are {aliases}{asked}; name one with "
            f"{wish.alias_variable}"
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


def _parse_pkcs12(
    data: bytes, password: bytes, path: Path
) -> tuple[Any, Any, list[Any]]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import pkcs12

    try:
        return pkcs12.load_key_and_certificates(data, password)
    except (ValueError, TypeError) as error:
        # The library's message may quote what it read, so it is not repeated.
        raise InputError(
            f"{path}: wrong password, or a damaged keystore; check {PASSWORD_VARIABLE}"
        ) from error
    except UnsupportedAlgorithm as error:
        raise SigningError(f"{path}: encrypted in a way that is unsupported") from error


def _signing_key(key: Any, certificate: Any, path: Path) -> SigningKey:
    """Insist on a key whose signatures are the same on every build."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    if key is None or certificate is None:
        missing = "private key" if key is None else "certificate"
        raise SigningError(f"{path}: the keystore has no {missing}; export it with one")
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < KEY_BITS:
        kind = type(key).__name__.removeprefix("_").removesuffix("PrivateKey")
        size = getattr(key, "key_size", "?")
        raise SigningError(
            f"{path}: expected an RSA key of {KEY_BITS} bits or more; received {kind} "
            f"of {size} bits. Only RSA signatures are the same on every build; make "
            "one with 'keytool -genkeypair -keyalg RSA -keysize 2048'"
        )
    if certificate.public_key() != key.public_key():
        raise SigningError(f"{path}: the certificate belongs to another key")
    return SigningKey(private_key=key, certificate=certificate)
