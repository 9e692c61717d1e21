"""What do families work on when few buyers have news? Those buyers, side by side.

A batch touches a thousand buyers of a million, and their events lie all over the tables: a family
that looks them up one by one waits for memory most of the time. So what a family asks for is copied
first, each column once for all families, buyer after buyer; loops then run through it in order.
What they find stands beside what the tables hold; `compare` finds what is another, `write_back`
takes that over.
Most traits of a buyer stay as they were, and cost nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import history
from segengine.schema.tables import CUSTOMERS
from segengine.tables.customers import NOBODY, CustomerTable, Differing
from segengine.tables.row_lists import ListRoom, RowLists
from segengine.tables.tables import Tables
from segengine.traits.coming import Coming
from segengine.traits.work import History, TraitSettings, Work


class SomeBuyers(Work):
    """A few buyers, numbered 0, 1, 2, ...: their traits, and their events numbered the same way.

    As of any work, arrays by table and column have an entry for each row of the table, but the
    tables are those of these buyers alone. `write_back` is called with the gate closed, `compare`
    before, while traits and lists are as they will be then.
    buyers: int64[n], rows of the customers, ascending; those who come with a batch ahead are last
    ahead: what a batch will bring to these buyers, which has yet to be applied: its rows are theirs
    already, and are in the tables when `write_back` is called
    """

    def __init__(
        self,
        tables: Tables,
        settings: TraitSettings,
        as_of: int,
        buyers: NDArray[np.int64],
        *,
        changed: frozenset[str] | None,
        ahead: Coming | None = None,
    ) -> None:
        self.buyers, self._ahead = buyers, ahead
        # Whoever is new is nobody so far.
        self._so_far = np.where(buyers < tables.customers.rows, buyers, NOBODY)
        self._given = _Given(tables.customers, self._so_far)
        places = np.arange(len(buyers), dtype=np.int64)
        super().__init__(
            tables, settings, as_of, places, self._given, all_rows=False, changed=changed
        )
        self._rows: dict[str, NDArray[np.int64]] = {}
        self._is_new: NDArray[np.bool_] = np.zeros(0, np.bool_)
        """Which events of the table that a batch comes to are its rows."""
        self._copies: dict[tuple[str, str], NDArray[Any]] = {}
        self._found: list[
            tuple[RowLists, NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]
        ] = []
        self._differing: list[Differing] = []
        self._room: list[ListRoom | None] = []
        self._before: list[object] = []

    @property
    def is_in_place(self) -> bool:
        """The matrices in use take over what is found; none is made while somebody looks."""
        return self._ahead is None

    @property
    def only_adds(self) -> bool:
        """As of any work; a batch of events that is worked out ahead does."""
        return self._ahead is not None and self._ahead.batch.table != CUSTOMERS

    def has_news_of_kinds(self, table: str, kinds: tuple[str, ...]) -> bool:
        """As of any work; of a batch ahead it is told by its rows."""
        if self._ahead is None or not self.only_adds or table != self._ahead.batch.table:
            return super().has_news_of_kinds(table, kinds)
        batch = self._ahead.batch
        if "kind" not in batch.columns:
            return False
        codes = self.codes(table, "kind", kinds)
        return bool(np.isin(batch.values("kind"), codes).any())

    def values(self, table: str, column: str) -> NDArray[Any]:
        """A column of these buyers' events, or of themselves: T[events] or T[n]."""
        if table != "customers" and table not in self.tables.events:
            return super().values(table, column)
        kept = self._copies.get((table, column))
        if kept is None:
            kept = self._copies[table, column] = self._copied(table, column)
        return kept

    def _copied(self, table: str, name: str) -> NDArray[Any]:
        column, rows, ahead = self.tables.column(table, name), self._rows_in(table), self._ahead
        if table == CUSTOMERS and not self.only_adds and ahead and name in ahead.batch.columns:
            return ahead.batch.values(name).astype(column.dtype)[ahead.places]
        if self.only_adds and self._ahead is not None and table == self._ahead.batch.table:
            found = np.full(len(rows), column.default, column.dtype)
            if column.is_allocated:
                found[~self._is_new] = column.values.take(rows[~self._is_new])
            found[self._is_new] = self._ahead.values(self.tables, name)
            return found
        if column.is_allocated:
            return column.values.take(rows)
        return np.full(len(rows), column.default, column.dtype)

    def extra(self, table: str, name: str) -> NDArray[Any]:
        """An internal array of these buyers' events: T[events]."""
        key = (table, f"{name} of the table")
        kept = self._copies.get(key)
        if kept is None:
            found, rows = self.tables.events[table].extra(name), self._rows_in(table)
            if self._ahead is not None and table == self._ahead.batch.table:
                kept = np.empty(len(rows), found.dtype)
                kept[~self._is_new] = found.take(rows[~self._is_new])
                kept[self._is_new] = self._ahead.values(self.tables, name)
            else:
                kept = found.take(rows)
            self._copies[key] = kept
        return kept

    def _rows_in(self, table: str) -> NDArray[np.int64]:
        if table == "customers":
            return self._so_far
        self.history(table)
        return self._rows[table]

    def rows_of(self, table: str, events: NDArray[np.int32]) -> NDArray[np.int32]:
        """The rows of the table that these events are."""
        return self._rows_in(table)[events].astype(np.int32)

    def _gathered(self, table: str) -> History:
        events, buyers = self.tables.events[table], self._so_far
        heads, previous = self.tables.customers.heads(table), events.extra("previous")
        begins = np.zeros(len(buyers) + 1, np.int64)
        history.count_chains(buyers, heads, previous, begins)
        np.cumsum(begins, out=begins)
        found = np.empty(int(begins[-1]), np.int32)
        history.place_chains(buyers, heads, previous, begins, found)
        rows = found.astype(np.int64)
        if self._ahead is not None and table == self._ahead.batch.table:
            begins, rows = self._with_new(begins, rows, self._ahead)
        self._rows[table] = rows
        return History(begins, np.arange(len(rows), dtype=np.int32))

    def _with_new(
        self, begins: NDArray[np.int64], rows: NDArray[np.int64], ahead: Coming
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The same events and those to come, which stand behind the others of their buyer."""
        before = np.diff(begins)
        pairs = np.column_stack([before, ahead.counts]).ravel()
        self._is_new = np.repeat(np.tile([False, True], len(self.buyers)), pairs)
        all_rows = np.empty(len(self._is_new), np.int64)
        all_rows[~self._is_new], all_rows[self._is_new] = rows, ahead.rows
        all_begins = begins.copy()
        all_begins[1:] += np.cumsum(ahead.counts)
        return all_begins, all_rows

    def give_lists(
        self,
        name: str,
        counts: NDArray[np.int32],
        codes: NDArray[np.int32],
        scores: NDArray[np.float64],
    ) -> None:
        """As of any work; kept until they are written back."""
        self._found.append((self._lists[name], counts, codes, scores))

    def compare(self) -> None:
        """Find what is another now, and make room for it; everybody may look meanwhile."""
        customers = self.tables.customers
        # A new row is at its defaults, which are not what nobody has.
        any_new = len(self.buyers) > 0 and bool(self.buyers[-1] >= customers.rows)
        self._differing = [
            each
            for name in list(self._given if any_new else self._given.copies)
            for each in customers.differing(name, self.buyers, self._given[name])
        ]
        rows = int(self.buyers[-1]) + 1 if len(self.buyers) else 0
        self._room = [lists.room(rows, len(codes)) for lists, _, codes, _ in self._found]

    def write_back(self) -> None:
        """Take over what `compare` has found.

        Memory that is no longer used stays as long as this does: to give it back takes time too.
        """
        self.tables.customers.put(self._differing)
        for (lists, counts, codes, scores), room in zip(self._found, self._room, strict=True):
            if room is not None:
                self._before.append(lists.take_room(room))
            lists.write(self.buyers, counts, codes, scores)


class _Given(MutableMapping[str, NDArray[Any]]):
    """The traits of some buyers by block, each copied when it is first asked for: T[traits, n]."""

    def __init__(self, customers: CustomerTable, buyers: NDArray[np.int64]) -> None:
        self._customers, self._buyers = customers, buyers
        self._names: Mapping[str, NDArray[Any]] = customers.blocks()
        self.copies: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        kept = self.copies.get(name)
        if kept is None:
            if name not in self._names:
                raise KeyError(name)
            kept = self.copies[name] = self._names[name].take(self._buyers, axis=1)
        return kept

    def __setitem__(self, name: str, matrix: NDArray[Any]) -> None:
        """A block that came meanwhile."""
        self._names = self._customers.blocks()
        self.copies[name] = matrix.take(self._buyers, axis=1)

    def __delitem__(self, name: str) -> None:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
