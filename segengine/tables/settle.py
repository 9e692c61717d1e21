"""What does an order take from its lines at a moment, and is it a purchase?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.schema.tables import ORDER_LINES, ORDERS
from segengine.tables import order_loops
from segengine.tables.table import Table
from segengine.tables.tables import Tables


def settle(tables: Tables, rows: NDArray[np.int64]) -> None:
    """Amount and time of derived orders, and `is_purchase` of orders and their lines."""
    orders, lines = tables.events[ORDERS], tables.events[ORDER_LINES]

    def values(table: Table, name: str) -> NDArray[Any]:
        return table.columns[name].values

    order_loops.settle_orders(
        rows, np.int64(tables.as_of), orders.extra("last_line"), lines.extra("previous_in_order"),
        values(lines, "amount"), values(lines, "time"), lines.extra("flag_given"),
        orders.extra("row_given"), orders.extra("amount_given"), orders.extra("has_status"),
        orders.extra("flag_given"), values(orders, "paid_at"), values(orders, "closed_at"),
        values(orders, "refunded_at"), values(orders, "refund_amount"), values(orders, "time"),
        values(orders, "amount"), values(orders, "is_purchase"), values(lines, "is_purchase"),
    )  # fmt: skip
    for name in ("time", "amount", "is_purchase"):
        orders.columns[name].touch(rows)
    if lines.columns["is_purchase"].has_codes:
        last, previous = orders.extra("last_line"), lines.extra("previous_in_order")
        touched = np.empty(order_loops.lines_of(rows, last, previous, rows[:0]), np.int64)
        order_loops.lines_of(rows, last, previous, touched)
        lines.columns["is_purchase"].touch(touched)


def unsettled(tables: Tables, as_of: int) -> NDArray[np.int64]:
    """Orders that take something else from their lines at another moment, and perhaps more.

    Those are orders with lines on both sides of either moment; where nothing lies ahead, none.
    """
    return np.union1d(_across(tables, tables.as_of), _across(tables, as_of))


def _across(tables: Tables, moment: int) -> NDArray[np.int64]:
    orders, lines = tables.events[ORDERS], tables.events[ORDER_LINES]
    if lines.latest <= moment:
        return np.empty(0, np.int64)
    later = lines.columns["time"].values[: lines.rows] > moment
    rows = np.unique(lines.extra("order_row")[: lines.rows][later])
    row_given = orders.extra("row_given")[rows] == 1
    # A derived order that lies ahead has all its lines; one with a row has those up to as_of.
    begun = orders.columns["time"].values[rows] <= moment
    derives = ~row_given | (orders.extra("amount_given")[rows] == 0)
    return rows[(begun | row_given) & derives].astype(np.int64)
