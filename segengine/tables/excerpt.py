"""Here are some buyers: all that is known of them, as tables of their own.

A batch touches a thousand buyers of a million, and their events lie all over the tables: whoever
looks them up one by one waits for memory most of the time. In an excerpt they stand side by side,
buyer after buyer; a table or a column is copied when it is first asked for, once for all who ask.

And a batch can be applied to an excerpt while everybody looks at the tables, by the code that will
apply it to those: so it is known what it will come to, and nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import history
from segengine.schema.tables import CUSTOMERS, ORDER_LINES, ORDERS, PRODUCTS
from segengine.tables.apply import apply
from segengine.tables.batch import Batch
from segengine.tables.customers import NOBODY, CustomerTable
from segengine.tables.events import EventTable
from segengine.tables.lazy import Lazy
from segengine.tables.placing import Placing
from segengine.tables.tables import Tables

_Rows = NDArray[np.int64]
_NO_ROWS = np.empty(0, np.int64)


class Excerpt:
    """Tables of some buyers alone, numbered 0, 1, 2, ..., and their events numbered the same way.

    tables: as any; dictionaries and traits, and products where none come, are those of the tables
    that it is of. What is written to columns and events reaches nobody else.
    buyers: int64[n], rows of the customers, ascending; those who have yet to come are last
    known: int64[n], the same, of whoever has yet to come the row of nobody
    """

    def __init__(
        self, tables: Tables, buyers: _Rows, coming: tuple[Batch, Placing] | None = None
    ) -> None:
        """coming: a checked batch, and where it goes, which is applied here."""
        self.buyers = buyers
        self.known = np.where(buyers < tables.customers.rows, buyers, NOBODY)
        added = {} if coming is None else _added(*coming)
        self._source = source = _Source(tables, self.known, added)
        is_of_products = coming is not None and coming[0].table == PRODUCTS
        self.tables = tables.with_own_products(added[PRODUCTS]) if is_of_products else copy(tables)
        customers = tables.customers.excerpt(self.known, Lazy(tables.events, source.heads))
        self.tables.customers = customers
        self.tables.events = Lazy(tables.events, partial(source.events, customers))
        if coming is not None:
            batch, place = coming
            batch = Batch(batch.table, batch.rows, dict(batch.columns))
            apply(self.tables, batch, None if is_of_products else self._placed(batch.table, place))

    def history(self, table: str) -> tuple[_Rows, NDArray[np.int32]]:
        """Each buyer's events in a table, in the order of arrival.

        Where each buyer's begin, int64[n + 1], and their rows here.
        """
        events, place = self.tables.events[table], self._source.place(table)
        if events.rows == len(place.rows):
            return place.begins, np.arange(events.rows, dtype=np.int32)
        everyone = np.arange(len(self.buyers), dtype=np.int64)
        return _chained(everyone, self.tables.customers.heads(table), events.extra("previous"))

    def rows_of(self, table: str, events: NDArray[np.int32]) -> NDArray[np.int32]:
        """The rows that these events have in the tables it is of, or will have there."""
        rows, count = self._source.place(table).rows, self._source.of.events[table].rows
        added = np.arange(count, count + self._source.added.get(table, 0))
        return np.concatenate([rows, added])[events].astype(np.int32)

    def _placed(self, table: str, place: Placing) -> Placing:
        """The same placing, by the numbers that buyers and rows have here."""
        buyers = np.searchsorted(self.buyers, place.buyers)
        if table == CUSTOMERS:
            return Placing(buyers, _NO_ROWS, buyers, buyers, 0)
        target, begin = place.target, len(self._source.place(table).rows)
        if isinstance(target, slice):
            target = slice(begin, begin + place.added)
        else:
            target = self._source.places(table, target, buyers)
            # INVARIANT: a key of another buyer is refused before.
            assert (target >= 0).all()
        order_rows = orders = None
        if place.order_rows is not None:
            order_rows = self._source.places(ORDERS, place.order_rows, buyers)
            orders = np.unique(order_rows)
            assert (order_rows >= 0).all()
        return Placing(
            buyers, _NO_ROWS, np.unique(buyers), target, place.added, order_rows,
            place.begins_order, orders, place.products,
        )  # fmt: skip


class _Place(NamedTuple):
    """The events of a table that are copied: begins int64[n + 1], rows of the table int64[events].

    Buyer k has those from begins[k] on, in the order of arrival.
    """

    begins: _Rows
    rows: _Rows


class _Source:
    """What an excerpt is copied from; it does not know the excerpt, which goes with its last use.

    added: how many rows come to each table
    """

    def __init__(self, tables: Tables, known: _Rows, added: dict[str, int]) -> None:
        self.of, self._known, self.added = tables, known, added
        self._found: dict[str, _Place] = {}
        self._line_chains: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None

    def place(self, table: str) -> _Place:
        """Where the buyers' events of a table stand."""
        found = self._found.get(table)
        if found is None:
            previous = self.of.events[table].extra("previous")
            begins, rows = _chained(self._known, self.of.customers.heads(table), previous)
            found = self._found[table] = _Place(begins, rows.astype(np.int64))
        return found

    def events(self, customers: CustomerTable, table: str) -> EventTable:
        """The events of a table, as a table with room for those that come."""
        made: dict[str, Callable[[str], NDArray[Any]]] = {
            "owner": lambda _: self._owners(table), "previous": lambda _: self._previous(table),
        }  # fmt: skip
        if table == ORDERS:
            made["last_line"] = lambda _: self._linked_lines()[0]
        if table == ORDER_LINES:
            made["order_row"] = lambda _: self._order_rows()
            made["previous_in_order"] = lambda _: self._linked_lines()[1]
        rows = self.place(table).rows
        capacity = len(rows) + self.added.get(table, 0)
        return self.of.events[table].excerpt(customers, rows, capacity, made)

    def heads(self, table: str) -> NDArray[np.int32]:
        """The latest arrival of each buyer, -1 for none: int32[n]."""
        begins = self.place(table).begins
        return np.where(begins[1:] > begins[:-1], begins[1:] - 1, -1).astype(np.int32)

    def places(self, table: str, rows: NDArray[Any], owners: NDArray[Any]) -> _Rows:
        """Where rows of a table, those to come among them, stand in the excerpt.

        owners: the number of each row's buyer
        """
        place, count = self.place(table), self.of.events[table].rows
        found = np.empty(len(rows), np.int64)
        history.find_owned(
            place.begins, place.rows, owners.astype(np.int64), rows.astype(np.int64), found
        )
        return np.where(rows >= count, rows - count + len(place.rows), found)

    def _owners(self, table: str) -> NDArray[np.int32]:
        everyone = np.arange(len(self._known), dtype=np.int32)
        return self._with_room(table, np.repeat(everyone, np.diff(self.place(table).begins)))

    def _previous(self, table: str) -> NDArray[np.int32]:
        begins, rows = self.place(table)
        previous = np.arange(-1, len(rows) - 1, dtype=np.int32)
        previous[begins[:-1][begins[1:] > begins[:-1]]] = -1
        return self._with_room(table, previous)

    def _order_rows(self) -> NDArray[np.int32]:
        begins, rows = self.place(ORDER_LINES)
        orders = self.of.events[ORDER_LINES].extra("order_row").take(rows)
        owners = np.repeat(np.arange(len(self._known)), np.diff(begins))
        found = self.places(ORDERS, orders, owners).astype(np.int32)
        return self._with_room(ORDER_LINES, found)

    def _linked_lines(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The last line of each order, and the line before each line in its order."""
        if self._line_chains is None:
            count = len(self.place(ORDER_LINES).rows)
            last = self._with_room(ORDERS, np.full(len(self.place(ORDERS).rows), -1, np.int32))
            previous = self._with_room(ORDER_LINES, np.full(count, -1, np.int32))
            history.link_rows(self._order_rows(), 0, count, last, previous)
            self._line_chains = last, previous
        return self._line_chains

    def _with_room(self, table: str, values: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.append(values, np.full(self.added.get(table, 0), -1, np.int32))


def _added(batch: Batch, place: Placing) -> dict[str, int]:
    """How many rows a batch adds to each table; to that of the customers they are added already."""
    found = {batch.table: place.added}
    if place.begins_order is not None:
        found[ORDERS] = len(place.begins_order)
    return found


def _chained(
    buyers: _Rows, heads: NDArray[np.int32], previous: NDArray[np.int32]
) -> tuple[_Rows, NDArray[np.int32]]:
    """The events of buyers, the first arrival first: where each buyer's begin, and they."""
    begins = np.zeros(len(buyers) + 1, np.int64)
    history.count_chains(buyers, heads, previous, begins)
    np.cumsum(begins, out=begins)
    found = np.empty(int(begins[-1]), np.int32)
    history.place_chains(buyers, heads, previous, begins, found)
    return begins, found
