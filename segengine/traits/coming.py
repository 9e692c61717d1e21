"""Which events will buyers have once a batch is in the tables?

A batch that only adds rows says it before it is there: they come after all others of their buyers.
So the traits of these buyers are worked out while everybody still looks at the tables, and what
remains to be done with the gate closed is to write. What changes rows that are there, such as lines
that settle their order, has to be in the tables first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.schema.tables import FILLED, ORDER_LINES, ORDERS
from segengine.tables.batch import Batch
from segengine.tables.collisions import settles_columns
from segengine.tables.fill import would_fill
from segengine.tables.key_index import first_places
from segengine.tables.tables import Tables


@dataclass(frozen=True, slots=True)
class Coming:
    """The rows of a batch whose buyers are known, buyer by buyer, each buyer's in their order.

    buyers: int64[n], rows of the customers, ascending, each once  counts: int64[n], their new rows
    rows: int64[m], of the table, where they will stand  places: int64[m], of the batch
    """

    batch: Batch
    buyers: NDArray[np.int64]
    counts: NDArray[np.int64]
    rows: NDArray[np.int64]
    places: NDArray[np.int64]

    def values(self, tables: Tables, name: str) -> NDArray[Any]:
        """The values that the new rows will have in a column: T[m]."""
        column = tables.column(self.batch.table, name)
        if name in self.batch.columns:
            found = self.batch.values(name).astype(column.dtype)[self.places]
        else:
            found = np.full(len(self.places), column.default, column.dtype)
        if name in FILLED:
            filled = would_fill(tables, self.batch, name)
            if filled is not None:
                found = np.where(found < 0, filled[self.places], found)
        return found


def coming(tables: Tables, batch: Batch) -> Coming | None:
    """What a checked batch will bring to buyers there are; None where it does more than add rows.

    Asked before it is applied, as it is then.
    """
    table = tables.events.get(batch.table)
    if table is None or batch.table in (ORDERS, ORDER_LINES) or batch.rows == 0:
        return None
    # A question may make a trait; what was never written is read in another way.
    if "question" in batch.columns or settles_columns(tables, batch):
        return None
    if not all(table.columns[n].is_allocated for n in batch.columns if n != "customer_id"):
        return None
    if table.spec.key and table.spec.key[-1] in batch.columns and not _adds_all(tables, batch):
        return None
    owners = tables.customers.find(batch.values("customer_id"))
    places = np.argsort(owners, kind="stable")
    places = places[np.searchsorted(owners[places], 0) :]
    buyers, counts = np.unique(owners[places], return_counts=True)
    return Coming(batch, buyers, counts, table.rows + places, places)


def _adds_all(tables: Tables, batch: Batch) -> bool:
    """Whether no row of the batch has the key of another, there or here."""
    table = tables.events[batch.table]
    ids = batch.values(table.spec.key[-1])
    keyed = ids != table.columns[table.spec.key[-1]].missing
    ids = ids[keyed]
    known = table.index().find((ids, ids), table.key_arrays()) >= 0
    again = first_places((ids, ids)) != np.arange(len(ids))
    return not (known.any() or again.any())
