"""Android's binary XML: writing a manifest and reading one back.

Layout: AOSP frameworks/base/libs/androidfw/include/androidfw/ResourceTypes.h
(ResXMLTree_node, ResStringPool_header, Res_value). The reader is in
`edgedeploy.formats.axml_reader`.
"""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

from edgedeploy.errors import FormatError, InputError
from edgedeploy.formats.axml_reader import (
    ANDROID,
    RESOURCE_IDS,
    BinaryXmlElement,
    ManifestFacts,
    read_manifest,
    read_xml,
)

__all__ = [
    "ANDROID",
    "RESOURCE_IDS",
    "BinaryXmlElement",
    "ManifestFacts",
    "encode_manifest",
    "read_manifest",
    "read_xml",
]

_TYPE_STRING, _TYPE_INT_DEC, _TYPE_BOOLEAN = 0x03, 0x10, 0x12
_NONE = 0xFFFFFFFF
_MAX_STRING_UNITS = 0x7FFF
_INTEGERS = frozenset({"versionCode", "minSdkVersion", "targetSdkVersion"})
_BOOLEANS = frozenset({"hasCode", "debuggable", "required", "allowBackup"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attribute:
    resource_id: int
    namespace: int
    name: int
    raw: int
    kind: int
    value: int


def encode_manifest(text: str) -> bytes:
    """Encode AndroidManifest.xml as Android's package installer reads it.

    Args:
        text: The manifest as XML; only attributes of `RESOURCE_IDS` may be in the
            android namespace. Comments and white space are dropped.

    Returns:
        Binary XML; the same text gives the same bytes.

    Raises:
        FormatError: If the text is not well-formed, uses an attribute that has no
            known resource id, holds a value of the wrong type, or has text content.
    """
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - the text is our template's
    except ElementTree.ParseError as error:
        raise FormatError(f"the manifest is not well-formed XML: {error}") from error
    return _Encoder(root).encode()


class _Encoder:
    """Collects strings while it writes the nodes of one document."""

    def __init__(self, root: ElementTree.Element) -> None:
        self._root = root
        self._pool: dict[str, int] = {}
        self._nodes: list[bytes] = []

    def encode(self) -> bytes:
        # The resource map gives ids to the first strings of the pool, in its order.
        names = sorted(
            {_local_name(key) for item in self._root.iter() for key in item.attrib}
            & RESOURCE_IDS.keys(),
            key=lambda name: RESOURCE_IDS[name],
        )
        for name in names:
            self._string(name)
        namespace = struct.pack("<II", self._string("android"), self._string(ANDROID))
        self._node(0x0100, namespace)
        self._element(self._root)
        self._node(0x0101, namespace)
        ids = struct.pack(f"<{len(names)}I", *(RESOURCE_IDS[name] for name in names))
        body = self._string_pool()
        body += struct.pack("<HHI", 0x0180, 8, 8 + len(ids)) + ids
        body += b"".join(self._nodes)
        return struct.pack("<HHI", 0x0003, 8, 8 + len(body)) + body

    def _string(self, text: str) -> int:
        return self._pool.setdefault(text, len(self._pool))

    def _node(self, kind: int, content: bytes) -> None:
        header = struct.pack("<HHIII", kind, 16, 16 + len(content), 1, _NONE)
        self._nodes.append(header + content)

    def _element(self, element: ElementTree.Element) -> None:
        if any(part and part.strip() for part in (element.text, element.tail)):
            raise FormatError(f"<{element.tag}> has text content; manifests have none")
        # The framework merges attributes with its own sorted list; aapt doesn't mind
        # another order, but a device then loses some.
        attributes = sorted(
            (self._attribute(key, value) for key, value in element.attrib.items()),
            key=lambda item: (item.resource_id, item.name),
        )
        tag = self._string(element.tag)
        start = struct.pack(
            "<IIHHHHHH", _NONE, tag, 20, 20, len(attributes), 0, 0, 0
        ) + b"".join(
            struct.pack("<IIIHBBI", a.namespace, a.name, a.raw, 8, 0, a.kind, a.value)
            for a in attributes
        )
        self._node(0x0102, start)
        for child in element:
            self._element(child)
        self._node(0x0103, struct.pack("<II", _NONE, tag))

    def _attribute(self, key: str, value: str) -> _Attribute:
        name = _local_name(key)
        if key != name and key != f"{{{ANDROID}}}{name}":
            raise FormatError(f"{key} is in a namespace other than {ANDROID}")
        if (key == name) == (name in RESOURCE_IDS):
            raise FormatError(
                f"attribute {name}: expected one of {', '.join(sorted(RESOURCE_IDS))} "
                "in the android namespace, or another name without a namespace"
            )
        kind, number = _typed(name, value)
        text = self._string(value) if kind == _TYPE_STRING else _NONE
        return _Attribute(
            # Attributes without a resource id come after all that have one.
            resource_id=RESOURCE_IDS.get(name, 1 << 32),
            namespace=_NONE if key == name else self._string(ANDROID),
            name=self._string(name),
            raw=text,
            kind=kind,
            value=text if kind == _TYPE_STRING else number,
        )

    def _string_pool(self) -> bytes:
        data = bytearray()
        offsets = []
        for text in self._pool:
            offsets.append(len(data))
            encoded = text.encode("utf-16-le", "surrogatepass")
            if len(encoded) // 2 > _MAX_STRING_UNITS:
                raise InputError(
                    f"a manifest value of {len(text)} characters; at most "
                    f"{_MAX_STRING_UNITS} fit"
                )
            data += struct.pack("<H", len(encoded) // 2) + encoded + b"\0\0"
        data += b"\0" * (-len(data) % 4)
        count = len(offsets)
        start = 28 + 4 * count
        return (
            struct.pack("<HHIIIIII", 1, 28, start + len(data), count, 0, 0, start, 0)
            + struct.pack(f"<{count}I", *offsets)
            + bytes(data)
        )


def _local_name(key: str) -> str:
    return key.rpartition("}")[2]


def _typed(name: str, value: str) -> tuple[int, int]:
    if name in _INTEGERS:
        if not (value.isascii() and value.isdigit() and int(value) < 1 << 31):
            raise FormatError(f"{name} must be a whole number; received {value!r}")
        return _TYPE_INT_DEC, int(value)
    if name in _BOOLEANS:
        if value not in {"true", "false"}:
            raise FormatError(f"{name} must be true or false; received {value!r}")
        return _TYPE_BOOLEAN, _NONE if value == "true" else 0
    return _TYPE_STRING, 0
