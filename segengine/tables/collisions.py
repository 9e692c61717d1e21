"""May a batch be checked while another one, checked already, is not in the tables yet?

Batches that wait are made lasting together, so each is checked against tables that lack those
before it. That is the same unless what it is checked for lies in one of them: a repeated event_id,
a key of another buyer, or what a column is to be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segengine.schema.tables import CUSTOMERS, ORDER_LINES, ORDERS, PRODUCTS
from segengine.tables.batch import Batch
from segengine.tables.key_index import first_places
from segengine.tables.tables import Tables


def settles_columns(tables: Tables, batch: Batch) -> bool:
    """Whether a batch settles what a column is: whoever comes next is read another way."""
    spec, table = tables.specs[batch.table], tables.table(batch.table)
    for name, column in batch.columns.items():
        known = spec.by_name.get(name)
        is_identifier = known is not None and known.identifier
        if is_identifier and tables.identifier_kind(batch.table, name) is None:
            return True
        kept = table.columns.get(name)
        if kept is None or (kept.dictionary is not column.dictionary):
            return True
    return False


def collide(tables: Tables, first: Batch, second: Batch) -> bool:
    """Whether the second batch would be judged otherwise once the first is in the tables."""
    if first.table == second.table and "event_id" in first.columns and "event_id" in second.columns:
        missing = _missing(tables, second.table, "event_id")
        ids = second.values("event_id")
        if np.isin(ids[ids != missing], first.values("event_id")).any():
            return True
    keeper = _keeper(tables, second)
    if keeper is None or keeper != _keeper(tables, first):
        return False
    key = tables.specs[keeper].key[0]
    if key not in first.columns or key not in second.columns:
        return False
    ids, buyers = _both(first, second, key), _both(first, second, "customer_id")
    keyed = ids != _missing(tables, keeper, key)
    ids, buyers = ids[keyed], buyers[keyed]
    return bool((buyers[first_places((ids, ids))] != buyers).any())


def _keeper(tables: Tables, batch: Batch) -> str | None:
    """The table whose key says which buyer a row of the batch belongs to."""
    if batch.table in (CUSTOMERS, PRODUCTS):
        return None
    name = ORDERS if batch.table == ORDER_LINES else batch.table
    return name if tables.specs[name].key else None


def _both(first: Batch, second: Batch, name: str) -> NDArray[np.int64]:
    return np.concatenate([first.values(name), second.values(name)]).astype(np.int64)


def _missing(tables: Tables, table: str, name: str) -> int:
    return int(tables.table(table).columns[name].missing)
