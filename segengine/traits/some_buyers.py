"""What do families work on when few buyers have news? Those buyers, side by side.

A batch touches a thousand buyers of a million, and their events lie all over the tables: a family
that looks them up one by one waits for memory most of the time. So what a family asks for is copied
first, each column once for all families, buyer after buyer; loops then run through it in order.
What they find stands beside what the tables hold, until `write_back` takes over what is another.
Most traits of a buyer stay as they were, and cost nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import history
from segengine.tables.customers import CustomerTable
from segengine.tables.row_lists import RowLists
from segengine.tables.tables import Tables
from segengine.traits.work import History, TraitSettings, Work


class SomeBuyers(Work):
    """A few buyers, numbered 0, 1, 2, ...: their traits, and their events numbered the same way.

    As of any work, arrays by table and column have an entry for each row of the table, but the
    tables are those of these buyers alone. `write_back` is called with the gate closed.
    buyers: int64[n], rows of the customers, ascending
    """

    def __init__(
        self,
        tables: Tables,
        settings: TraitSettings,
        as_of: int,
        buyers: NDArray[np.int64],
        *,
        changed: frozenset[str] | None,
    ) -> None:
        self.buyers = buyers
        self._given = _Given(tables.customers, buyers)
        places = np.arange(len(buyers), dtype=np.int64)
        super().__init__(
            tables, settings, as_of, places, self._given, all_rows=False, changed=changed
        )
        self._rows: dict[str, NDArray[np.int64]] = {}
        self._copies: dict[tuple[str, str], NDArray[Any]] = {}
        self._found: list[
            tuple[RowLists, NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]
        ] = []

    @property
    def is_in_place(self) -> bool:
        """The matrices in use take over what is found, with the gate closed."""
        return True

    def values(self, table: str, column: str) -> NDArray[Any]:
        """A column of these buyers' events, or of themselves: T[events] or T[n]."""
        if table != "customers" and table not in self.tables.events:
            return super().values(table, column)
        kept = self._copies.get((table, column))
        if kept is None:
            found, rows = self.tables.column(table, column), self._rows_in(table)
            if found.is_allocated:
                kept = found.values.take(rows)
            else:
                kept = np.full(len(rows), found.default, found.dtype)
            self._copies[table, column] = kept
        return kept

    def extra(self, table: str, name: str) -> NDArray[Any]:
        """An internal array of these buyers' events: T[events]."""
        key = (table, f"{name} of the table")
        kept = self._copies.get(key)
        if kept is None:
            kept = self.tables.events[table].extra(name).take(self._rows_in(table))
            self._copies[key] = kept
        return kept

    def _rows_in(self, table: str) -> NDArray[np.int64]:
        if table == "customers":
            return self.buyers
        self.history(table)
        return self._rows[table]

    def rows_of(self, table: str, events: NDArray[np.int32]) -> NDArray[np.int32]:
        """The rows of the table that these events are."""
        return self._rows_in(table)[events].astype(np.int32)

    def places_of(self, buyers: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """The numbers that these buyers, who are among those of the work, have here."""
        return np.searchsorted(self.buyers, buyers)

    def _gathered(self, table: str) -> History:
        events, buyers = self.tables.events[table], self.buyers
        heads, previous = self.tables.customers.heads(table), events.extra("previous")
        begins = np.zeros(len(buyers) + 1, np.int64)
        history.count_chains(buyers, heads, previous, begins)
        np.cumsum(begins, out=begins)
        found = np.empty(int(begins[-1]), np.int32)
        history.place_chains(buyers, heads, previous, begins, found)
        self._rows[table] = found.astype(np.int64)
        return History(begins, np.arange(len(found), dtype=np.int32))

    def give_lists(
        self,
        name: str,
        counts: NDArray[np.int32],
        codes: NDArray[np.int32],
        scores: NDArray[np.float64],
    ) -> None:
        """As of any work; kept until they are written back."""
        self._found.append((self._lists[name], counts, codes, scores))

    def write_back(self) -> None:
        """Take over what is another now, and let scan codes follow."""
        for name, fresh in self._given.copies.items():
            self.tables.customers.write_block(name, self.buyers, fresh)
        for lists, counts, codes, scores in self._found:
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
