"""AndroidManifest.xml as app bundles hold it: a protocol buffer, not binary XML.

Layout: AOSP frameworks/base/tools/aapt2/Resources.proto, messages XmlNode,
XmlElement, XmlAttribute, Item and Primitive; compared with what aapt2 writes.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from edgedeploy.errors import FormatError
from edgedeploy.formats.axml_reader import ANDROID, RESOURCE_IDS
from edgedeploy.formats.protobuf import encode_bytes, encode_number, read_fields

DISTRIBUTION = "http://schemas.android.com/apk/distribution"
_PREFIXES = {ANDROID: "android", DISTRIBUTION: "dist"}
_INTEGERS = frozenset({"versionCode", "minSdkVersion", "targetSdkVersion"})
_BOOLEANS = frozenset({"hasCode", "include", "allowBackup", "required"})


def encode_proto_manifest(text: str) -> bytes:
    """Encode AndroidManifest.xml for an app bundle.

    Args:
        text: The manifest as XML, with attributes of the android and dist namespaces.

    Returns:
        An XmlNode; the same text gives the same bytes.

    Raises:
        FormatError: If the text is not well-formed, or has an attribute that is not
            known here.
    """
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - the text is our template's
    except ElementTree.ParseError as error:
        raise FormatError(f"the manifest is not well-formed XML: {error}") from error
    used = {
        _namespace(name) for item in root.iter() for name in (item.tag, *item.keys())
    }
    declared = b"".join(
        encode_bytes(1, encode_bytes(1, prefix) + encode_bytes(2, uri))
        for uri, prefix in _PREFIXES.items()
        if uri in used
    )
    return _element(root, declared)


def read_proto_manifest(data: bytes) -> dict[str, str]:
    """Read the root element's attributes of a bundle's manifest.

    Args:
        data: An XmlNode.

    Returns:
        Values as text by name without namespace: "package", "versionCode", "split".

    Raises:
        FormatError: If it is no manifest.
    """
    for field, element in read_fields(data):
        if field == 1 and isinstance(element, bytes):
            return _attributes(element)
    raise FormatError("the bundle's manifest has no root element")


def _attributes(element: bytes) -> dict[str, str]:
    found = {}
    for field, attribute in read_fields(element):
        if field != 4 or not isinstance(attribute, bytes):
            continue
        parts = dict(read_fields(attribute))
        name, value = parts.get(2, b""), parts.get(3, b"")
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise FormatError("the bundle's manifest has an attribute without text")
        try:
            found[name.decode()] = value.decode()
        except UnicodeDecodeError as error:
            raise FormatError("the bundle's manifest is not UTF-8") from error
    return found


def _element(element: ElementTree.Element, declared: bytes = b"") -> bytes:
    uri, name = _namespace(element.tag), _local_name(element.tag)
    message = declared
    message += encode_bytes(2, uri) if uri else b""
    message += encode_bytes(3, name)
    for key, value in element.attrib.items():
        message += encode_bytes(4, _attribute(key, value))
    for child in element:
        message += encode_bytes(5, _element(child))
    return encode_bytes(1, message)


def _attribute(key: str, value: str) -> bytes:
    uri, name = _namespace(key), _local_name(key)
    message = encode_bytes(1, uri) if uri else b""
    message += encode_bytes(2, name) + encode_bytes(3, value)
    if uri == ANDROID:
        if name not in RESOURCE_IDS:
            raise FormatError(f"attribute {name} has no resource id known here")
        message += encode_number(5, RESOURCE_IDS[name])
    primitive = _primitive(name, value) if uri else b""
    return message + (encode_bytes(6, encode_bytes(7, primitive)) if primitive else b"")


def _primitive(name: str, value: str) -> bytes:
    """What a typed attribute is compiled to: int_decimal_value, or boolean_value."""
    if name in _INTEGERS:
        if not (value.isascii() and value.isdigit() and int(value) < 1 << 31):
            raise FormatError(f"{name} must be a whole number; received {value!r}")
        return encode_number(6, int(value))
    if name in _BOOLEANS:
        if value not in {"true", "false"}:
            raise FormatError(f"{name} must be true or false; received {value!r}")
        return encode_number(8, int(value == "true"))
    return b""


def _namespace(name: str) -> str:
    uri = name[1:].partition("}")[0] if name.startswith("{") else ""
    if uri and uri not in _PREFIXES:
        raise FormatError(f"{name} is in a namespace that is not known here")
    return uri


def _local_name(name: str) -> str:
    return name.rpartition("}")[2]
