"""Just enough of the Protocol Buffers wire format to write and read app bundles.

Layout: protobuf.dev, "Encoding": a field is a varint of `number << 3 | wire type`,
then a varint (type 0) or a length and that many bytes (type 2).
"""

from __future__ import annotations

from collections.abc import Iterator

from edgedeploy.errors import FormatError

_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


def encode_number(field: int, value: int) -> bytes:
    """Encode a field that holds a whole number from 0, or a truth value.

    Args:
        field: The field's number.
        value: Its value, 0 or more.
    """
    return _varint(field << 3 | _VARINT) + _varint(value)


def encode_bytes(field: int, value: bytes | str) -> bytes:
    """Encode a field that holds a text, bytes or a message.

    Args:
        field: The field's number.
        value: Its value; text becomes UTF-8.
    """
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | _LENGTH) + _varint(len(data)) + data


def read_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Read a message's fields in the order of the file.

    Args:
        data: The message.

    Yields:
        The field's number with a whole number, or with the bytes of a text, message
        or fixed-width number.

    Raises:
        FormatError: If it is no message, or truncated.
    """
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield field, value
            continue
        if kind == _LENGTH:
            length, at = _read_varint(data, at)
        else:
            length = {_FIXED_64: 8, _FIXED_32: 4}.get(kind, -1)
        if length < 0 or at + length > len(data):
            raise FormatError(f"protocol buffer: field {field} at {at} is malformed")
        yield field, data[at : at + length]
        at += length


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for position in range(_MAX_VARINT_BYTES):
        if at + position >= len(data):
            break
        byte = data[at + position]
        value |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return value, at + position + 1
    raise FormatError(f"protocol buffer: no number at byte {at}")
