"""Here is a table: its columns, all of one length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from copy import copy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.errors import UnknownNameError, did_you_mean
from segengine.schema.kinds import Kind
from segengine.schema.tables import ColumnSpec, TableSpec
from segengine.tables.column import Column, ExcerptColumn, Longer, NewArray, aligned, padded, taken
from segengine.tables.dictionary import NO_TAGS, Dictionary
from segengine.tables.lazy import Lazy

MakeDictionary = Callable[[str, Kind], Dictionary]
SPARE = 16
"""A table that is loaded or opened has room for one more row in so many."""


@dataclass(frozen=True, slots=True)
class Room:
    """Longer copies of what a table consists of, by name."""

    capacity: int
    columns: dict[str, Longer]
    extras: dict[str, NDArray[Any]]


def longer(
    array: NDArray[Any], capacity: int, rows: int, fill: Any, new_array: NewArray
) -> NDArray[Any]:
    """A copy of the first `rows` of an array, with room for `capacity`: T[capacity]."""
    grown = new_array(capacity, array.dtype)
    grown[:rows] = array[:rows]
    grown[rows:] = fill
    return grown


class Table:
    """Named columns of one length; an event table adds to it, customers and products too.

    Columns exist from the start and own memory from their first write.
    """

    def __init__(self, spec: TableSpec, make_dictionary: MakeDictionary) -> None:
        self.spec = spec
        self.rows = 0
        self.capacity = 64
        self.columns: MutableMapping[str, Column] = {}
        self.given: set[str] = set()
        self.computed: frozenset[str] = frozenset()
        """Names of traits, which no source may give."""
        self.new_array: NewArray = aligned
        """Where arrays are made that take the place of shorter ones."""
        self._make_dictionary = make_dictionary
        self._extra: MutableMapping[str, NDArray[Any]] = {}
        self._fills: dict[str, Any] = {}
        for column in spec.columns:
            self.add_column(column)

    def add_column(self, spec: ColumnSpec, *, default: int | float | None = None) -> Column:
        """A new column, every row of it at its default."""
        dictionary = self._make_dictionary(spec.name, spec.kind) if spec.kind.is_coded else None
        if dictionary is not None and dictionary.is_set:
            default = NO_TAGS
        column = Column(
            spec.name, spec.kind, dictionary=dictionary, default=default, capacity=self.capacity
        )
        self.columns[spec.name] = column
        return column

    def fix_kind(self, name: str, kind: Kind) -> None:
        """Give an identifier column its kind, before a source has brought it."""
        if self.columns[name].kind is not kind:
            assert name not in self.given
            self.add_column(ColumnSpec(name, kind, identifier=True))

    def column(self, name: str) -> Column:
        """The column with this name, or an error that names the nearest."""
        found = self.columns.get(name)
        if found is None:
            hint = did_you_mean(name, list(self.columns))
            raise UnknownNameError(
                f"table `{self.spec.name}` has no column `{name}`" + (f"; {hint}" if hint else ""),
                field=name,
            )
        return found

    def add_extra(self, name: str, dtype: type[np.generic], fill: Any) -> None:
        """An internal array that grows with the table and is never shown."""
        self._fills[name] = fill
        self._extra[name] = aligned(self.capacity, np.dtype(dtype), fill)

    def extra(self, name: str) -> NDArray[Any]:
        """The internal array with this name, capacity long."""
        return self._extra[name]

    def extras(self) -> tuple[str, ...]:
        """The names of the internal arrays."""
        return tuple(self._extra)

    def renew_extra(self, name: str) -> None:
        """Let an internal array be as long as the table and hold nothing."""
        self.add_extra(name, self._extra[name].dtype.type, self._fills[name])

    def set_extra(self, name: str, array: NDArray[Any]) -> None:
        """Take a whole internal array, as a snapshot kept it."""
        self._extra[name] = array

    def take_room(self, capacity: int) -> None:
        """Be of this capacity while nothing is there yet: a snapshot's arrays are put in place."""
        self.capacity = capacity
        for column in self.columns.values():
            column.reserve(capacity, 0)

    def reserve(self, rows: int, *, exact: bool = False) -> None:
        """Make room for this many rows in all; growth is by half, or exact, with some to spare."""
        room = self.room(rows, exact=exact)
        if room is not None:
            self.take(room)

    def room(self, rows: int, *, exact: bool = False) -> Room | None:
        """As `reserve`, but beside the table, at which everybody may look: for `take`.

        To grow is to copy all. None where there is room; called with the right to write.
        """
        if rows <= self.capacity:
            return None
        # What is loaded at once has room for what comes next.
        spare = rows + rows // SPARE
        capacity = padded(spare if exact else max(spare, 3 * self.capacity // 2))
        columns = {
            name: column.longer(capacity, self.rows, self.new_array)
            for name, column in self.columns.items()
        }
        extras = {
            name: longer(array, capacity, self.rows, self._fills[name], self.new_array)
            for name, array in self._extra.items()
        }
        return Room(capacity, columns, extras)

    def take(self, room: Room) -> list[object]:
        """Have the room that was made of this table as it is now; called with the gate closed.

        What is in its place is handed back, to be let go of when nobody waits.
        """
        before: list[object] = list(self._extra.values())
        before += [
            column.take_longer(room.columns[name], self.rows)
            for name, column in self.columns.items()
        ]
        self._extra = {**self._extra, **room.extras}
        self.capacity = room.capacity
        return before

    def part(
        self,
        rows: NDArray[np.int64],
        capacity: int,
        made: Mapping[str, Callable[[str], NDArray[Any]]],
    ) -> Self:
        """A table of these rows of its own, with room for `capacity`.

        Columns and internal arrays are copied when they are asked for, but for those that are made
        in another way.  made: internal arrays by name
        """

        def column(name: str) -> Column:
            return ExcerptColumn(self.columns[name], rows, capacity)

        def extra(name: str) -> NDArray[Any]:
            if name in made:
                return made[name](name)
            return taken(self._extra[name], rows, capacity, self._fills[name])

        found = copy(self)
        found.rows, found.capacity, found.given = len(rows), capacity, set(self.given)
        found.columns = Lazy(self.columns, column)
        found._extra = Lazy(self._extra, extra)  # noqa: SLF001 - its own kind
        return found

    def to_arrow(
        self, names: Iterable[str], rows: NDArray[np.int64] | slice, scale: int
    ) -> pa.Table:
        """A copy of these columns and rows with plain logical types."""
        arrays = {name: self.column(name).to_arrow(rows, scale) for name in names}
        return pa.table(arrays)
