"""What has each product sold on the last 30 and 90 dates, to how many, and who looked at it?

Worked out when asked, from the events of the 90 dates alone: blocks of older rows are passed
over, the rest is dealt to products once, and a stamp per buyer makes distinct buyers exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.schema.tables import ORDER_LINES
from segengine.tables.column import aligned, padded
from segengine.traits import product_loops
from segengine.traits.product_loops import Dealt
from segengine.traits.product_places import product_places
from segengine.traits.work import Work

BEHAVIORS, VIEW = "behaviors", "view"


def product_sales(work: Work, *, views: bool) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sums int64[8, products], padded, and conversion rates float64[products].

    views: whether views are wanted too; without them those rows are 0 and the rates missing.
    """
    tables = work.tables
    capacity = padded(tables.products.rows)
    sums = aligned(8 * capacity, np.dtype(np.int64), 0).reshape(8, capacity)
    rates = aligned(capacity, np.dtype(np.float64), np.nan)
    sold = _dealt(work, ORDER_LINES, work.values(ORDER_LINES, "is_purchase"), 1)
    kind = -1
    if views:
        kind = int(work.dictionary(BEHAVIORS, "kind").find(pa.array([VIEW]))[0])
    if kind >= 0:
        seen = _dealt(work, BEHAVIORS, work.values(BEHAVIORS, "kind"), kind)
    else:
        seen = _nothing(tables.products.rows)
    product_loops.product_sales(
        sold, seen, work.values(ORDER_LINES, "quantity"), work.values(ORDER_LINES, "amount"),
        np.zeros((3, tables.customers.capacity), np.int32), sums, rates,
    )  # fmt: skip
    return sums, rates


def rows_since(work: Work, table: str, days: int) -> NDArray[np.int64]:
    """The rows of a table from the first of the `days` dates that end today up to as_of."""
    found = work.tables.events[table]
    column, since = found.columns["time"], work.since(days)
    nothing = np.empty(0, np.int64)
    if found.rows == 0:
        return nothing
    codes = column.scan_codes(found.rows)
    among = codes.between(since, work.as_of)
    if among is None:
        return nothing
    asked = (
        column.values, since, np.int64(work.as_of), codes.block_least, codes.block_greatest,
        among.first, among.last, found.rows,
    )  # fmt: skip
    rows = np.empty(product_loops.rows_between(*asked, nothing), np.int64)
    product_loops.rows_between(*asked, rows)
    return rows


def _dealt(work: Work, table: str, marks: NDArray[Any], wanted: int) -> Dealt:
    """The events of a table that count, by product."""
    found, rows = work.tables.events[table], rows_since(work, table, 90)
    owner = found.extra("owner")
    products = product_places(work.tables, table, rows)
    recent = np.empty(len(rows), np.int8)
    product_loops.sort_out(
        rows, owner, work.values(table, "time"), marks, wanted, work.clock,
        work.since(30), work.since(90), products, recent,
    )  # fmt: skip
    begins = np.zeros(work.tables.products.rows + 1, np.int64)
    product_loops.count_by_product(products, begins)
    np.cumsum(begins, out=begins)
    places = np.empty(int(begins[-1]), np.int32)
    product_loops.place_by_product(products, begins.copy(), places)
    return Dealt(begins, places, rows, recent, owner)


def _nothing(products: int) -> Dealt:
    """No event of any product."""
    none = np.empty(0, np.int32)
    begins = np.zeros(products + 1, np.int64)
    return Dealt(begins, none, np.empty(0, np.int64), np.empty(0, np.int8), none)
