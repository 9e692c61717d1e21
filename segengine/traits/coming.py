"""Which events will buyers have once a batch is in the tables?

A batch that only adds rows says it before it is there: they come after all others of their buyers.
So the traits of these buyers are worked out while everybody still looks at the tables, and what
remains to be done with the gate closed is to write. Which rows these are, and whose, is known of
where the batch goes. What changes rows that are there, such as an order that is paid, or lines that
its amount is the sum of, has to be in the tables first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.schema.tables import CUSTOMERS, FILLED, ORDER_LINES, ORDERS, STATUS_TIMES
from segengine.tables import order_loops
from segengine.tables.batch import Batch
from segengine.tables.column import JoinedColumn
from segengine.tables.events import NOT_GIVEN
from segengine.tables.fill import would_fill
from segengine.tables.placing import Placing
from segengine.tables.tables import Tables
from segengine.traits.answers import makes_trait


@dataclass(frozen=True, slots=True)
class Coming:
    """The rows of a batch, buyer by buyer, each buyer's in their order.

    buyers: int64[n], rows of the customers, ascending, each once; those who are new come last and
    have the rows that they will be given  counts: int64[n], their new rows
    rows: int64[m], of the table, where they will stand  places: int64[m], of the batch

    A batch of customers brings no events; its places are those of the buyers: int64[n].
    """

    batch: Batch
    buyers: NDArray[np.int64]
    counts: NDArray[np.int64]
    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    settled: Mapping[str, NDArray[Any]]
    """Columns and internal arrays that are settled of other tables and columns, by batch row."""
    products: NDArray[np.int64] | None = None
    """The product of each batch row, -1 for none; None where nothing is taken from products."""

    def values(self, tables: Tables, name: str) -> NDArray[Any]:
        """The values that the new rows will have in a column: T[m]."""
        if name in self.settled:
            return self.settled[name][self.places]
        column = tables.column(self.batch.table, name)
        if name in self.batch.columns:
            found = self.batch.values(name).astype(column.dtype)[self.places]
        else:
            found = np.full(len(self.places), column.default, column.dtype)
        if name in FILLED and self.products is not None:
            filled = would_fill(tables, name, self.products)
            if filled is not None:
                found = np.where(found < 0, filled[self.places], found)
        return found


def coming(
    tables: Tables, batch: Batch, named: Mapping[str, str], place: Placing | None
) -> Coming | None:
    """What a checked batch will bring to its buyers; None where it does more than add rows.

    Asked before it is applied, as it is then.  named: the questions that settings name
    place: where it goes, with its products; None where that is known only when it is applied
    """
    if place is None or batch.rows == 0:
        return None
    table = tables.table(batch.table)
    # What was never written is read in another way.
    kept = (table.columns[name] for name in batch.columns)
    if not all(each.is_allocated or isinstance(each, JoinedColumn) for each in kept):
        return None
    if batch.table == CUSTOMERS:
        return _customers(batch, place)
    if "question" in batch.columns and makes_trait(tables, named, batch.values("question")):
        return None
    if place.added < batch.rows:
        return None
    settled: Mapping[str, NDArray[Any]] | None = {}
    if batch.table == ORDERS:
        settled = _orders(tables, batch)
    elif batch.table == ORDER_LINES:
        settled = _lines_of_orders(tables, batch, place)
    if settled is None:
        return None
    places = np.argsort(place.buyers, kind="stable")
    ends = np.searchsorted(place.buyers[places], place.touched, side="right")
    counts = np.diff(ends, prepend=0)
    rows = table.rows + places
    return Coming(batch, place.touched, counts, rows, places, settled, place.products)


def _customers(batch: Batch, place: Placing) -> Coming:
    """Buyers, each once, with what is given of them; they bring no events."""
    rows = place.touched
    places = np.argsort(rows)
    nothing = np.empty(0, np.int64)
    return Coming(batch, rows[places], np.zeros(len(rows), np.int64), nothing, places, {})


def _orders(tables: Tables, batch: Batch) -> Mapping[str, NDArray[Any]]:
    """Whether new orders are purchases, and have statuses, by the loop that will settle them."""
    count, orders = batch.rows, tables.events[ORDERS]
    has_status = any(name in batch.columns for name in STATUS_TIMES)

    def values(name: str) -> NDArray[Any]:
        column = orders.columns[name]
        if name in batch.columns:
            return batch.values(name).astype(column.dtype)
        return np.full(count, column.default, column.dtype)

    def flags(value: int) -> NDArray[np.int8]:
        return np.full(count, value, np.int8)

    given = flags(NOT_GIVEN)
    if "is_purchase" in batch.columns:
        given = batch.values("is_purchase").astype(np.int8)
    is_purchase, statuses = flags(0), flags(int(has_status))
    no_line, nothing = np.empty(0, np.int32), np.empty(0, np.int64)
    order_loops.settle_orders(
        np.arange(count, dtype=np.int64), np.int64(tables.as_of),
        np.full(count, -1, np.int32), no_line, nothing, nothing, flags(0)[:0],
        flags(1), flags(int("amount" in batch.columns)), statuses, given,
        values("paid_at"), values("closed_at"), values("refunded_at"), values("refund_amount"),
        values("time"), values("amount"), is_purchase, flags(0)[:0],
    )  # fmt: skip
    return {"is_purchase": is_purchase, "has_status": statuses}


def _lines_of_orders(
    tables: Tables, batch: Batch, place: Placing
) -> Mapping[str, NDArray[Any]] | None:
    """Whether new lines are purchases, and their orders; None where they begin or change an order.

    An order that was given with its amount takes nothing from its lines.
    """
    orders, rows = tables.events[ORDERS], place.order_rows
    assert rows is not None
    assert place.begins_order is not None
    if len(place.begins_order):
        return None
    if not (orders.extra("row_given")[rows].all() and orders.extra("amount_given")[rows].all()):
        return None
    is_purchase = orders.columns["is_purchase"].values[rows]
    if "is_purchase" in batch.columns:
        given = batch.values("is_purchase").astype(np.int8)
        is_purchase = np.where(given >= 0, given, is_purchase)
    return {"is_purchase": is_purchase, "order_row": rows.astype(np.int32)}
