"""A bounds-checked, read-only view of FlatBuffers data.

Layout: FlatBuffers "Internals" documentation. A table begins with a signed offset
back to its vtable (u16 vtable size, u16 table size, u16 field offsets); fields that
refer to strings, vectors and tables hold unsigned offsets ahead.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgedeploy.errors import FormatError

_MAX_TABLES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table inside FlatBuffers data.

    Attributes:
        data: The whole buffer.
        position: Where the table begins in it.
    """

    data: memoryview
    position: int

    def field(self, slot: int) -> int:
        """Position of a field's inline value, or 0 when it is absent.

        Args:
            slot: The field's number in the schema, from 0.

        Returns:
            A position in the buffer.

        Raises:
            FormatError: If the table or its vtable lies outside the buffer.
        """
        vtable = self.position - self._number("<i", self.position)
        vtable_bytes = self._number("<H", vtable)
        if vtable_bytes < 4 or vtable_bytes % 2:
            raise FormatError(f"a vtable at {vtable} says it has {vtable_bytes} bytes")
        at = 4 + 2 * slot
        if at >= vtable_bytes:
            return 0
        offset = self._number("<H", vtable + at)
        return self.position + offset if offset else 0

    def field_count(self) -> int:
        """Number of slots in the table's vtable.

        Raises:
            FormatError: If the vtable lies outside the buffer.
        """
        vtable = self.position - self._number("<i", self.position)
        return max(0, self._number("<H", vtable) - 4) // 2

    def number(self, slot: int, layout: str, default: int = 0) -> int:
        """Read a scalar field.

        Args:
            slot: The field's number.
            layout: One `struct` integer format, such as "<I".
            default: The schema's default.

        Returns:
            The value.

        Raises:
            FormatError: If it lies outside the buffer.
        """
        at = self.field(slot)
        return self._number(layout, at) if at else default

    def target(self, slot: int) -> int:
        """Position of what an offset field refers to, or 0 when it is absent.

        Args:
            slot: The field's number.

        Returns:
            A position in the buffer.

        Raises:
            FormatError: If it lies outside the buffer.
        """
        at = self.field(slot)
        return at + self._number("<I", at) if at else 0

    def table(self, slot: int) -> Table | None:
        """The table that a field refers to.

        Args:
            slot: The field's number.

        Returns:
            The table, or None when the field is absent.

        Raises:
            FormatError: If it lies outside the buffer.
        """
        at = self.target(slot)
        return Table(data=self.data, position=at) if at else None

    def vector(self, slot: int, item_bytes: int) -> tuple[int, int]:
        """Place and length of a vector.

        Args:
            slot: The field's number.
            item_bytes: Size of one item.

        Returns:
            Position of the first item and the number of items; (0, 0) when absent.

        Raises:
            FormatError: If the vector does not fit into the buffer.
        """
        at = self.target(slot)
        if not at:
            return 0, 0
        count = self._number("<I", at)
        if at + 4 + count * item_bytes > len(self.data):
            raise FormatError(
                f"a vector at {at} claims {count} items, past the buffer's end"
            )
        return at + 4, count

    def tables(self, slot: int) -> tuple[Table, ...]:
        """The tables of a vector of tables.

        Args:
            slot: The field's number.

        Returns:
            In their order; empty when the field is absent.

        Raises:
            FormatError: If the vector does not fit into the buffer.
        """
        first, count = self.vector(slot, 4)
        if count > _MAX_TABLES:
            raise FormatError(f"a vector claims {count} tables; no model needs as many")
        return tuple(
            Table(data=self.data, position=at + self._number("<I", at))
            for at in range(first, first + 4 * count, 4)
        )

    def floats(self, slot: int) -> tuple[float, ...]:
        """The numbers of a vector of float32.

        Args:
            slot: The field's number.

        Returns:
            The numbers; empty when the field is absent.

        Raises:
            FormatError: If the vector does not fit into the buffer.
        """
        first, count = self.vector(slot, 4)
        return struct.unpack_from(f"<{count}f", self.data, first)

    def content(self, slot: int) -> bytes:
        """The bytes of a vector of bytes.

        Args:
            slot: The field's number.

        Returns:
            A copy; empty when the field is absent.

        Raises:
            FormatError: If the vector does not fit into the buffer.
        """
        first, count = self.vector(slot, 1)
        return bytes(self.data[first : first + count])

    def text(self, slot: int) -> str:
        """A string field.

        Args:
            slot: The field's number.

        Returns:
            The text; empty when the field is absent.

        Raises:
            FormatError: If it does not fit into the buffer or is not UTF-8.
        """
        try:
            return self.content(slot).decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"a string in field {slot} is not UTF-8") from error

    def _number(self, layout: str, at: int) -> int:
        # unpack_from counts negative offsets from the end, so they need a check.
        if at < 0 or at + struct.calcsize(layout) > len(self.data):
            raise FormatError(
                f"an offset leads to byte {at}, outside the {len(self.data)} there are"
            )
        value: int = struct.unpack_from(layout, self.data, at)[0]
        return value


def root_table(data: bytes | memoryview, identifier: bytes) -> Table:
    """The root of FlatBuffers data.

    Args:
        data: The buffer.
        identifier: The four bytes expected at offset 4.

    Returns:
        The root table.

    Raises:
        FormatError: If the buffer is too short, has another identifier, or its root
            lies outside.
    """
    view = memoryview(data)
    if len(view) < 8 or bytes(view[4:8]) != identifier:
        raise FormatError(
            f"expected FlatBuffers data with identifier {identifier!r}; received "
            f"{len(view)} bytes beginning {bytes(view[:8])!r}"
        )
    root = Table(data=view, position=int.from_bytes(view[:4], "little"))
    root.field_count()
    return root
