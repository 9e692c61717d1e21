"""What does a batch of products do? It gives products, and what events take from them.

A revised category reaches every event of the product, of whichever buyer, and to find those every
event is looked at. So that is asked of a copy of the products, while everybody looks at the tables.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segengine.schema.tables import FILLED
from segengine.tables.batch import Batch
from segengine.tables.fill import Filling, filling
from segengine.tables.tables import Tables

Fillings = Mapping[str, Filling]
"""What events take, by table; tables of which none does are left out."""


def write_products(tables: Tables, batch: Batch) -> bool:
    """Give the products; whether one that had a category or a brand has another now."""
    products, rows = tables.products, tables.product_rows(batch.values("product_id"))
    known = np.flatnonzero(rows >= 0)
    revised = False
    for name in _filling(batch):
        before = products.columns[name].values[rows[known]]
        revised |= bool(((before >= 0) & (before != batch.values(name)[known])).any())
    new = np.flatnonzero(rows < 0)
    begin, end = products.rows, products.rows + len(new)
    products.reserve(end)
    rows[new] = np.arange(begin, end)
    for name, column in batch.columns.items():
        products.columns[name].write(rows, column.values)
    products.rows = end
    tables.products_revision += 1
    kept = products.columns["product_id"].values
    tables.product_index().add((kept, kept), begin, end)
    return revised


def taken_of(tables: Tables, batch: Batch, *, revised: bool) -> Fillings:
    """What events take of products that a batch has given; nothing changes."""
    if not _filling(batch):
        return {}
    found = {
        name: filling(tables, table, slice(0, table.rows), again=revised)
        for name, table in tables.events.items()
    }
    return {name: each for name, each in found.items() if len(each.rows)}


def taken_ahead(tables: Tables, batch: Batch) -> Fillings:
    """What events will take of the products of a batch that has yet to be applied."""
    if not _filling(batch):
        return {}
    ahead = tables.with_own_products(batch.rows)
    return taken_of(ahead, batch, revised=write_products(ahead, batch))


def owners_of(taken: Fillings) -> NDArray[np.int64]:
    """The buyers whose events take something else now, ascending."""
    return np.unique(
        np.concatenate([np.empty(0, np.int64), *(each.owners for each in taken.values())])
    )


def _filling(batch: Batch) -> list[str]:
    return [name for name in FILLED if name in batch.columns]
