"""What do the tables look like without those who are gone?

Rows of deleted buyers and their events are left out, the others move up in their order, and every
dictionary keeps the texts that are still in use. Nothing else changes: whoever is asked for by id
has the same values and the same history.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segengine.kernels import history
from segengine.schema.tables import ORDER_LINES, ORDERS, ColumnSpec
from segengine.tables.column import Column, JoinedColumn, aligned, padded
from segengine.tables.customers import NOBODY
from segengine.tables.dictionary import NO_TAGS, Dictionary
from segengine.tables.events import EventTable
from segengine.tables.table import Table
from segengine.tables.tables import Tables

_Kept = NDArray[np.int64]
_LINKS = frozenset({"previous", "last_line", "previous_in_order"})
"""Places of rows in the same table, which are made anew."""


def compacted(tables: Tables) -> Tables:
    """New tables with what is left of these, which stay as they are; traits are not in them."""
    fresh = Tables(tables.specs, money_scale=tables.money_scale)
    fresh.as_of = tables.as_of
    fresh.fix_identifiers(tables.identifier_kinds)
    kept: dict[str, _Kept] = {name: _owned(table) for name, table in tables.events.items()}
    customers = tables.customers
    live = np.unpackbits(customers.live.view(np.uint8), bitorder="little")[: customers.rows]
    live[NOBODY] = 1
    buyers = np.flatnonzero(live).astype(np.int64)
    everything: list[tuple[Table, Table, _Kept]] = [
        (customers, fresh.customers, buyers),
        (tables.products, fresh.products, np.arange(tables.products.rows, dtype=np.int64)),
        *((t, fresh.events[n], kept[n]) for n, t in tables.events.items()),
    ]
    used = _texts_in_use(everything)
    codes: dict[int, NDArray[np.int32]] = {}
    owners = _new_places(buyers, customers.rows)
    orders = _new_places(kept[ORDERS], tables.events[ORDERS].rows)
    for old, new, rows in everything:
        _move(old, new, rows, used, codes)
    for name, table in fresh.events.items():
        _relink(tables.events[name], table, kept[name], owners, orders)
    mask = np.ones(len(buyers), np.uint8)
    mask[NOBODY] = 0
    words = np.zeros(8 * padded(len(buyers)) // 64, np.uint8)
    packed = np.packbits(mask, bitorder="little")
    words[: len(packed)] = packed
    fresh.customers.restore(len(buyers), words.view(np.uint64)[: (len(buyers) + 63) // 64].copy())
    for table in fresh.events.values():
        history.link_rows(
            table.extra("owner"), 0, table.rows,
            fresh.customers.heads(table.spec.name), table.extra("previous"),
        )  # fmt: skip
    lines = fresh.events[ORDER_LINES]
    history.link_rows(
        lines.extra("order_row"), 0, lines.rows,
        fresh.events[ORDERS].extra("last_line"), lines.extra("previous_in_order"),
    )  # fmt: skip
    for name, table in tables.events.items():
        ids, known = table.update_ids.keys, table.columns["event_id"].dictionary
        if len(ids) and known is not None:
            target = fresh.events[name].columns["event_id"].dictionary
            assert target is not None
            ids = _recoded(ids, known, target, used, codes).astype(np.int64)
        fresh.events[name].update_ids.add(ids)
    return fresh


def _owned(table: EventTable) -> _Kept:
    """The rows that belong to somebody, ascending."""
    return np.flatnonzero(table.extra("owner")[: table.rows] >= 0).astype(np.int64)


def _new_places(kept: _Kept, rows: int) -> NDArray[np.int32]:
    """Where each row has gone, -1 for one that is left out."""
    places = np.full(rows, -1, np.int32)
    places[kept] = np.arange(len(kept), dtype=np.int32)
    return places


def _coded(table: Table) -> list[tuple[Column, Dictionary]]:
    """The columns that keep codes themselves, with their dictionaries."""
    return [
        (column, column.dictionary)
        for column in table.columns.values()
        if column.dictionary is not None
        and column.is_allocated
        and not isinstance(column, JoinedColumn)
    ]


def _texts_in_use(
    everything: list[tuple[Table, Table, _Kept]],
) -> dict[int, NDArray[np.bool_]]:
    """Which codes of each dictionary a row that stays has."""
    used: dict[int, NDArray[np.bool_]] = {}
    for old, _, rows in everything:
        for column, dictionary in _coded(old):
            mask = used.setdefault(id(dictionary), np.zeros(dictionary.size, np.bool_))
            codes = column.values[rows]
            mask[codes[codes >= 0]] = True
            if dictionary.is_set:
                mask[NO_TAGS] = True
        if isinstance(old, EventTable):
            ids = old.columns["event_id"]
            if ids.dictionary is not None and len(old.update_ids.keys):
                mask = used.setdefault(id(ids.dictionary), np.zeros(ids.dictionary.size, np.bool_))
                mask[old.update_ids.keys] = True
    return used


def _move(
    old: Table,
    new: Table,
    rows: _Kept,
    used: dict[int, NDArray[np.bool_]],
    codes: dict[int, NDArray[np.int32]],
) -> None:
    """The values of these rows, and of the arrays that are no places of other rows."""
    count = len(rows)
    # A customer table has its nobody already.
    new.rows = min(new.rows, count)
    new.reserve(count, exact=True)
    new.given = set(old.given)
    for name, column in old.columns.items():
        if name not in new.columns:
            new.add_column(ColumnSpec(name, column.kind))
        if not column.is_allocated or isinstance(column, JoinedColumn):
            continue
        target = new.columns[name]
        values = column.values[rows]
        if column.dictionary is not None:
            assert target.dictionary is not None
            values = _recoded(values, column.dictionary, target.dictionary, used, codes)
        target.install(_whole(values, new.capacity, target.default), None)
    for name in old.extras():
        if name not in _LINKS:
            kept = new.extra(name)
            kept[:count] = old.extra(name)[rows]
    new.rows = count


def _recoded(
    values: NDArray[Any],
    old: Dictionary,
    new: Dictionary,
    used: dict[int, NDArray[np.bool_]],
    codes: dict[int, NDArray[np.int32]],
) -> NDArray[np.int32]:
    found = codes.get(id(old))
    if found is None:
        staying = np.flatnonzero(used[id(old)])
        new.restore(old.texts().take(staying))
        # One more place at the end: a missing value, -1, stays missing.
        found = np.full(old.size + 1, -1, np.int32)
        found[staying] = np.arange(len(staying), dtype=np.int32)
        codes[id(old)] = found
    return found[values]


def _whole(values: NDArray[Any], capacity: int, default: Any) -> NDArray[Any]:
    array = aligned(capacity, values.dtype, default)
    array[: len(values)] = values
    return array


def _relink(
    old: EventTable,
    new: EventTable,
    rows: _Kept,
    owners: NDArray[np.int32],
    orders: NDArray[np.int32],
) -> None:
    """Let places of buyers and orders follow where those have gone."""
    count = len(rows)
    new.extra("owner")[:count] = owners[old.extra("owner")[rows]]
    if new.spec.name == ORDER_LINES:
        new.extra("order_row")[:count] = orders[old.extra("order_row")[rows]]
    new.restore(count)
