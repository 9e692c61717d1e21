"""What does a batch do to the tables?

`contradictions` looks and changes nothing; `apply` changes and cannot fail. In between stands
the caller's decision to refuse or to skip.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import history
from segengine.schema.tables import (
    CUSTOMERS,
    FILLED,
    ORDER_LINES,
    ORDERS,
    PRODUCTS,
    STATUS_TIMES,
    ColumnSpec,
)
from segengine.tables.batch import BadRows, Batch, Change
from segengine.tables.events import EventTable
from segengine.tables.fill import filling
from segengine.tables.key_index import first_places
from segengine.tables.placing import LARGE, Placing, placing
from segengine.tables.product_batch import owners_of, taken_of, write_products
from segengine.tables.settle import settle
from segengine.tables.tables import Tables

_NOT_WRITTEN = {"customer_id", "is_purchase"}
_ASKED_LATER = {"time", "amount"}


def contradictions(tables: Tables, batch: Batch) -> list[BadRows]:
    """Rows that cannot be: a repeated id in customers or products, one key of two buyers."""
    if batch.table in (CUSTOMERS, PRODUCTS):
        key = tables.specs[batch.table].key[0]
        ids = batch.values(key)
        repeated = np.flatnonzero(first_places((ids, ids)) != np.arange(batch.rows))
        return _bad(batch, key, f"a {key} that the source has already given", repeated)
    keeper = tables.events[ORDERS if batch.table == ORDER_LINES else batch.table]
    key = keeper.spec.key[0] if keeper.spec.key else ""
    if key not in batch.columns:
        return []
    column, buyers = batch.columns[key], batch.values("customer_id")
    ids = column.values
    keyed = ids != _missing(batch, key)
    wrong = buyers[first_places((ids, ids))] != buyers
    if keeper.rows and keeper.columns[key].kind is column.kind:
        existing = keeper.index().find((ids, ids), keeper.key_arrays())
        known = existing >= 0
        owner_rows = keeper.extra("owner")[existing[known]]
        wrong[known] |= tables.customers.find(buyers[known]) != owner_rows
    rows = np.flatnonzero(keyed & wrong)
    return _bad(batch, key, f"this {key} belongs to another customer_id", rows)


def _bad(batch: Batch, column: str, reason: str, rows: NDArray[np.int64]) -> list[BadRows]:
    if len(rows) == 0:
        return []
    kept = batch.columns[column]
    examples = kept.values[rows[:3]]
    if kept.dictionary is not None:
        texts = kept.dictionary.texts()
        shown = [str(texts[int(code)]) for code in examples]
    else:
        shown = [str(value) for value in examples]
    return [BadRows(column, reason, rows, tuple(shown))]


def _missing(batch: Batch, column: str) -> int:
    kind = batch.columns[column].kind
    return -1 if kind.is_coded else int(np.iinfo(np.int64).min)


def apply(tables: Tables, batch: Batch, place: Placing | None = None) -> Change:
    """Take the batch in; called with the gate closed.

    place: where it goes, where that was found before; tables are as they were then.
    """
    spec = tables.specs[batch.table]
    table = tables.table(batch.table)
    for name, column in batch.columns.items():
        known = spec.by_name.get(name)
        if known is not None and known.identifier:
            tables.fix_identifier(batch.table, name, column.kind)
        if name not in table.columns:
            table.add_column(ColumnSpec(name, column.kind))
        if not table.columns[name].is_allocated:
            # The batch was coded before the column had a dictionary of its own.
            table.columns[name].dictionary = column.dictionary
        table.given.add(name)
    if batch.table == PRODUCTS:
        return _apply_products(tables, batch, place)
    place = place or placing(tables, batch)
    if batch.table == CUSTOMERS:
        return _apply_customers(tables, batch, place)
    return _apply_events(tables, tables.events[batch.table], batch, place)


def _apply_customers(tables: Tables, batch: Batch, place: Placing) -> Change:
    tables.customers.add(place.new_buyers)
    for name, column in batch.columns.items():
        if name != "customer_id":
            tables.customers.columns[name].write(place.touched, column.values)
    return Change(place.touched, batch.rows)


def _apply_products(tables: Tables, batch: Batch, place: Placing | None) -> Change:
    revised = write_products(tables, batch)
    taken = None if place is None else place.taken
    if taken is None:
        taken = taken_of(tables, batch, revised=revised)
    for name, each in taken.items():
        each.write(tables.events[name])
    return Change(owners_of(taken), batch.rows)


def _apply_events(tables: Tables, table: EventTable, batch: Batch, place: Placing) -> Change:
    count, target = batch.rows, place.target
    has_status = any(name in batch.columns for name in STATUS_TIMES)
    tables.customers.add(place.new_buyers)
    orders = tables.events[ORDERS]
    begin_orders = orders.rows
    if place.begins_order is not None:
        _begin_orders(orders, batch, place.buyers, place.begins_order)
    begin = table.rows
    end = begin + place.added
    table.reserve(end, exact=place.added > LARGE)
    _write_event_ids(table, batch, begin, target)
    table.extra("owner")[target] = place.buyers
    del batch.columns["customer_id"]
    if place.order_rows is not None:
        table.extra("order_row")[target] = place.order_rows
    for name in [n for n in batch.columns if n not in _NOT_WRITTEN]:
        table.columns[name].write(target, batch.values(name))
        if name in FILLED and "filled" in table.extras():
            table.extra("filled")[target] &= ~FILLED[name]
        if name not in _ASKED_LATER:
            # A large load is not held twice.
            del batch.columns[name]
    if "is_purchase" in batch.columns:
        if table.spec.name in (ORDERS, ORDER_LINES):
            table.extra("flag_given")[target] = batch.values("is_purchase")
        else:
            table.columns["is_purchase"].write(target, batch.values("is_purchase"))
    table.rows = end
    table.link(begin, end)
    table.enter_keys(begin, end)
    if count:
        table.latest = max(table.latest, int(batch.values("time").max()))
    filling(tables, table, target, again=True, products_of_rows=place.products).write(table)
    if place.orders is not None:
        history.link_rows(
            table.extra("order_row"), begin, end,
            orders.extra("last_line"), table.extra("previous_in_order"),
        )  # fmt: skip
        orders.link(begin_orders, orders.rows)
        settle(tables, place.orders)
        orders.latest = max(orders.latest, table.latest)
    elif table.spec.name == ORDERS:
        rows = np.arange(begin, end) if isinstance(target, slice) else target
        _note_order_rows(table, batch, rows, has_status=has_status)
        settle(tables, rows if isinstance(target, slice) else np.unique(rows))
    return Change(place.touched, count, place.repeats)


def _begin_orders(
    orders: EventTable, batch: Batch, buyers: NDArray[Any], begins: NDArray[np.int64]
) -> None:
    """Give the orders that lines begin rows of their own; what else they are is settled later."""
    begin, end = orders.rows, orders.rows + len(begins)
    orders.reserve(end, exact=len(begins) > LARGE)
    added = slice(begin, end)
    orders.columns["time"].write(added, batch.values("time")[begins])
    if "order_id" in batch.columns:
        orders.columns["order_id"].write(added, batch.values("order_id")[begins])
    orders.extra("owner")[added] = buyers[begins]
    orders.rows = end
    orders.enter_keys(begin, end)


def _write_event_ids(
    table: EventTable, batch: Batch, begin: int, target: NDArray[np.int64] | slice
) -> None:
    """A row shows the event_id that began it; those of its updates are only remembered."""
    if "event_id" not in batch.columns:
        return
    ids = batch.columns.pop("event_id").values
    if not isinstance(target, slice):
        rows, places = np.unique(target, return_index=True)
        places = places[rows >= begin]
        table.update_ids.add(np.delete(ids, places))
        ids = ids[places]
    table.columns["event_id"].write(slice(begin, begin + len(ids)), ids)


def _note_order_rows(
    orders: EventTable, batch: Batch, rows: NDArray[np.int64], *, has_status: bool
) -> None:
    """What an order's own row decides: its amount, and whether it has statuses."""
    first_time = rows[orders.extra("row_given")[rows] == 0]
    orders.extra("has_status")[first_time] = has_status
    orders.extra("row_given")[rows] = 1
    if "amount" in batch.columns:
        # A null is given too: missing is not the sum of the lines.
        orders.extra("amount_given")[rows] = 1
