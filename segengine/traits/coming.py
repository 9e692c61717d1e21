"""What will be another of its buyers once a batch is in the tables?

Asked of where the batch goes, before it is there. A batch that only adds rows leaves more as it is
than one that changes an order, whose lines follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segengine.schema.tables import CUSTOMERS, ORDER_LINES, ORDERS, PRODUCTS
from segengine.tables.batch import Batch
from segengine.tables.placing import Placing
from segengine.tables.tables import Tables
from segengine.traits.answers import makes_trait


@dataclass(frozen=True, slots=True)
class Coming:
    """A checked batch, where it goes, and what it changes.

    buyers: int64[n], rows of the customers, ascending, each once; those who are new come last and
    have the rows that they will be given
    changed: the tables whose events will be others; None: it may be any
    only_adds: rows of events come, and none that is there changes
    """

    batch: Batch
    place: Placing
    buyers: NDArray[np.int64]
    changed: frozenset[str] | None
    only_adds: bool


def coming(
    tables: Tables, batch: Batch, named: Mapping[str, str], place: Placing | None
) -> Coming | None:
    """What a checked batch will bring to its buyers; None where only the tables can tell.

    Asked before it is applied, as it is then.  named: the questions that settings name
    place: where it goes, with its products; None where that is known only when it is applied
    """
    if place is None or batch.rows == 0:
        return None
    if batch.table == PRODUCTS:
        # Most reach nobody.
        return Coming(batch, place, place.touched, None, False) if len(place.touched) else None
    if batch.table == CUSTOMERS:
        return Coming(batch, place, np.sort(place.touched), frozenset({CUSTOMERS}), False)
    if batch.table == "behaviors" and makes_trait(tables, named, batch):
        return None
    only_adds = place.added == batch.rows and not _changes_orders(tables, place)
    changed = frozenset({batch.table}) if only_adds else changed_by(batch.table)
    return Coming(batch, place, place.touched, changed, only_adds)


def _changes_orders(tables: Tables, place: Placing) -> bool:
    """Whether lines begin an order, or change one: one with an amount takes nothing from them."""
    if place.order_rows is None or place.begins_order is None:
        return False
    if len(place.begins_order):
        return True
    orders, rows = tables.events[ORDERS], place.order_rows
    return not (orders.extra("row_given")[rows].all() and orders.extra("amount_given")[rows].all())


def changed_by(table: str) -> frozenset[str] | None:
    """The tables that events of one change, for buyers who are known; None: it may be any.

    Lines make orders and settle them, orders settle their lines; a product fills in what events
    of several tables lack.
    """
    if table == PRODUCTS:
        return None
    return frozenset((ORDERS, ORDER_LINES) if table in (ORDERS, ORDER_LINES) else (table,))
