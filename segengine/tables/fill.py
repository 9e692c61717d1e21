"""What does an event take from its product?

Category and brand, where the event has none of its own. What was taken is marked, so that it
follows the product when the product is revised.
"""

from __future__ import annotations

from typing import NamedTuple

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


class Filling(NamedTuple):
    """What rows of an event table take from their products.

    rows: int64[n], those of which anything changes  marks: int8[n], which of their columns are
    filled then  values: int32[n] by column  owners: int64, ascending, whose values change
    """

    rows: NDArray[np.int64]
    marks: NDArray[np.int8]
    values: dict[str, NDArray[np.int32]]
    owners: NDArray[np.int64]

    def write(self, table: EventTable) -> None:
        """Let the rows have it."""
        for name, values in self.values.items():
            table.columns[name].write(self.rows, values)
        if len(self.rows):
            table.extra("filled")[self.rows] = self.marks


_NOTHING = Filling(np.empty(0, np.int64), np.empty(0, np.int8), {}, np.empty(0, np.int64))


def filling(
    tables: Tables,
    table: EventTable,
    rows: NDArray[np.int64] | slice,
    *,
    again: bool,
    products_of_rows: NDArray[np.int64] | None = None,
) -> Filling:
    """What these rows would take of the products; nothing changes.

    again: look also at what was filled before, as the product, or which one it is, has changed.
    products_of_rows: int64, as many as rows, the product of each, where that is known already
    """
    columns, products = table.columns, tables.products
    if "filled" not in table.extras() or products.rows == 0:
        return _NOTHING
    product_id = columns["product_id"]
    if not product_id.is_allocated or product_id.kind is not products.columns["product_id"].kind:
        return _NOTHING
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
        return _NOTHING
    if products_of_rows is None:
        found = tables.product_rows(product_id.values[rows])
    else:
        found = products_of_rows[places]
    changed, marks = np.zeros(len(rows), np.bool_), filled[rows]
    marked = marks
    values = {}
    for name in names:
        bit, before = FILLED[name], columns[name].values[rows]
        taken = np.where(found >= 0, products.columns[name].values[np.maximum(found, 0)], -1)
        takes = (before < 0) | ((marks & bit) != 0)
        changed |= takes & (taken != before)
        values[name] = np.where(takes, taken, before)
        marks = np.where(takes, np.where(taken >= 0, marks | bit, marks & ~bit), marks)
    owners = table.extra("owner")[rows[changed]]
    changed |= marks != marked
    return Filling(
        rows[changed], marks[changed], {name: each[changed] for name, each in values.items()},
        np.unique(owners[owners >= 0]).astype(np.int64),
    )  # fmt: skip
