"""The key that signs Android packages: a debug key of one's own, or a given one."""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import replace
from pathlib import Path

from edgedeploy.errors import FormatError, InputError, SigningError
from edgedeploy.formats import jks
from edgedeploy.formats.apksig import SigningKey
from edgedeploy.formats.apksig.der import SEQUENCE, read_der
from edgedeploy.targets.android.debug_key import (
    DEBUG_PASSWORD,
    make_debug_keystore,
    refuse_readable_by_others,
    write_private,
)
from edgedeploy.targets.android.keystore_files import (
    PASSWORD_VARIABLE,
    KeyWish,
    load_java,
    load_pkcs12,
)

KEYS_VARIABLE = "EDGEDEPLOY_KEYS"
OLD_PASSWORD_VARIABLE = "EDGEDEPLOY_OLD_KEYSTORE_PASSWORD"  # noqa: S105
KEY_PASSWORD_VARIABLE = "EDGEDEPLOY_KEY_PASSWORD"  # noqa: S105 - a variable's name
ALIAS_VARIABLE = "EDGEDEPLOY_KEY_ALIAS"
OLD_KEY_PASSWORD_VARIABLE = "EDGEDEPLOY_OLD_KEY_PASSWORD"  # noqa: S105
OLD_ALIAS_VARIABLE = "EDGEDEPLOY_OLD_KEY_ALIAS"
DEBUG_KEY_FILE = "debug.p12"
# The variables are about the user's own keystores.
_ONLY_KEY = KeyWish(
    alias=None,
    password=None,
    alias_variable=ALIAS_VARIABLE,
    password_variable=KEY_PASSWORD_VARIABLE,
)
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
        return load_pkcs12(data, DEBUG_PASSWORD, path, _ONLY_KEY)
    except InputError as error:
        raise SigningError(
            f"{path}: the debug key is damaged; delete it to get a new one (packages "
            "signed with the old one must then be uninstalled first)"
        ) from error


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
    wish = KeyWish(
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
    wish = KeyWish(
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


def _load(path: Path, password: str | None, wish: KeyWish) -> SigningKey:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_KEYSTORE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    _check_container(data, path)
    if password is None:
        password = _ask_password(path)
    if data.startswith(jks.MAGIC):
        return load_java(data, password, path, wish)
    return load_pkcs12(data, password, path, wish)


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
