"""What happens in a shop with a range of products? Random batches: sales, views, prices, updates.

Few prices and few amounts, so that there are ties; products without a price, a cost or a category;
lines of products that the shop has not given; orders that are paid, closed and refunded later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa

from .product_sql import GIVEN

INSTANT = pa.timestamp("us", tz="UTC")
_MONEY = pa.decimal128(18, 4)
_TYPES = {
    "time": INSTANT,
    "paid_at": INSTANT,
    "closed_at": INSTANT,
    "amount": _MONEY,
    "refund_amount": _MONEY,
    "quantity": pa.int64(),
    "order_id": pa.int64(),
    "customer_id": pa.int64(),
    "kind": pa.string(),
    **{field.name: field.type for field in GIVEN},
}
_ZONES = ("UTC", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo")


@dataclass
class Market:
    """Draws batches; `given` are the products as they stand."""

    rng: Random
    timezone: str = ""
    as_of: datetime = datetime(2024, 3, 11, 15, 30, tzinfo=UTC)
    buyers: int = 16
    products: int = 14
    orders: int = 60
    given: dict[object, dict[str, Any]] = field(default_factory=dict)
    _ids: str = ""
    _times: dict[int, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.timezone = self.timezone or self.rng.choice(_ZONES)
        self._ids = self.rng.choice(("text", "near", "far"))

    def product_id(self, number: int) -> int | str:
        """An id: a text, a small number, or one of numbers that lie far apart."""
        if self._ids == "text":
            return f"p{number}"
        return number if self._ids == "near" else (number - 5) * 2**59

    def table(self, rows: list[dict[str, Any]]) -> pa.Table:
        """Rows with the types of a source."""
        id_type = pa.string() if self._ids == "text" else pa.int64()
        types = {**_TYPES, "product_id": id_type}
        names = rows[0]
        return pa.table({n: pa.array([row[n] for row in rows], types[n]) for n in names})

    def given_table(self) -> pa.Table:
        """The products as the shop gave them."""
        rows = [
            {"product_id": one, **dict.fromkeys(GIVEN.names), **row}
            for one, row in self.given.items()
        ]
        return self.table(rows)

    def moment(self) -> datetime:
        """Mostly in the last 200 days, often about a midnight, sometimes ahead."""
        rng = self.rng
        days = rng.choice(
            (
                rng.randrange(-3, 35),
                rng.randrange(25, 100),
                rng.randrange(85, 190),
                rng.choice((29, 30, 89, 90, 179, 180)),
                rng.randrange(400),
            )
        )
        made = self.as_of - timedelta(days=days, seconds=rng.randrange(86_400))
        return made.replace(second=0) if rng.random() < 0.3 else made

    def some_products(self, most: int = 14) -> pa.Table:
        """Products, new ones and revised; all of a batch have the same columns."""
        rng = self.rng
        makers = {
            "category": lambda: rng.choice(("tea", "tea", "cup", "cup", "snack", None)),
            "price": lambda: rng.choice((None, Decimal(0), *map(Decimal, (10, 20, 20, 35, 80)))),
            "cost": lambda: rng.choice((None, *map(Decimal, (0, 5, 10, 12, 25)))),
            "matrix_class": lambda: rng.choice((None, None, None, "star", "hero")),
            "role": lambda: rng.choice((None, None, None, "profit", "ours")),
        }
        shares = {"category": 0.9, "price": 0.9, "cost": 0.8, "matrix_class": 0.2, "role": 0.2}
        chosen = [name for name, share in shares.items() if rng.random() < share]
        numbers = rng.sample(range(self.products), rng.randrange(1, min(most, self.products) + 1))
        rows = []
        for number in numbers:
            row = {name: makers[name]() for name in chosen}
            self.given.setdefault(self.product_id(number), {}).update(row)
            rows.append({"product_id": self.product_id(number), **row})
        return self.table(rows)

    def some_orders(self, count: int, latest: datetime | None = None) -> pa.Table:
        """Orders, new and updated; some have not been paid, or were closed or refunded."""
        rng = self.rng
        rows = []
        for number in rng.sample(range(self.orders), min(count, self.orders)):
            time = self.time_of(number, latest)
            amount = Decimal(rng.choice((10, 20, 50, 90)))
            rows.append(
                {
                    "customer_id": number % self.buyers,
                    "order_id": number,
                    "time": time,
                    "paid_at": rng.choice((None, time, time, time)),
                    "closed_at": rng.choice((None, None, None, time)),
                    "amount": amount,
                    "refund_amount": rng.choice((None, None, Decimal(5), amount)),
                }
            )
        return self.table(rows)

    def some_lines(self, count: int, latest: datetime | None = None) -> pa.Table:
        """Lines of orders that are there or not, a few of no product or of an unknown one."""
        rng = self.rng
        rows = []
        for _ in range(count):
            number = rng.randrange(self.orders)
            product = rng.choice((None, *[int(rng.triangular(0, self.products + 1, 1))] * 12))
            rows.append(
                {
                    "customer_id": number % self.buyers,
                    "order_id": number,
                    "time": self.time_of(number, latest),
                    "product_id": None if product is None else self.product_id(product),
                    "quantity": rng.choice((None, -1, 0, 1, 1, 2, 3)),
                    "amount": rng.choice((None, *map(Decimal, (-5, 0, 10, 10, 20, 35, 80)))),
                }
            )
        return self.table(rows)

    def some_behaviors(self, count: int, latest: datetime | None = None) -> pa.Table:
        """Views and other things done."""
        rng = self.rng
        rows = []
        for _ in range(count):
            product = rng.choice((None, *[rng.randrange(self.products + 2)] * 9))
            moment = self.moment()
            rows.append(
                {
                    "customer_id": rng.randrange(self.buyers),
                    "time": moment if latest is None else min(moment, latest),
                    "kind": rng.choice(("view", "view", "view", "cart", None)),
                    "product_id": None if product is None else self.product_id(product),
                }
            )
        return self.table(rows)

    def time_of(self, number: int, latest: datetime | None) -> datetime:
        """When an order was placed: an id has one time, and no two orders share it."""
        if number not in self._times:
            moment = self.moment()
            moment = moment if latest is None else min(moment, latest)
            self._times[number] = moment - timedelta(microseconds=number)
        found = self._times[number]
        return found if latest is None else min(found, latest)
