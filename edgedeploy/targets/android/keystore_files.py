"""Loads the key that is wanted from a PKCS#12 file or a Java keystore."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from edgedeploy.errors import FormatError, InputError, SigningError
from edgedeploy.formats import jks
from edgedeploy.formats.apksig import SigningKey
from edgedeploy.formats.pkcs12 import KeyBag, read_key_bags
from edgedeploy.targets.android.debug_key import KEY_BITS

PASSWORD_VARIABLE = "EDGEDEPLOY_KEYSTORE_PASSWORD"  # noqa: S105 - a variable's name


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWish:
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


def load_java(data: bytes, password: str, path: Path, wish: KeyWish) -> SigningKey:
    """Load a key of a Java keystore (JKS).

    Args:
        data: The file's bytes.
        password: Of the keystore.
        path: What errors name.
        wish: Which key.

    Raises:
        InputError: If it is malformed, a password is wrong, or it is not said which of
            its keys is meant.
        SigningError: If the key cannot be used.
    """
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


def load_pkcs12(data: bytes, password: str, path: Path, wish: KeyWish) -> SigningKey:
    """Load a key of a PKCS#12 file.

    Args:
        data: As in `load_java`.
        password: As in `load_java`.
        path: As in `load_java`.
        wish: As in `load_java`.

    Raises:
        InputError: As in `load_java`.
        SigningError: As in `load_java`.
    """
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


def _decrypt(bag: KeyBag, password: str, path: Path, wish: KeyWish) -> Any:
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


def _choose(found: tuple[_Entry, ...], path: Path, wish: KeyWish) -> _Entry:
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
