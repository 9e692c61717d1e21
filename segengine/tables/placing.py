"""Which rows will a batch write to?

Asked before the gate is closed, while everybody looks: who its buyers are, which rows have its keys
already, which orders its lines begin, which products its events are about. So is room made where
tables have to grow, for to grow is to copy. What `apply` does then is to write.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.schema.tables import CUSTOMERS, ORDER_LINES, ORDERS, PRODUCTS
from segengine.tables.batch import Batch
from segengine.tables.collisions import settles_columns
from segengine.tables.events import EventTable
from segengine.tables.fill import products_of
from segengine.tables.key_index import KeyIndex, Keys, first_places
from segengine.tables.product_batch import Fillings, owners_of, taken_ahead
from segengine.tables.table import Room, Table
from segengine.tables.tables import Tables

LARGE = 1_000_000
"""Rows from which on a table grows by just what it needs."""
_Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Placing:
    """Where the rows of a batch go, in tables that are as they were when it was asked.

    buyers: int64[n], the buyer of each row; those who are new are numbered on from those there are
    new_buyers: their ids, in the order of their rows
    touched: int64, of events each buyer once, ascending; of customers the buyer of each row
    target: the row that each is written to  added: how many of those are new
    order_rows: int64[n], of lines, the order of each; new ones are numbered on
    begins_order: int64, of lines, places in the batch of those that begin an order
    orders: int64, of lines, each of their orders once, ascending
    products: int64[n], the product of each row, -1 for none; None where that was not asked
    repeats: rows of the batch that were there already, and are left out of it since
    taken: of products, what events take of them, whose buyers are those that are touched
    """

    buyers: _Rows | NDArray[np.int32]
    new_buyers: NDArray[np.int64] | NDArray[np.int32]
    touched: _Rows
    target: _Rows | slice
    added: int
    order_rows: _Rows | None = None
    begins_order: _Rows | None = None
    orders: _Rows | None = None
    products: _Rows | None = None
    repeats: int = 0
    taken: Fillings | None = None


def placing(tables: Tables, batch: Batch, *, ahead: bool = False) -> Placing:
    """Where the rows of a batch go whose columns are settled.

    Changes nothing but the batch, which loses the rows that were there before. Called with the
    right to write, which is kept until `apply` has made use of what is found.  ahead: find the
    products too, which `apply` looks up for the rows alone that need them
    """
    if batch.table == CUSTOMERS:
        rows, new = tables.customers.numbered(batch.values("customer_id"))
        return Placing(rows, new, rows, rows, len(new))
    table = tables.events[batch.table]
    repeats = drop_repeats(tables, batch)
    owners, new_buyers = tables.customers.numbered(batch.values("customer_id"))
    touched = distinct(owners, tables.customers.rows + len(new_buyers))
    # As the tables keep them: of a large load that is half of what it was.
    buyers = owners.astype(np.int32)
    del owners
    order_rows = begins_order = orders = None
    if batch.table == ORDER_LINES:
        order_rows, begins_order = _orders_of_lines(tables, batch)
        orders = distinct(order_rows, tables.events[ORDERS].rows + len(begins_order))
    target, added = _target_rows(table, batch, order_rows)
    products = products_of(tables, batch) if ahead else None
    if products is not None and not isinstance(target, slice):
        products = _last_of_each(target, products)
    return Placing(
        buyers, new_buyers, touched, target, added, order_rows, begins_order, orders, products,
        repeats,
    )  # fmt: skip


def placed_ahead(tables: Tables, batch: Batch) -> Placing | None:
    """As `placing`; None where that can be said only when the batch has settled its columns."""
    if settles_columns(tables, batch):
        return None
    if batch.table == PRODUCTS:
        taken, none = taken_ahead(tables, batch), np.empty(0, np.int64)
        rows = tables.product_rows(batch.values("product_id"))
        added = int(np.count_nonzero(rows < 0))
        return Placing(none, none, owners_of(taken), rows, added, taken=taken)
    return placing(tables, batch, ahead=True)


def distinct(rows: _Rows, count: int) -> _Rows:
    """Each of these rows once, ascending; all are below `count`."""
    if len(rows) < count // 16:
        # A batch pays for what it brings, not for the size of the store.
        return np.unique(rows).astype(np.int64)
    seen = np.zeros(count, np.bool_)
    seen[rows] = True
    return np.flatnonzero(seen)


def drop_repeats(tables: Tables, batch: Batch) -> int:
    """Leave out rows whose event_id was seen before, for the first wins; how many there were."""
    if "event_id" not in batch.columns or batch.rows == 0:
        return 0
    table = tables.events[batch.table]
    ids = batch.values("event_id")
    repeated = table.has_seen(ids)
    repeated |= first_places((ids, ids)) != np.arange(batch.rows)
    kind = batch.columns["event_id"].kind
    repeated &= ids != (-1 if kind.is_coded else int(np.iinfo(np.int64).min))
    batch.keep(~repeated)
    return int(repeated.sum())


def _target_rows(
    table: EventTable, batch: Batch, order_rows: _Rows | None
) -> tuple[_Rows | slice, int]:
    """The row each batch row is written to, and how many rows that adds."""
    count, begin = batch.rows, table.rows
    if not table.spec.key or table.spec.key[-1] not in batch.columns:
        return slice(begin, begin + count), count
    everything = np.arange(count, dtype=np.int64)
    second = batch.values(table.spec.key[-1])
    first = order_rows if order_rows is not None else second
    missing = table.columns[table.spec.key[-1]].missing
    keyed = second != missing
    rows = table.index().find((first, second), table.key_arrays())
    rows[~keyed] = -1
    leader = first_places((first, second))
    leader[~keyed] = everything[~keyed]
    is_new = rows < 0
    fresh = np.flatnonzero(is_new & (leader == everything))
    numbers = np.empty(count, np.int64)
    numbers[fresh] = begin + np.arange(len(fresh))
    if len(fresh) == count:
        return slice(begin, begin + count), count
    rows[is_new] = numbers[leader[is_new]]
    return rows, len(fresh)


def _last_of_each(target: _Rows, values: _Rows) -> _Rows:
    """For each batch row the value of the last one with the same target: that is what stays."""
    _, places, same = np.unique(target[::-1], return_index=True, return_inverse=True)
    return values[::-1][places][same][::-1]


def _orders_of_lines(tables: Tables, batch: Batch) -> tuple[_Rows, _Rows]:
    """The order of each line, derived orders numbered on, and the lines that begin those."""
    orders = tables.events[ORDERS]
    begin, count = orders.rows, batch.rows
    everything = np.arange(count, dtype=np.int64)
    if "order_id" in batch.columns:
        ids = batch.values("order_id")
        rows = orders.index().find((ids, ids), orders.key_arrays())
        keyed = ids != orders.columns["order_id"].missing
        leader = first_places((ids, ids))
        leader[~keyed] = everything[~keyed]
        rows[~keyed] = -1
    else:
        leader = everything
        rows = np.full(count, -1, np.int64)
    is_new = rows < 0
    fresh = np.flatnonzero(is_new & (leader == everything))
    numbers = np.empty(count, np.int64)
    numbers[fresh] = begin + np.arange(len(fresh))
    rows[is_new] = numbers[leader[is_new]]
    return rows, fresh


class Growth:
    """The room that a batch needs, made beside tables at which everybody looks.

    Made of tables as they are when the batch is applied; `take` is called with the gate closed.
    """

    def __init__(self, tables: Tables, batch: Batch, place: Placing) -> None:
        self._rooms: list[tuple[Table, Room]] = []
        self._slots: list[tuple[KeyIndex, NDArray[np.int32]]] = []
        self._before: list[object] = []
        customers = tables.customers
        if len(place.new_buyers):
            kept = customers.columns["customer_id"].values
            self._add(customers, len(place.new_buyers), [(customers.index, (kept, kept))])
        if batch.table == PRODUCTS and place.added:
            kept = tables.products.columns["product_id"].values
            self._add(tables.products, place.added, [(tables.product_index(), (kept, kept))])
        if batch.table in (CUSTOMERS, PRODUCTS):
            return
        if place.begins_order is not None:
            self._add_events(tables.events[ORDERS], len(place.begins_order))
        self._add_events(tables.events[batch.table], place.added)

    def _add_events(self, table: EventTable, added: int) -> None:
        if added:
            self._add(table, added, table.kept_keys())

    def _add(self, table: Table, added: int, indexes: list[tuple[KeyIndex, Keys]]) -> None:
        end = table.rows + added
        room = table.room(end, exact=added > LARGE)
        if room is not None:
            self._rooms.append((table, room))
        for index, kept in indexes:
            slots = index.larger(kept, table.rows, end, table.new_array)
            if slots is not None:
                self._slots.append((index, slots))

    def take(self) -> None:
        """Let the tables have it. What they had before is kept as long as this."""
        for table, room in self._rooms:
            self._before += table.take(room)
        for index, slots in self._slots:
            self._before.append(index.slots)
            index.slots = slots
