"""Enough of ASN.1 DER to read a PKCS#7 signature (ITU-T X.690)."""

from __future__ import annotations

from dataclasses import dataclass

from edgedeploy.errors import FormatError

INTEGER, OCTET_STRING, OBJECT_IDENTIFIER = 0x02, 0x04, 0x06
SEQUENCE, SET, CONTEXT_0, CONTEXT_1 = 0x30, 0x31, 0xA0, 0xA1


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One DER value.

    Attributes:
        tag: The identifier byte.
        content: The value's bytes.
        encoded: Identifier, length and value.
    """

    tag: int
    content: bytes
    encoded: bytes

    def children(self) -> tuple[Node, ...]:
        """The values inside a constructed one.

        Raises:
            FormatError: If they do not fill it exactly.
        """
        found = []
        rest = self.content
        while rest:
            node = _read(rest)
            found.append(node)
            rest = rest[len(node.encoded) :]
        return tuple(found)

    def expect(self, tag: int) -> Node:
        """Insist on a tag.

        Args:
            tag: The identifier byte expected.

        Returns:
            The node itself.

        Raises:
            FormatError: If it has another tag.
        """
        if self.tag != tag:
            raise FormatError(f"DER: expected tag {tag:#04x}; received {self.tag:#04x}")
        return self


def read_der(data: bytes) -> Node:
    """Read one DER value that fills the data.

    Args:
        data: The bytes.

    Returns:
        The value.

    Raises:
        FormatError: If it is malformed, truncated or followed by something.
    """
    node = _read(data)
    if len(node.encoded) != len(data):
        raise FormatError(f"DER: {len(data) - len(node.encoded)} bytes too many")
    return node


def _read(data: bytes) -> Node:
    if len(data) < 2 or data[0] & 0x1F == 0x1F:
        raise FormatError("DER: truncated, or a tag of several bytes")
    length, start = data[1], 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or len(data) < 2 + count:
            raise FormatError("DER: unsupported length")
        length, start = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
    end = start + length
    if end > len(data):
        raise FormatError(f"DER: a value of {length} bytes is truncated")
    return Node(tag=data[0], content=data[start:end], encoded=data[:end])
