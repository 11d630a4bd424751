# SPDX-License-Identifier: MIT
"""Reads a FlatBuffer that may be hostile: every offset is checked before it is followed."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

MOST_TABLES: Final = 2000  # in one vector: a small file may name one table a million times
LONGEST_TEXT: Final = 200  # bytes that are kept of one


@dataclass(frozen=True, slots=True)
class Table:
    """A table at a place of the file; its fields by their number in the schema.

    A field that is not there has its default. Raises `ModelError` where an offset leads out of
    the file, in each method.

    Source: FlatBuffers, "Internals" (flatbuffers.dev/internals): little-endian; offsets are
    relative and unsigned, but for the one to the vtable.
    """

    content: bytes
    place: int

    def byte(self, field: int) -> int:
        """Return a number of 8 bit without sign, as enumerations are."""
        at = self._field(field)
        return 0 if at is None else number(self.content, "B", at)

    def integer(self, field: int, default: int = 0) -> int:
        """Return a number of 32 bit with sign."""
        at = self._field(field)
        return default if at is None else number(self.content, "i", at)

    def table(self, field: int) -> Table | None:
        """Return a table; None: there is none."""
        at = self._field(field)
        return None if at is None else Table(self.content, _follow(self.content, at))

    def tables(self, field: int) -> list[Table]:
        """Return a vector of tables."""
        start, count = self._vector(field, 4)
        if count > MOST_TABLES:
            raise ModelError(f"it holds {count} tables in one place, more than {MOST_TABLES}")
        places = range(start, start + 4 * count, 4)
        return [Table(self.content, _follow(self.content, at)) for at in places]

    def array(self, field: int, kind: DTypeLike) -> NDArray[Any]:
        """Return a vector of numbers, (n,), as a view of the file."""
        kind = np.dtype(kind).newbyteorder("<")
        start, count = self._vector(field, kind.itemsize)
        return np.frombuffer(self.content, kind, count, start if count else 0)

    def text(self, field: int) -> str:
        """Return the first 200 bytes of a text; what is not UTF-8 in it is replaced."""
        start, count = self._vector(field, 1)
        return self.content[start : start + min(count, LONGEST_TEXT)].decode(errors="replace")

    def _field(self, field: int) -> int | None:
        """Return where a field is; None: it is not there."""
        vtable = self.place - number(self.content, "i", self.place)
        entry = 4 + 2 * field
        if entry + 2 > number(self.content, "H", vtable):
            return None
        offset = number(self.content, "H", vtable + entry)
        return self.place + offset if offset else None

    def _vector(self, field: int, width: int) -> tuple[int, int]:
        """Return where a vector's first element is, and how many of `width` bytes there are."""
        at = self._field(field)
        if at is None:
            return 0, 0
        place = _follow(self.content, at)
        count = number(self.content, "I", place)
        if place + 4 + count * width > len(self.content):
            raise ModelError(f"a vector of {count} at {place} leads out of the file")
        return place + 4, count


def root(content: bytes, identifier: bytes) -> Table:
    """Return the root table. Raises `ModelError` if the file is not one of `identifier`."""
    if content[4:8] != identifier:
        raise ModelError(f"it begins with {content[:8]!r}, not as a {identifier.decode()} file")
    return Table(content, _follow(content, 0))


def number(content: bytes, kind: str, at: int) -> int:
    """Return the number at a place. Raises `ModelError` outside of the file."""
    if not 0 <= at <= len(content) - struct.calcsize(kind):
        raise ModelError(f"an offset leads to {at}, out of the file of {len(content)} bytes")
    found: int = struct.unpack_from(f"<{kind}", content, at)[0]
    return found


def _follow(content: bytes, at: int) -> int:
    return at + number(content, "I", at)
