"""What happened in a shop whose history rules are asked about? Random tables of every kind.

Everything that an engine could derive is given, or is plain: each order says whether it is a
purchase and what it amounts to, each line has an order of its buyer, and a category or brand that
an event lacks is its product's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, cast

import pyarrow as pa

from .bucketing import bucket
from .leaf_twin import sortable
from .local_time import local_date
from .random_customers import (
    ARROW_TYPES,
    COLUMNS,
    buyers_of,
    random_customers,
    random_date,
    random_instant,
    random_texts,
)
from .rules import CustomerId, Row, Type, Value, World

SALTS = ("spring", "", "été")
CUSTOMER_COLUMNS: Mapping[str, Type] = {
    **COLUMNS,
    "c_quarters": Type.DOUBLE,
    "c_group": Type.VARCHAR,
    "tags": Type.TEXTS,
}
"""COLUMNS, a double whose sums are exact, a text with few values, and the tags of every store."""

_IDENTIFIERS = ("order_id", "line_id", "product_id", "review_id")
_PRODUCT: Mapping[str, Type] = {
    "category": Type.VARCHAR,
    "brand": Type.VARCHAR,
    "price": Type.MONEY,
    "cost": Type.MONEY,
    "listed_at": Type.TIMESTAMP,
    "stock": Type.BIGINT,
    "tags": Type.TEXTS,
    "weight": Type.DOUBLE,
}
_ORDER: Mapping[str, Type] = {
    "order_id": Type.BIGINT,
    "time": Type.TIMESTAMP,
    "paid_at": Type.TIMESTAMP,
    "closed_at": Type.TIMESTAMP,
    "delivered_at": Type.TIMESTAMP,
    "refund_amount": Type.MONEY,
    "amount": Type.MONEY,
    "payment": Type.VARCHAR,
    "channel": Type.VARCHAR,
    "is_purchase": Type.BOOLEAN,
    "parcels": Type.BIGINT,
    "weight": Type.DOUBLE,
    "wanted_on": Type.DATE,
}
EVENTS: Mapping[str, Mapping[str, Type]] = {
    "orders": _ORDER,
    "order_lines": {
        "order_id": Type.BIGINT,
        "line_id": Type.BIGINT,
        "time": Type.TIMESTAMP,
        "product_id": Type.BIGINT,
        "category": Type.VARCHAR,
        "brand": Type.VARCHAR,
        "quantity": Type.BIGINT,
        "amount": Type.MONEY,
        "list_amount": Type.MONEY,
        "is_purchase": Type.BOOLEAN,
    },
    "behaviors": {
        "time": Type.TIMESTAMP,
        "kind": Type.VARCHAR,
        "product_id": Type.BIGINT,
        "category": Type.VARCHAR,
        "brand": Type.VARCHAR,
        "query": Type.VARCHAR,
        "device": Type.VARCHAR,
        "seconds": Type.DOUBLE,
    },
    "reviews": {
        "review_id": Type.BIGINT,
        "time": Type.TIMESTAMP,
        "product_id": Type.BIGINT,
        "rating": Type.BIGINT,
        "words": Type.VARCHAR,
    },
    "messages": {
        "time": Type.TIMESTAMP,
        "campaign": Type.VARCHAR,
        "channel": Type.VARCHAR,
        "kind": Type.VARCHAR,
        "class": Type.VARCHAR,
        "parts": Type.BIGINT,
    },
    "impressions": {
        "time": Type.TIMESTAMP,
        "page": Type.VARCHAR,
        "slot": Type.VARCHAR,
        "module": Type.VARCHAR,
        "kind": Type.VARCHAR,
    },
    "points": {"time": Type.TIMESTAMP, "kind": Type.VARCHAR, "amount": Type.BIGINT},
    "tickets": {
        "time": Type.TIMESTAMP,
        "topic": Type.VARCHAR,
        "score": Type.DOUBLE,
        "due": Type.DATE,
        "cost": Type.MONEY,
        "is_open": Type.BOOLEAN,
        "labels": Type.TEXTS,
    },
}
"""The event tables and their columns; `tickets` is one that `store.toml` declares."""

_WORDS: Mapping[str, Sequence[str]] = {
    "category": ("skincare", "tea", "Tea", ""),
    "brand": ("a", "b", "é"),
    "payment": ("card", "alipay"),
    "channel": ("sms", "email"),
    "kind": ("view", "cart", "favorite", "sent", "clicked", "earn"),
    "device": ("mobile", "desktop"),
    "class": ("service", "marketing"),
}
_OTHER_WORDS = ("x", "y", "X", "x y", "%", "東京", "it's", "")
_NULL_SHARE = 0.2
_ALL_PRESENT = frozenset({"time", "is_purchase", "tags"})


@dataclass(frozen=True, slots=True)
class Shop:
    """The tables of a shop as a source gives them and as they stand, and what leaves see of them.

    `given` are to be loaded in their order; buyers who are not among its customers come with
    their events. `standing` has everybody, the categories taken from products, the purchases, a
    column `arrival` in events, and the columns of an event's product as `product.x`. `columns`
    are the types of a table's columns; those of events have the buyer's and product's, too.
    """

    given: Mapping[str, pa.Table]
    standing: Mapping[str, pa.Table]
    columns: Mapping[str, Mapping[str, Type]]
    world: World


def random_shop(
    rng: Random, rows: int, world: World, *, text_ids: bool = False, most_events: int = 6
) -> Shop:
    """A shop of so many buyers, some of whom are known from events alone.

    Beyond 300 buyers they are the same ones over and over, and the world knows the first.
    """
    base = min(rows, 300)
    maker = _Maker(rng, world, text_ids=text_ids, most_events=most_events)
    customers = _customers(rng, base, world, text_ids=text_ids)
    if rows > base:
        fresh: list[Any] = [str(i) if text_ids else i for i in range(base)]
        customers = customers.set_column(0, "customer_id", pa.array(fresh))
    ids = cast("list[CustomerId]", customers["customer_id"].to_pylist())
    strangers = base // 20
    products = maker.products()
    events = {name: maker.events(name, ids) for name in EVENTS if name != "order_lines"}
    _give_each(events["behaviors"], ids[base - strangers :], maker)
    events["order_lines"] = maker.lines(events["orders"])
    types = {name: maker.typed(columns) for name, columns in EVENTS.items()}
    given = {
        "customers": customers.slice(0, base - strangers),
        "products": _table(products, {"product_id": maker.id_type, **_PRODUCT}),
    }
    for name, kinds in types.items():
        given[name] = _table(events[name], {"customer_id": _id_type(text_ids=text_ids), **kinds})
    unknown = dict.fromkeys(CUSTOMER_COLUMNS) | {"tags": []}
    everyone: list[Row] = [
        {**buyer, **(unknown if number >= base - strangers else {})}
        for number, buyer in enumerate(buyers_of(customers))
    ]
    seen = _seen_events(events, products, everyone)
    columns = {
        "customers": CUSTOMER_COLUMNS,
        **{name: _visible_columns(kinds) for name, kinds in types.items()},
    }
    columns["purchases"] = columns["orders"]
    standing = {"customers": _table(everyone, _with_id(CUSTOMER_COLUMNS, text_ids=text_ids))}
    for name, table_rows in seen.items():
        own = {n: k for n, k in columns[name].items() if not n.startswith("customers.")}
        kinds = {**_with_id(own, text_ids=text_ids), "arrival": Type.BIGINT}
        standing[name] = _table(table_rows, kinds)
    if rows > base:
        given = {name: _repeated(table, name, ids, rows) for name, table in given.items()}
        standing = {name: _repeated(table, name, ids, rows) for name, table in standing.items()}
    everybody = cast("list[CustomerId]", standing["customers"]["customer_id"].to_pylist())
    seeing = World(
        world.as_of,
        world.timezone,
        world.segments,
        history={name: _history(table_rows, world) for name, table_rows in seen.items()},
        everyone=everyone,
        buckets={salt: {one: bucket(salt, str(one)) or 0.0 for one in everybody} for salt in SALTS},
    )
    return Shop(given, standing, columns, seeing)


def _customers(rng: Random, rows: int, world: World, *, text_ids: bool) -> pa.Table:
    table = random_customers(
        rng, rows, timezone=world.timezone, as_of=world.as_of, text_ids=text_ids
    )
    makers: Mapping[str, Callable[[], Value]] = {
        "c_quarters": lambda: rng.randrange(-40, 400) / 4,
        "c_group": lambda: rng.choice(("a", "b", "c")),
    }
    for name, make in makers.items():
        values = [None if rng.random() < _NULL_SHARE else make() for _ in range(rows)]
        table = table.append_column(name, pa.array(values, ARROW_TYPES[CUSTOMER_COLUMNS[name]]))
    tags = [list(dict.fromkeys(tags)) for tags in table["c_tags"].to_pylist()]
    return table.append_column("tags", pa.array(tags, ARROW_TYPES[Type.TEXTS]))


class _Maker:
    """Draws rows of events; times come from a small pool, so that many are the same."""

    def __init__(self, rng: Random, world: World, *, text_ids: bool, most_events: int) -> None:
        self.rng, self.world, self.most_events = rng, world, most_events
        self.text_ids = rng.random() < 0.5 if text_ids else rng.random() < 0.2
        self.today = local_date(world.as_of, world.timezone)
        self.number = 0
        self.instants = [world.as_of, world.as_of + timedelta(microseconds=1)]
        while len(self.instants) < 60:
            made = random_instant(rng, world.as_of, world.timezone)
            if 1900 < made.year < 2200:  # beyond, an engine may not know the zones
                self.instants.append(made)
            seconds = rng.randrange(86_400 * rng.choice((2, 40, 400)))
            self.instants.append(world.as_of - timedelta(seconds=seconds))

    @property
    def id_type(self) -> Type:
        return Type.VARCHAR if self.text_ids else Type.BIGINT

    def typed(self, columns: Mapping[str, Type]) -> dict[str, Type]:
        """The columns, with identifiers of the type that this shop's have."""
        return {n: self.id_type if n in _IDENTIFIERS else k for n, k in columns.items()}

    def identifier(self, number: int) -> CustomerId:
        return f"n{number}" if self.text_ids else number

    def value(self, name: str, kind: Type) -> Value:
        """A value of a column, null now and then."""
        rng = self.rng
        if name not in _ALL_PRESENT and rng.random() < _NULL_SHARE:
            return None
        match kind:
            case Type.BOOLEAN:
                return rng.random() < 0.6
            case Type.BIGINT:
                return rng.choice((0, 1, 1, 2, 3, 5, 100, -4))
            case Type.DOUBLE:
                return rng.randrange(-8, 80) / 4
            case Type.MONEY:
                parts = rng.choice((0, 99_900, 50_000, -12_345, rng.randrange(1, 4_000_000)))
                return Decimal(parts).scaleb(-4)
            case Type.VARCHAR:
                return rng.choice(_WORDS.get(name, _OTHER_WORDS))
            case Type.DATE:
                return random_date(rng, self.today)
            case Type.TIMESTAMP:
                return rng.choice(self.instants)
            case Type.TEXTS:
                texts = random_texts(rng, nulls=name != "tags")
                return list(dict.fromkeys(texts)) if name == "tags" else texts

    def products(self) -> list[dict[str, Value]]:
        numbers = range(self.rng.choice((0, 6, 6, 6)))
        return [
            {
                "product_id": self.identifier(number),
                **{n: self.value(n, k) for n, k in _PRODUCT.items()},
            }
            for number in numbers
        ]

    def events(self, table: str, ids: Sequence[CustomerId]) -> list[dict[str, Value]]:
        """None for every tenth table; elsewhere some for each buyer, in no order of time."""
        if self.rng.random() < 0.1:
            return []
        most = max(2, self.most_events * self.rng.choice((1, 2, 3)) // 3)
        found = [
            self.event(table, one)
            for one in ids
            for _ in range(self.rng.choice((0, 1, self.rng.randrange(most + 1))))
        ]
        self.rng.shuffle(found)
        return found

    def event(self, table: str, customer_id: CustomerId) -> dict[str, Value]:
        row: dict[str, Value] = {"customer_id": customer_id}
        for name, kind in EVENTS[table].items():
            row[name] = self.key(name) if name in _IDENTIFIERS else self.value(name, kind)
        return row

    def key(self, name: str) -> CustomerId | None:
        """A number of its own for each row, missing now and then; a product, perhaps unknown."""
        if self.rng.random() < 0.1:
            return None
        if name == "product_id":
            return self.identifier(self.rng.randrange(8))
        self.number += 1
        return self.identifier(self.number)

    def lines(self, orders: Sequence[Row]) -> list[dict[str, Value]]:
        """Lines of known orders, at their time or a little later."""
        found = []
        for order in orders:
            if order["order_id"] is None:
                continue
            for _ in range(self.rng.choice((0, 1, 1, 2, 3))):
                row = self.event("order_lines", cast("CustomerId", order["customer_id"]))
                later = timedelta(seconds=self.rng.choice((0, 0, 1, 86_400)))
                row["order_id"] = order["order_id"]
                row["time"] = cast("datetime", order["time"]) + later
                found.append(row)
        self.rng.shuffle(found)
        return found


def _give_each(rows: list[dict[str, Value]], ids: Sequence[CustomerId], maker: _Maker) -> None:
    """An event for each buyer who would be unknown without one."""
    rows.extend(maker.event("behaviors", one) for one in ids)


def _seen_events(
    events: Mapping[str, Sequence[Row]], products: Sequence[Row], everyone: Sequence[Row]
) -> dict[str, list[Row]]:
    """The events as they stand, purchases too, each with its buyer's and its product's columns."""
    buyers = {
        buyer["customer_id"]: {f"customers.{name}": buyer[name] for name in CUSTOMER_COLUMNS}
        for buyer in everyone
    }
    known = {product["product_id"]: product for product in products}
    unknown: Row = dict.fromkeys(_PRODUCT)
    seen: dict[str, list[Row]] = {}
    for table, rows in events.items():
        seen[table] = []
        for arrival, row in enumerate(rows):
            standing = {**row, **buyers[row["customer_id"]], "arrival": arrival}
            if "product_id" in row:
                product = known.get(row["product_id"], unknown)
                standing |= {f"product.{name}": product[name] for name in _PRODUCT}
                for name in ("category", "brand"):
                    if name in row and row[name] is None:
                        standing[name] = product[name]
            seen[table].append(standing)
    seen["purchases"] = [_net(row) for row in seen["orders"] if row["is_purchase"]]
    return seen


def _net(order: Row) -> Row:
    amount, refund = order["amount"], order["refund_amount"]
    if amount is None:
        return order
    return {**order, "amount": cast("Decimal", amount) - cast("Decimal", refund or 0)}


def _history(rows: Sequence[Row], world: World) -> dict[CustomerId, list[Row]]:
    """The events up to as_of by buyer and (time, arrival)."""
    found: dict[CustomerId, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (sortable(row["time"]), row["arrival"])):
        if cast("datetime", row["time"]) <= world.as_of:
            found.setdefault(cast("CustomerId", row["customer_id"]), []).append(row)
    return found


def _visible_columns(columns: Mapping[str, Type]) -> dict[str, Type]:
    """What a FILTER over a table may name."""
    product = {f"product.{n}": k for n, k in _PRODUCT.items()} if "product_id" in columns else {}
    return {**columns, **product, **{f"customers.{n}": k for n, k in CUSTOMER_COLUMNS.items()}}


def _id_type(*, text_ids: bool) -> Type:
    return Type.VARCHAR if text_ids else Type.BIGINT


def _with_id(columns: Mapping[str, Type], *, text_ids: bool) -> dict[str, Type]:
    return {"customer_id": _id_type(text_ids=text_ids), **columns}


def _table(rows: Sequence[Row], kinds: Mapping[str, Type]) -> pa.Table:
    return pa.table(
        {name: pa.array([row[name] for row in rows], ARROW_TYPES[k]) for name, k in kinds.items()}
    )


def _repeated(table: pa.Table, name: str, ids: Sequence[CustomerId], rows: int) -> pa.Table:
    """The rows once for every further copy of the buyers, whose numbers go on from the first's."""
    if name == "products":
        return table
    place = {one: number for number, one in enumerate(ids)}
    own = [place[one] for one in table["customer_id"].to_pylist()]
    copies, kind = [], table["customer_id"].type
    for copy in range(-(-rows // len(ids))):
        kept = [number + copy * len(ids) < rows for number in own]
        fresh: list[Any] = [number + copy * len(ids) for number in own]
        if isinstance(ids[0], str):
            fresh = [str(number) for number in fresh]
        made = table
        for column, values in (("customer_id", pa.array(fresh, kind)), *_renamed(table, copy)):
            made = made.set_column(made.column_names.index(column), column, values)
        copies.append(made.filter(pa.array(kept, pa.bool_())))
    return pa.concat_tables(copies).combine_chunks()


def _renamed(table: pa.Table, copy: int) -> list[tuple[str, pa.Array]]:
    """The keys of orders and reviews, of which no two copies have the same."""
    found = []
    for name in ("order_id", "review_id"):
        if name in table.column_names:
            kind = table[name].type
            values: list[Any] = [
                value
                if value is None
                else f"{value}~{copy}"
                if isinstance(value, str)
                else value + copy * 1_000_000
                for value in table[name].to_pylist()
            ]
            found.append((name, pa.array(values, kind)))
    return found
