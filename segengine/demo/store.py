"""How is a demo store read? Table by table, as a stream of batches that is the same every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from segengine.demo import (
    behaviors,
    buyers,
    catalogue,
    impressions,
    messages,
    orders,
    points,
    reviews,
)
from segengine.demo.buyers import Buyers
from segengine.demo.orders import Orders
from segengine.demo.plans import store_config
from segengine.demo.setting import Setting, build_setting

AS_OF = datetime(2025, 6, 30, 20, tzinfo=ZoneInfo("Asia/Shanghai"))
"""The moment the demo store is true for: a Monday evening after the mid-year sales."""

TABLES = (
    *("products", "customers", "orders", "order_lines", "behaviors"),
    *("reviews", "messages", "impressions", "points"),
)

_SCHEMAS = {
    "products": catalogue.SCHEMA,
    "customers": buyers.SCHEMA,
    "orders": orders.ORDER_SCHEMA,
    "order_lines": orders.LINE_SCHEMA,
    "behaviors": behaviors.SCHEMA,
    "reviews": reviews.SCHEMA,
    "messages": messages.SCHEMA,
    "impressions": impressions.SCHEMA,
    "points": points.SCHEMA,
}

_FROM_ORDERS: dict[str, Callable[[Setting, int, Buyers, Orders], pa.RecordBatch]] = {
    "orders": orders.order_batch,
    "order_lines": orders.line_batch,
    "behaviors": behaviors.behavior_batch,
    "reviews": reviews.review_batch,
    "messages": messages.message_batch,
    "points": points.point_batch,
}

_ROWS_PER_CUSTOMER = {
    "orders": 2.54,
    "order_lines": 5.06,
    "behaviors": 10.1,
    "reviews": 0.5,
    "messages": 4.2,
    "impressions": 0.44,
    "points": 2.84,
}
"""As counted at 200,000 buyers."""


class _Chunks:
    """The buyers and the orders that were made last, for the next table that asks for them.

    A pair is replaced, never changed: two threads that read at once get what they asked for,
    at worst made twice.
    """

    __slots__ = ("_buyers", "_orders", "_setting")

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._buyers: tuple[int, Buyers] | None = None
        self._orders: tuple[int, Orders] | None = None

    def buyers(self, chunk: int) -> Buyers:
        """The buyers of a chunk."""
        last = self._buyers
        if last is None or last[0] != chunk:
            last = self._buyers = (chunk, buyers.chunk_buyers(self._setting, chunk))
        return last[1]

    def orders(self, chunk: int) -> Orders:
        """The orders of a chunk, with their lines."""
        last = self._orders
        if last is None or last[0] != chunk:
            made = orders.chunk_orders(self._setting, chunk, self.buyers(chunk))
            last = self._orders = (chunk, made)
        return last[1]


@dataclass(frozen=True, eq=False)
class DemoStore:
    """A demo store: nothing is kept but its catalogue and the chunk that was read last.

    The arguments of `generate` decide every byte of it, in whatever order it is read.
    """

    customers: int
    seed: int
    as_of: datetime
    timezone: str
    chunk: int
    _setting: Setting = field(repr=False)
    _chunks: _Chunks = field(repr=False)

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of all tables, in the order to load them."""
        return TABLES

    @property
    def config(self) -> dict[str, Any]:
        """The store's configuration, shaped like `store.toml`; a new dict each time."""
        return store_config(self.customers, self.as_of, self.timezone)

    def schema(self, table: str) -> pa.Schema:
        """The columns of a table. An unknown table is a `ValueError` that lists those there are."""
        if table not in _SCHEMAS:
            known = ", ".join(f"`{name}`" for name in TABLES)
            raise ValueError(f"the demo store has no table `{table}`; it has {known}")
        return _SCHEMAS[table]

    def rows_estimate(self, table: str) -> int:
        """About how many rows a table has, without making them; exact for the first two."""
        self.schema(table)
        if table == "products":
            return catalogue.product_count(self.customers)
        return round(self.customers * _ROWS_PER_CUSTOMER.get(table, 1.0))

    def reader(self, table: str) -> pa.RecordBatchReader:
        """A new stream over a table: one batch per chunk of buyers, made when it is asked for."""
        return pa.RecordBatchReader.from_batches(self.schema(table), self._batches(table))

    def _batches(self, table: str) -> Iterator[pa.RecordBatch]:
        if table == "products":
            yield catalogue.product_batch(self._setting.catalogue, self._setting.end)
            return
        for chunk in range(self._setting.chunks):
            yield self._batch(table, chunk)

    def _batch(self, table: str, chunk: int) -> pa.RecordBatch:
        setting, who = self._setting, self._chunks.buyers(chunk)
        if table == "customers":
            return buyers.customer_batch(setting, chunk, who)
        if table == "impressions":
            return impressions.impression_batch(setting, chunk, who)
        return _FROM_ORDERS[table](setting, chunk, who, self._chunks.orders(chunk))


def generate(
    customers: int = 200_000,
    *,
    seed: int = 20240611,
    as_of: datetime = AS_OF,
    timezone: str = "Asia/Shanghai",
    chunk: int = 100_000,
) -> DemoStore:
    """A believable store of so many buyers, with two years of history that end at as_of.

    as_of: aware, else a ValueError. chunk: buyers per batch; a part of what decides the bytes.
    Nothing is made before a reader is asked for a batch, but the catalogue.
    """
    setting = build_setting(customers, seed=seed, as_of=as_of, timezone=timezone, chunk=chunk)
    return DemoStore(customers, seed, as_of, timezone, chunk, setting, _Chunks(setting))
