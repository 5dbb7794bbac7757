"""Reads Java keystores (JKS), which older Android projects sign with.

Layout: OpenJDK's sun.security.provider.JavaKeyStore, version 2 (and 1): big-endian,
a magic number, entries, and at the end SHA-1 over password, a phrase and the content.
Private keys: sun.security.provider.KeyProtector, a stream of chained SHA-1 digests.
Written here, since pyjks has had no release since 2020.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass

from edgedeploy.errors import FormatError
from edgedeploy.formats.apksig.der import (
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    read_der,
)

MAGIC = b"\xfe\xed\xfe\xed"
_PRIVATE_KEY, _CERTIFICATE = 1, 2
_DIGEST_BYTES = 20
_PHRASE = b"Mighty Aphrodite"
# 1.3.6.1.4.1.42.2.17.1.1, Sun's key protection, without tag and length.
_PROTECTED = bytes.fromhex("2b060104012a02110101")
_MAX_ENTRIES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEntry:
    """A private key of a keystore.

    Attributes:
        alias: Its name.
        protected: The encrypted key, DER encoded.
        certificates: DER encoded, the key's own first.
    """

    alias: str
    protected: bytes
    certificates: tuple[bytes, ...]


class WrongPassword(FormatError):  # noqa: N818  (named as the state it reports)
    """The password is not the keystore's or the key's."""


def read_jks(data: bytes, password: str) -> tuple[KeyEntry, ...]:
    """Read the private keys' entries, after checking the whole file.

    Args:
        data: The file's bytes.
        password: Of the keystore.

    Returns:
        The entries in the order of the file.

    Raises:
        WrongPassword: If the digest does not fit: another password, or damage.
        FormatError: If the file is malformed.
    """
    if not data.startswith(MAGIC) or len(data) < 12 + _DIGEST_BYTES:
        raise FormatError("no Java keystore (JKS), or a truncated one")
    content, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    secret = password.encode("utf-16-be", "surrogatepass")
    # The format knows no other digest.
    expected = hashlib.sha1(secret + _PHRASE + content, usedforsecurity=False)
    if not hmac.compare_digest(expected.digest(), digest):
        raise WrongPassword("wrong password, or a damaged keystore")
    reader = _Reader(content[4:])
    version, count = reader.number("I"), reader.number("I")
    if version not in (1, 2) or count > _MAX_ENTRIES:
        raise FormatError(f"a Java keystore of version {version} with {count} entries")
    found = []
    for _ in range(count):
        kind, alias = reader.number("I"), reader.text()
        reader.number("Q")
        if kind == _PRIVATE_KEY:
            protected = reader.take(reader.number("I"))
            chain = tuple(
                reader.certificate(version) for _ in range(reader.number("I"))
            )
            found.append(KeyEntry(alias=alias, protected=protected, certificates=chain))
        elif kind == _CERTIFICATE:
            reader.certificate(version)
        else:
            raise FormatError(f"a Java keystore with an entry of type {kind}")
    return tuple(found)


def recover_key(entry: KeyEntry, password: str) -> bytes:
    """Decrypt a private key.

    Args:
        entry: The key's entry.
        password: Of the key; most keystores have the same for both.

    Returns:
        The key in PKCS#8, DER encoded.

    Raises:
        WrongPassword: If it is not the key's password.
        FormatError: If the entry is malformed or protected in another way.
    """
    parts = read_der(entry.protected).expect(SEQUENCE).children()
    if len(parts) != 2:
        raise FormatError("a key entry that is no EncryptedPrivateKeyInfo")
    algorithm = parts[0].expect(SEQUENCE).children()
    name = algorithm[0].expect(OBJECT_IDENTIFIER).content if algorithm else b""
    sealed = parts[1].expect(OCTET_STRING).content
    if name != _PROTECTED or len(sealed) < 2 * _DIGEST_BYTES:
        raise FormatError("a key that is not protected as JKS does")
    salt, check = sealed[:_DIGEST_BYTES], sealed[-_DIGEST_BYTES:]
    encrypted = sealed[_DIGEST_BYTES:-_DIGEST_BYTES]
    secret = password.encode("utf-16-be", "surrogatepass")
    stream = bytearray()
    link = salt
    while len(stream) < len(encrypted):
        link = hashlib.sha1(secret + link, usedforsecurity=False).digest()
        stream += link
    key = bytes(a ^ b for a, b in zip(encrypted, stream, strict=False))
    found = hashlib.sha1(secret + key, usedforsecurity=False).digest()
    if not hmac.compare_digest(found, check):
        raise WrongPassword("wrong password of the key")
    return key


class _Reader:
    """Reads big-endian values, checking bounds."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, length: int) -> bytes:
        if length > len(self._data) - self._at:
            raise FormatError("a Java keystore that is truncated")
        self._at += length
        return self._data[self._at - length : self._at]

    def number(self, layout: str) -> int:
        value: int = struct.unpack(
            f">{layout}", self.take(struct.calcsize(f">{layout}"))
        )[0]
        return value

    def text(self) -> str:
        # Java's own variant of UTF-8 differs only in what aliases do not hold.
        return self.take(self.number("H")).decode("utf-8", "replace")

    def certificate(self, version: int) -> bytes:
        if version == 2 and self.text() != "X.509":
            raise FormatError("a Java keystore with a certificate that is not X.509")
        return self.take(self.number("I"))
