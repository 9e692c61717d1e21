"""What do the tables look like to analysts: plain logical types that never change?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine import stopping
from segengine.errors import UnknownNameError, did_you_mean
from segengine.ingest.sources import lock
from segengine.rules.segment import View, rows_of
from segengine.rules.selection import product_table
from segengine.schema.kinds import Kind
from segengine.schema.tables import CUSTOMERS, ORDERS, PRODUCTS, PURCHASES
from segengine.tables.column import arrow_of
from segengine.tables.events import EventTable
from segengine.tables.tables import Tables


def table_names(tables: Tables) -> list[str]:
    """Every table that can be handed out."""
    return [*tables.specs, PURCHASES]


def columns_of(tables: Tables, view: View) -> dict[str, tuple[str, ...]]:
    """The columns of every table that can be handed out, traits among them."""
    found = {
        CUSTOMERS: tuple(view.trait_names()),
        PRODUCTS: tuple(view.population.products.kinds()),
    }
    found |= {name: tuple(table.columns) for name, table in tables.events.items()}
    return found | {PURCHASES: found[ORDERS]}


def arrow_table(tables: Tables, view: View, name: str, columns: Sequence[str] | None) -> pa.Table:
    """A copy of a table as it is at a moment; customers and products bring their traits."""
    if name == CUSTOMERS:
        return _customers(view, columns)
    if name == PRODUCTS:
        products = view.population.products
        names = list(products.kinds()) if columns is None else list(dict.fromkeys(columns))
        return product_table(products, slice(0, products.rows), names)
    if name == PURCHASES:
        return _purchases(tables, columns, view.clock.as_of)
    if name not in tables.events:
        hint = did_you_mean(name, table_names(tables)) or "known: " + ", ".join(table_names(tables))
        raise UnknownNameError(f"unknown table `{name}`; {hint}", field="table")
    table = tables.events[name]
    names = _chosen(name, table.columns, columns)
    return table.to_arrow(names, _visible(table, view.clock.as_of), tables.money_scale)


def _chosen(table: str, known: Iterable[str], columns: Sequence[str] | None) -> list[str]:
    names = list(known)
    if columns is None:
        return names
    for column in columns:
        if column not in names:
            hint = did_you_mean(column, names)
            raise UnknownNameError(
                f"table `{table}` has no column `{column}`" + (f"; {hint}" if hint else ""),
                field="columns",
            )
    return list(dict.fromkeys(columns))


def _customers(view: View, columns: Sequence[str] | None) -> pa.Table:
    names = _chosen(CUSTOMERS, view.trait_names(), columns)
    rows = rows_of(view.population.customers.live)
    return pa.table([view.values(name, rows) for name in names], names=names)


def _visible(table: EventTable, as_of: int) -> NDArray[np.int64] | slice:
    """The rows of buyers who are there and of events that have happened."""
    owners = table.extra("owner")[: table.rows]
    seen = owners >= 0
    if table.latest > as_of:
        seen &= table.columns["time"].values[: table.rows] <= as_of
    return slice(0, table.rows) if bool(seen.all()) else np.flatnonzero(seen)


def _purchases(tables: Tables, columns: Sequence[str] | None, as_of: int) -> pa.Table:
    """Orders that are purchases; their amount is net of what was refunded."""
    orders = tables.events[ORDERS]
    names = _chosen(PURCHASES, orders.columns, columns)
    visible = _visible(orders, as_of)
    rows = np.arange(orders.rows)[visible]
    rows = rows[orders.columns["is_purchase"].values[rows] == 1]
    found = orders.to_arrow(names, rows, tables.money_scale)
    if "amount" in names:
        missing = orders.columns["amount"].missing
        amount = orders.columns["amount"].values[rows]
        refund = orders.columns["refund_amount"].values[rows]
        net = np.where((amount == missing) | (refund == missing), amount, amount - refund)
        place = names.index("amount")
        column = arrow_of(net, Kind.MONEY, None, tables.money_scale)
        found = found.set_column(place, "amount", column)
    return found


def connection(
    tables: Tables,
    view: View,
    names: Sequence[str] | Mapping[str, Sequence[str]] | None,
    timezone: str,
) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection over copies of the tables; it reads no file and no other data.

    names: the tables, or those with the columns wanted of each; None is for all.
    """
    connected = duckdb.connect(":memory:")
    for name in names if names is not None else table_names(tables):
        columns = names[name] if isinstance(names, Mapping) else None
        connected.register(name, arrow_table(tables, view, name, columns))
    lock(connected, timezone, [])
    return connected


MEMORY = pa.schema(
    [
        ("table", pa.string()),
        ("column", pa.string()),
        ("values_bytes", pa.int64()),
        ("scan_codes_bytes", pa.int64()),
        ("dictionary_bytes", pa.int64()),
        ("total_bytes", pa.int64()),
    ]
)


def memory_table(
    tables: Tables,
    buckets_bytes: int,
    standing_bytes: int,
    product_bytes: int,
    pool_bytes: int,
) -> pa.Table:
    """Bytes by table and column, the largest first; a shared dictionary counts once."""
    rows: list[tuple[str, str, int, int, int]] = []
    seen: set[int] = set()
    customers = tables.customers
    everything = {CUSTOMERS: customers, PRODUCTS: tables.products, **tables.events}
    for name, table in everything.items():
        columns = dict(table.columns)
        if table is customers:
            columns |= customers.traits
        internal = sum(int(table.extra(e).nbytes) for e in table.extras())
        if table is customers:
            internal += int(customers.live.nbytes) + sum(
                int(customers.heads(t).nbytes) for t in tables.events
            )
        rows.append((name, "(internal)", internal, 0, 0))
        for column in columns.values():
            values, codes, dictionary = column.nbytes()
            if id(column.dictionary) in seen:
                dictionary = 0
            seen.add(id(column.dictionary))
            rows.append((name, column.name, values, codes, dictionary))
    rows.append(("(buckets)", "(all salts)", buckets_bytes, 0, 0))
    rows.append(("(standing leaves)", "(all)", standing_bytes, 0, 0))
    rows.append((PRODUCTS, "(traits)", product_bytes, 0, 0))
    rows.append((PRODUCTS, "(pools)", pool_bytes, 0, 0))
    rows.append(("(affinities)", "(all kinds)", tables.affinities.nbytes(), 0, 0))
    rows = sorted((r for r in rows if sum(r[2:])), key=lambda r: -sum(r[2:]))
    full = [(*r, sum(r[2:])) for r in rows]
    return pa.table(
        [pa.array([r[i] for r in full], f.type) for i, f in enumerate(MEMORY)], schema=MEMORY
    )


@contextmanager
def ending_with_its_caller(connected: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """The connection closes with the block; a query in it ends when nobody waits any more."""
    with connected:
        try:
            with stopping.ending(connected.interrupt):
                yield
        except duckdb.InterruptException:
            stopping.go_on()
            raise
