"""What does a batch do to the tables?

`contradictions` looks and changes nothing; `apply` changes and cannot fail. In between stands
the caller's decision to refuse or to skip.
"""

from __future__ import annotations

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
from segengine.tables.fill import fill_from_products
from segengine.tables.key_index import first_places
from segengine.tables.settle import settle
from segengine.tables.tables import Tables

_NOT_WRITTEN = {"customer_id", "is_purchase"}
_ASKED_LATER = {"time", "amount"}
_LARGE = 1_000_000
"""Rows from which on a table grows by just what it needs."""


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


def apply(tables: Tables, batch: Batch) -> Change:
    """Take the batch in; called with the gate closed."""
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
    if batch.table == CUSTOMERS:
        return _apply_customers(tables, batch)
    if batch.table == PRODUCTS:
        return _apply_products(tables, batch)
    return _apply_events(tables, tables.events[batch.table], batch)


def _apply_customers(tables: Tables, batch: Batch) -> Change:
    rows = tables.customers.rows_for(batch.values("customer_id"))
    for name, column in batch.columns.items():
        if name != "customer_id":
            tables.customers.columns[name].write(rows, column.values)
    return Change(rows, batch.rows)


def _apply_products(tables: Tables, batch: Batch) -> Change:
    products, ids = tables.products, batch.values("product_id")
    rows = tables.product_rows(ids)
    fills = [name for name in FILLED if name in batch.columns]
    known = np.flatnonzero(rows >= 0)
    revised = False
    for name in fills:
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
    touched = [np.empty(0, np.int64)]
    if fills:
        touched += [
            fill_from_products(tables, table, slice(0, table.rows), again=revised)
            for table in tables.events.values()
        ]
    return Change(np.unique(np.concatenate(touched)), batch.rows)


def _apply_events(tables: Tables, table: EventTable, batch: Batch) -> Change:
    repeats = drop_repeats(tables, batch)
    count = batch.rows
    has_status = any(name in batch.columns for name in STATUS_TIMES)
    owners = tables.customers.rows_for(batch.values("customer_id"))
    order_rows = None
    if table.spec.name == ORDER_LINES:
        order_rows, begin_orders = _orders_of_lines(tables, batch, owners)
    touched = _distinct(owners, tables.customers.rows)
    begin = table.rows
    target, added = _target_rows(table, batch, order_rows)
    end = begin + added
    table.reserve(end, exact=added > _LARGE)
    _write_event_ids(table, batch, begin, target)
    table.extra("owner")[target] = owners
    del owners, batch.columns["customer_id"]
    if order_rows is not None:
        table.extra("order_row")[target] = order_rows
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
    fill_from_products(tables, table, target, again=True)
    if order_rows is not None:
        orders = tables.events[ORDERS]
        history.link_rows(
            table.extra("order_row"), begin, end,
            orders.extra("last_line"), table.extra("previous_in_order"),
        )  # fmt: skip
        orders.link(begin_orders, orders.rows)
        settle(tables, _distinct(order_rows, orders.rows))
        orders.latest = max(orders.latest, table.latest)
    elif table.spec.name == ORDERS:
        rows = np.arange(begin, end) if isinstance(target, slice) else target
        _note_order_rows(table, batch, rows, has_status=has_status)
        settle(tables, np.unique(rows))
    return Change(touched, count, repeats)


def _distinct(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Each of these rows once, ascending; all are below `count`."""
    if len(rows) < count // 16:
        # A batch pays for what it brings, not for the size of the store.
        return np.unique(rows).astype(np.int64)
    seen = np.zeros(count, np.bool_)
    seen[rows] = True
    return np.flatnonzero(seen)


def drop_repeats(tables: Tables, batch: Batch) -> int:
    """Leave out rows whose event_id was seen before, for the first wins; how many there were."""
    if "event_id" not in batch.columns or batch.rows == 0:
        return 0
    table = tables.events[batch.table]
    ids = batch.values("event_id")
    repeated = table.has_seen(ids)
    repeated |= first_places((ids, ids)) != np.arange(batch.rows)
    repeated &= ids != _missing(batch, "event_id")
    batch.keep(~repeated)
    return int(repeated.sum())


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


def _target_rows(
    table: EventTable, batch: Batch, order_rows: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64] | slice, int]:
    """The row each batch row is written to, and how many rows that adds."""
    count, begin = batch.rows, table.rows
    if not table.spec.key or table.spec.key[-1] not in batch.columns:
        return slice(begin, begin + count), count
    everything = np.arange(count, dtype=np.int64)
    second = batch.values(table.spec.key[-1])
    first = order_rows if order_rows is not None else second
    missing = table.columns[table.spec.key[-1]].missing
    keyed = second != missing
    rows = table.index().find((first, second), table.key_arrays())
    rows[~keyed] = -1
    leader = first_places((first, second))
    leader[~keyed] = everything[~keyed]
    is_new = rows < 0
    fresh = np.flatnonzero(is_new & (leader == everything))
    numbers = np.empty(count, np.int64)
    numbers[fresh] = begin + np.arange(len(fresh))
    if len(fresh) == count:
        return slice(begin, begin + count), count
    rows[is_new] = numbers[leader[is_new]]
    return rows, len(fresh)


def _orders_of_lines(
    tables: Tables, batch: Batch, owners: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    """The order row of each line, new derived orders included, and where those begin."""
    orders = tables.events[ORDERS]
    begin, count = orders.rows, batch.rows
    everything = np.arange(count, dtype=np.int64)
    if "order_id" in batch.columns:
        ids = batch.values("order_id")
        missing = orders.columns["order_id"].missing
        rows = orders.index().find((ids, ids), orders.key_arrays())
        keyed = ids != missing
        leader = first_places((ids, ids))
        leader[~keyed] = everything[~keyed]
        rows[~keyed] = -1
    else:
        ids, leader = None, everything
        rows = np.full(count, -1, np.int64)
    is_new = rows < 0
    fresh = np.flatnonzero(is_new & (leader == everything))
    end = begin + len(fresh)
    orders.reserve(end, exact=len(fresh) > _LARGE)
    added = slice(begin, end)
    orders.columns["time"].write(added, batch.values("time")[fresh])
    if ids is not None:
        orders.columns["order_id"].write(added, ids[fresh])
    orders.extra("owner")[added] = owners[fresh]
    orders.rows = end
    orders.enter_keys(begin, end)
    numbers = np.empty(count, np.int64)
    numbers[fresh] = np.arange(begin, end)
    rows[is_new] = numbers[leader[is_new]]
    return rows, begin


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
