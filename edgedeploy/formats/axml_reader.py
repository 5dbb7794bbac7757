"""Reads Android's binary XML, as found in any APK.

Layout: as in `edgedeploy.formats.axml`; string pools in UTF-8 as well as UTF-16.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgedeploy.errors import FormatError

ANDROID = "http://schemas.android.com/apk/res/android"

# Public resource ids, from AOSP frameworks/base/core/res/res/values/public-final.xml.
RESOURCE_IDS = {
    "label": 0x01010001,
    "name": 0x01010003,
    "hasCode": 0x0101000C,
    "debuggable": 0x0101000F,
    "value": 0x01010024,
    "minSdkVersion": 0x0101020C,
    "versionCode": 0x0101021B,
    "versionName": 0x0101021C,
    "targetSdkVersion": 0x01010270,
    "allowBackup": 0x01010280,
    "required": 0x0101028E,
}
_NAMES = {number: name for name, number in RESOURCE_IDS.items()}

_STRING_POOL, _XML, _RESOURCE_MAP = 0x0001, 0x0003, 0x0180
_START_ELEMENT, _END_ELEMENT = 0x0102, 0x0103
_UTF8_FLAG = 1 << 8
_TYPE_STRING, _TYPE_BOOLEAN = 0x03, 0x12
_NONE = 0xFFFFFFFF
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryXmlElement:
    """One element, in document order.

    Attributes:
        tag: Without namespace.
        depth: 0 for the root.
        attributes: (name, value) pairs in file order; names in the android namespace
            begin with "android:". Values are str, bool or int.
    """

    tag: str
    depth: int
    attributes: tuple[tuple[str, str | bool | int], ...]

    def get(self, name: str) -> str | bool | int | None:
        """An attribute's value, or None.

        Args:
            name: As in `attributes`.
        """
        return dict(self.attributes).get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFacts:
    """What an installer reads first.

    Attributes:
        package: The application's id.
        version_code: Grows with each release.
        version_name: What people see; None when absent.
        label: The application's name; None when absent or a resource.
        min_sdk: Oldest Android API level; 1 when absent, as Android has it.
        target_sdk: API level it was made for; `min_sdk` when absent.
        has_code: Whether the package brings classes; True when absent.
        debuggable: Whether a debugger may attach; False when absent.
    """

    package: str
    version_code: int
    version_name: str | None
    label: str | None
    min_sdk: int
    target_sdk: int
    has_code: bool
    debuggable: bool


def read_manifest(data: bytes) -> ManifestFacts:
    """Read the facts that matter from a binary AndroidManifest.xml.

    Args:
        data: The file's bytes.

    Returns:
        The facts.

    Raises:
        FormatError: If it is no binary XML, no manifest, or a value has another type.
    """
    found = read_xml(data)
    if not found or found[0].tag != "manifest":
        raise FormatError("binary XML, but its root is not <manifest>")
    empty = BinaryXmlElement(tag="", depth=1, attributes=())
    tags = {item.tag: item for item in reversed(found) if item.depth == 1}
    sdk, app = tags.get("uses-sdk", empty), tags.get("application", empty)
    min_sdk = _whole(sdk, "android:minSdkVersion", 1)
    return ManifestFacts(
        package=_required_text(found[0], "package"),
        version_code=_whole(found[0], "android:versionCode", 0),
        version_name=_optional_text(found[0], "android:versionName"),
        label=_optional_text(app, "android:label"),
        min_sdk=min_sdk,
        target_sdk=_whole(sdk, "android:targetSdkVersion", min_sdk),
        has_code=_flag(app, "android:hasCode", default=True),
        debuggable=_flag(app, "android:debuggable", default=False),
    )


def read_xml(data: bytes) -> tuple[BinaryXmlElement, ...]:
    """Read the elements of a binary XML document.

    Args:
        data: The file's bytes.

    Returns:
        The elements in document order, with their depth.

    Raises:
        FormatError: If the bytes are not binary XML, are truncated or contradictory.
    """
    try:
        return _Reader(data).elements()
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise FormatError(f"malformed binary XML: {error}") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._strings: tuple[str, ...] = ()
        self._ids: tuple[int, ...] = ()

    def elements(self) -> tuple[BinaryXmlElement, ...]:
        kind, header, size = struct.unpack_from("<HHI", self._data)
        if kind != _XML or header != 8 or size != len(self._data):
            raise FormatError(
                f"not binary XML of {len(self._data)} bytes (begins {kind:#06x}, "
                f"declares {size} bytes)"
            )
        found: list[BinaryXmlElement] = []
        open_tags: list[str] = []
        at = 8
        while at < size:
            kind, header, length = struct.unpack_from("<HHI", self._data, at)
            if header < 8 or length < header or at + length > size:
                raise FormatError(f"binary XML: chunk {kind:#06x} at {at} runs outside")
            body = at + header
            if kind == _STRING_POOL:
                self._strings = _read_pool(self._data[at : at + length])
            elif kind == _RESOURCE_MAP:
                count = (length - header) // 4
                self._ids = struct.unpack_from(f"<{count}I", self._data, body)
            elif kind == _START_ELEMENT:
                element = self._start(body, at + length, len(open_tags))
                found.append(element)
                open_tags.append(element.tag)
            elif kind == _END_ELEMENT:
                (tag,) = struct.unpack_from("<I", self._data, body + 4)
                if not open_tags or open_tags.pop() != self._string(tag):
                    raise FormatError("binary XML: an end tag has no start tag")
            at += length
        if open_tags or sum(not item.depth for item in found) != 1:
            raise FormatError("binary XML: expected one root element, closed")
        return tuple(found)

    def _start(self, body: int, end: int, depth: int) -> BinaryXmlElement:
        if depth >= _MAX_DEPTH:
            raise FormatError(f"binary XML is nested deeper than {_MAX_DEPTH}")
        _, tag, start, size, count = struct.unpack_from("<IIHHH", self._data, body)
        if size < 20 or body + start + size * count > end:
            raise FormatError("binary XML: attributes run outside their element")
        return BinaryXmlElement(
            tag=self._string(tag),
            depth=depth,
            attributes=tuple(
                self._attribute(body + start + size * number) for number in range(count)
            ),
        )

    def _attribute(self, at: int) -> tuple[str, str | bool | int]:
        namespace, name, raw, _, _, kind, value = struct.unpack_from(
            "<IIIHBBI", self._data, at
        )
        # The id counts, not the name: tools may leave the names empty.
        resource_id = self._ids[name] if name < len(self._ids) else 0
        text = _NAMES.get(resource_id, self._string(name))
        if namespace != _NONE and self._string(namespace) == ANDROID:
            text = f"android:{text}"
        if kind == _TYPE_STRING:
            return text, self._string(value)
        if kind == _TYPE_BOOLEAN:
            return text, value != 0
        return text, value if raw == _NONE else self._string(raw)

    def _string(self, index: int) -> str:
        if index >= len(self._strings):
            raise FormatError(f"binary XML refers to string {index}, which is missing")
        return self._strings[index]


def _read_pool(chunk: bytes) -> tuple[str, ...]:
    header, _, count, _, flags, start = struct.unpack_from("<HIIIII", chunk, 2)
    if header + 4 * count > len(chunk) or start > len(chunk):
        raise FormatError(f"binary XML: a string pool claims {count} strings")
    offsets = struct.unpack_from(f"<{count}I", chunk, header)
    read = _read_utf8 if flags & _UTF8_FLAG else _read_utf16
    # Offsets may repeat, so a small pool could be made to unfold into a huge one.
    known: dict[int, str] = {}
    for offset in offsets:
        if offset not in known:
            known[offset] = read(chunk, start + offset)
    if sum(map(len, known.values())) > 2 * len(chunk):
        raise FormatError("binary XML: the strings of its pool overlap")
    return tuple(known[offset] for offset in offsets)


def _read_utf16(chunk: bytes, at: int) -> str:
    (units,) = struct.unpack_from("<H", chunk, at)
    at += 2
    if units & 0x8000:
        (low,) = struct.unpack_from("<H", chunk, at)
        units = (units & 0x7FFF) << 16 | low
        at += 2
    return _slice(chunk, at, 2 * units).decode("utf-16-le")


def _read_utf8(chunk: bytes, at: int) -> str:
    _, at = _read_utf8_length(chunk, at)
    length, at = _read_utf8_length(chunk, at)
    return _slice(chunk, at, length).decode()


def _read_utf8_length(chunk: bytes, at: int) -> tuple[int, int]:
    length = chunk[at]
    if length & 0x80:
        return (length & 0x7F) << 8 | chunk[at + 1], at + 2
    return length, at + 1


def _slice(chunk: bytes, at: int, length: int) -> bytes:
    if at + length > len(chunk):
        raise FormatError("binary XML: a string runs past its pool")
    return chunk[at : at + length]


def _required_text(element: BinaryXmlElement, name: str) -> str:
    value = element.get(name)
    if not isinstance(value, str) or not value:
        raise FormatError(f"<{element.tag}> has no {name}")
    return value


def _optional_text(element: BinaryXmlElement, name: str) -> str | None:
    value = element.get(name)
    return value if isinstance(value, str) else None


def _whole(element: BinaryXmlElement, name: str, default: int) -> int:
    value = element.get(name)
    if value is None:
        return default
    # Preview SDKs are written as code names; those are no number.
    if isinstance(value, bool) or not isinstance(value, int):
        raise FormatError(f"{name} should be a whole number; received {value!r}")
    return value


def _flag(element: BinaryXmlElement, name: str, *, default: bool) -> bool:
    value = element.get(name)
    if value is None:
        return default
    if isinstance(value, str):
        raise FormatError(f"{name} should be true or false; received {value!r}")
    return bool(value)
