"""What does an event take from its product?

Category and brand, where the event has none of its own. What was taken is marked, so that it
follows the product when the product is revised.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.schema.tables import FILLED
from segengine.tables.batch import Batch
from segengine.tables.events import EventTable
from segengine.tables.tables import Tables


def products_of(tables: Tables, batch: Batch) -> NDArray[np.int64] | None:
    """The product of each row of a batch of events, -1 for none; None where nothing is taken."""
    table, product_id = tables.events[batch.table], batch.columns.get("product_id")
    if "filled" not in table.extras() or tables.products.rows == 0 or product_id is None:
        return None
    if product_id.kind is not tables.products.columns["product_id"].kind:
        return None
    return tables.product_rows(product_id.values)


def fill_from_products(
    tables: Tables,
    table: EventTable,
    rows: NDArray[np.int64] | slice,
    *,
    again: bool,
    products_of_rows: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Fill these rows; the owners of rows that changed.

    again: look also at what was filled before, as the product, or which one it is, has changed.
    products_of_rows: int64, as many as rows, the product of each, where that is known already
    """
    nobody = np.empty(0, np.int64)
    columns, products = table.columns, tables.products
    if "filled" not in table.extras() or products.rows == 0:
        return nobody
    product_id = columns["product_id"]
    if not product_id.is_allocated or product_id.kind is not products.columns["product_id"].kind:
        return nobody
    filled = table.extra("filled")
    names = [n for n in FILLED if n in columns and products.columns[n].is_allocated]
    is_open = np.zeros(len(filled[rows]), np.bool_)
    for name in names:
        is_open |= columns[name].values[rows] < 0
        if again:
            is_open |= (filled[rows] & FILLED[name]) != 0
    places = np.flatnonzero(is_open)
    rows = places + rows.start if isinstance(rows, slice) else rows[places]
    if len(rows) == 0:
        return nobody
    if products_of_rows is None:
        found = tables.product_rows(product_id.values[rows])
    else:
        found = products_of_rows[places]
    changed = np.zeros(len(rows), np.bool_)
    for name in names:
        bit = FILLED[name]
        before, marks = columns[name].values[rows], filled[rows]
        taken = np.where(found >= 0, products.columns[name].values[np.maximum(found, 0)], -1)
        takes = (before < 0) | ((marks & bit) != 0)
        differs = takes & (taken != before)
        columns[name].write(rows[differs], taken[differs])
        filled[rows] = np.where(takes, np.where(taken >= 0, marks | bit, marks & ~bit), marks)
        changed |= differs
    owners = table.extra("owner")[rows[changed]]
    return np.unique(owners[owners >= 0]).astype(np.int64)
