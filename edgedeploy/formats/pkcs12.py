"""Lists the private keys of a PKCS#12 keystore by their aliases.

Layout: RFC 7292, sections 4 (PFX, AuthenticatedSafe), 4.2 (SafeBag), and RFC 2985,
section 5.5.1 (friendlyName). Needed since OpenSSL, and all that stands on it, gives the
first key of a keystore and says nothing of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.errors import FormatError
from edgedeploy.formats.apksig.der import (
    CONTEXT_0,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    Node,
    read_der,
)

_BMP_STRING = 0x1E
# Contents of the object identifiers, without tag and length.
_DATA = bytes.fromhex("2a864886f70d010701")
_FRIENDLY_NAME = bytes.fromhex("2a864886f70d010914")
_KEY_BAG = bytes.fromhex("2a864886f70d010c0a0101")
_SHROUDED_KEY_BAG = bytes.fromhex("2a864886f70d010c0a0102")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyBag:
    """A private key of a keystore.

    Attributes:
        alias: Its name; where it has none its number, from "1", as Java does.
        content: PKCS#8, DER encoded: an EncryptedPrivateKeyInfo, or a PrivateKeyInfo.
        encrypted: Whether it is the former.
    """

    alias: str
    content: bytes
    encrypted: bool


def read_key_bags(data: bytes) -> tuple[KeyBag, ...]:
    """List the keys that can be seen without a password.

    keytool, OpenSSL and cryptography encrypt each key by itself, not the list of them;
    a list that is encrypted as a whole is not looked into.

    Args:
        data: The file's bytes.

    Returns:
        The keys in the order of the file.

    Raises:
        FormatError: If the file is malformed.
    """
    pfx = read_der(data).expect(SEQUENCE).children()
    if len(pfx) < 2:
        raise FormatError("PKCS#12: no content")
    safes = _data_of(pfx[1])
    if safes is None:
        raise FormatError("PKCS#12: its content is not of the type data")
    found: list[KeyBag] = []
    for safe in read_der(safes).expect(SEQUENCE).children():
        content = _data_of(safe)
        if content is None:
            continue
        for bag in read_der(content).expect(SEQUENCE).children():
            parts = bag.expect(SEQUENCE).children()
            kind = _first(parts).expect(OBJECT_IDENTIFIER).content
            if kind in (_KEY_BAG, _SHROUDED_KEY_BAG):
                found.append(
                    KeyBag(
                        alias=_friendly_name(parts[2:]) or str(len(found) + 1),
                        content=_inside(parts),
                        encrypted=kind == _SHROUDED_KEY_BAG,
                    )
                )
    return tuple(found)


def _data_of(node: Node) -> bytes | None:
    """Give the bytes of a ContentInfo; None for another type than data."""
    parts = node.expect(SEQUENCE).children()
    if _first(parts).expect(OBJECT_IDENTIFIER).content != _DATA:
        return None
    return read_der(_inside(parts)).expect(OCTET_STRING).content


def _inside(parts: tuple[Node, ...]) -> bytes:
    if len(parts) < 2:
        raise FormatError("PKCS#12: a type without a value")
    return parts[1].expect(CONTEXT_0).content


def _friendly_name(attributes: tuple[Node, ...]) -> str:
    for attribute in attributes[0].expect(SET).children() if attributes else ():
        parts = attribute.expect(SEQUENCE).children()
        if _first(parts).expect(OBJECT_IDENTIFIER).content != _FRIENDLY_NAME:
            continue
        name = _first(_first(parts[1:]).expect(SET).children()).expect(_BMP_STRING)
        return name.content.decode("utf-16-be", "replace")
    return ""


def _first(parts: tuple[Node, ...]) -> Node:
    if not parts:
        raise FormatError("PKCS#12: an empty value")
    return parts[0]
