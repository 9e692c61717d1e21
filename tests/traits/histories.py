"""What happened in a shop? Random batches about a few buyers, rich in ties, gaps and clock changes.

Every row of a batch has the columns of the batch, so that a list of rows tells the twin in
`tests/reference/` just what a list of Arrow tables tells the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from random import Random
from typing import Any

import pyarrow as pa

import segengine as se
from segengine.traits.catalogue import CATALOGUE
from segengine.traits.prediction import PREDICTION
from tests.reference.orders import Row
from tests.reference.random_customers import TIMEZONES, random_instant
from tests.reference.rules import World
from tests.reference.traits import Events, Fitted, Lifecycle, customer_traits

EVENT_TABLES = ("orders", "order_lines", "behaviors", "messages", "reviews", "points")
FITTED = ("r_score", "f_score", "m_score", "rfm_cell", "rfm_group", "value_tier", "price_band")
_DAY = timedelta(days=1)
_ID = {int: pa.int64(), str: pa.string()}
_TYPES: dict[str, pa.DataType] = {
    "time": pa.timestamp("us", tz="UTC"),
    "paid_at": pa.timestamp("us", tz="UTC"),
    "closed_at": pa.timestamp("us", tz="UTC"),
    "refunded_at": pa.timestamp("us", tz="UTC"),
    "shipped_at": pa.timestamp("us", tz="UTC"),
    "amount": pa.decimal128(18, 4),
    "refund_amount": pa.decimal128(18, 4),
    "list_amount": pa.decimal128(18, 4),
    "price": pa.decimal128(18, 4),
    "quantity": pa.int64(),
    "order_id": pa.string(),
    "line_id": pa.int64(),
    "event_id": pa.int64(),
    "product_id": pa.string(),
    "is_purchase": pa.bool_(),
    "tags": pa.list_(pa.string()),
    "rating": pa.int64(),
    "member_level": pa.int64(),
    "card_claimed_at": pa.timestamp("us", tz="UTC"),
}
_BEHAVIORS = (
    "visit",
    "view",
    "view",
    "view",
    "cart",
    "favorite",
    "inquiry",
    "quote",
    "reply",
    "win",
    "check_in",
    "check_in",
    "survey",
    "cart",
    "cart_remove",
    "unfavorite",
    "search",
)
_PRODUCTS = ("p1", "p2", "p3", "p4", "p5")
_WORDS = ("a", "b", "c", None)
_QUESTIONS = ("skin_type", "Skin type?", "household", "肤质")
_MESSAGES = ("sent", "sent", "sent", "clicked", "clicked", "held_out", "delivered", None)


def moment_near(rng: Random, moment: datetime, timezone: str) -> datetime:
    """A moment that matters, in the years for which `segengine.days` knows the zones."""
    while True:
        made = random_instant(rng, moment, timezone)
        if 1900 < made.year < 2200:
            return made


@dataclass(frozen=True)
class Batch:
    """Rows of one table with the same columns."""

    table: str
    rows: Sequence[Row]

    def to_arrow(self) -> pa.Table:
        """The rows with the types a source would have."""
        ids = _ID[type(self.rows[0].get("customer_id", 0))]
        types = {**_TYPES, "customer_id": ids}
        if self.table == "points":
            types["amount"] = pa.int64()
        return pa.table(
            {
                name: pa.array([row[name] for row in self.rows], types.get(name, pa.string()))
                for name in self.rows[0]
            }
        )


@dataclass
class Shop:
    """Draws batches that could have come from one shop: an order has one buyer, ids are kept."""

    rng: Random
    timezone: str
    as_of: datetime
    text_ids: bool = False
    buyers: int = 8
    order_ids: int = 14
    ties: bool = False
    _event_id: int = 0
    _instants: list[datetime] = field(default_factory=list)
    _times: dict[int, datetime] = field(default_factory=dict)
    _taken: set[tuple[int, datetime]] = field(default_factory=set)

    @classmethod
    def drawn(cls, rng: Random, *, buyers: int = 8) -> Shop:
        """A shop in some timezone at some moment."""
        timezone = rng.choice(TIMEZONES)
        anchor = moment_near(rng, datetime.fromisoformat("2024-03-10T12:00:00Z"), timezone)
        text_ids = rng.random() < 0.3
        return cls(rng, timezone, anchor, text_ids, buyers, order_ids=2 * buyers)

    @property
    def world(self) -> World:
        """The moment as the twin takes it."""
        return World(self.as_of, self.timezone)

    def buyer(self, number: int) -> int | str:
        """A customer_id."""
        return f"客{number}" if self.text_ids else number

    def instant(self) -> datetime:
        """A moment that matters, now and then one that came before."""
        rng = self.rng
        if self._instants and rng.random() < 0.3:
            return rng.choice(self._instants)
        made = moment_near(rng, self.as_of, self.timezone)
        if rng.random() < 0.7:
            made = self.as_of - timedelta(
                seconds=rng.randrange(0, 86_400 * rng.choice((2, 40, 400)))
            )
        self._instants.append(made)
        return made

    def money(self) -> Decimal:
        """A price, rarely 0 or below."""
        cents = self.rng.choice((0, -150, *[self.rng.randrange(1, 40_000) for _ in range(8)]))
        return (Decimal(cents) / 100).quantize(Decimal("0.0001"))

    def batch(self, table: str, rows: int = 6) -> Batch:
        """Some rows of a table."""
        drawn = {
            "orders": self.orders,
            "updates": self.updates,
            "order_lines": self.order_lines,
            "behaviors": self.behaviors,
            "products": self.products,
            "customers": self.customers,
            "messages": self.messages,
            "reviews": self.reviews,
            "points": self.points,
        }[table]
        return drawn(self.rng.randrange(1, rows + 1))

    def orders(self, count: int) -> Batch:
        """Orders, new ones and updates, with some of the columns that decide about a purchase."""
        rng = self.rng
        extras: dict[str, Callable[[], Any]] = {
            "paid_at": lambda: rng.choice((None, self.as_of, self.as_of)),
            "shipped_at": lambda: rng.choice((None, self.as_of)),
            "closed_at": lambda: rng.choice((None, None, None, self.as_of)),
            "refunded_at": lambda: rng.choice((None, None, None, self.as_of)),
            "refund_amount": lambda: rng.choice((None, None, Decimal(0), abs(self.money()))),
            "promotion": lambda: rng.choice(_WORDS),
            "payment": lambda: rng.choice(_WORDS),
            "is_purchase": lambda: rng.choice((None, True, False)),
        }
        chosen = [name for name in extras if rng.random() < 0.35]
        has_ids = rng.random() < 0.85
        has_events = rng.random() < 0.3
        rows = []
        for _ in range(count):
            order_id, number, time = self._order(has_id=has_ids)
            row: dict[str, Any] = {"customer_id": self.buyer(number), "time": time}
            if has_ids:
                row["order_id"] = order_id
            row["amount"] = rng.choice((None, *[self.money()] * 9))
            row |= {name: extras[name]() for name in chosen}
            if row.get("refund_amount") is not None and rng.random() < 0.3:
                row["refund_amount"] = row["amount"] and abs(row["amount"])
            rows.append(self._with_event_id(row) if has_events else row)
        return Batch("orders", rows)

    def updates(self, count: int) -> Batch:
        """What became of orders, and nothing else: paid, closed, refunded in part or in full."""
        rng = self.rng
        extras: dict[str, Callable[[], Any]] = {
            "paid_at": lambda: rng.choice((None, self.as_of)),
            "closed_at": lambda: rng.choice((None, self.as_of)),
            "refunded_at": lambda: rng.choice((None, self.as_of)),
            "refund_amount": lambda: rng.choice((None, Decimal(0), abs(self.money()) / 10)),
        }
        chosen = [name for name in extras if rng.random() < 0.4] or ["paid_at"]
        rows = []
        for _ in range(count):
            order_id, number, time = self._order(has_id=True)
            row: dict[str, Any] = {"customer_id": self.buyer(number), "time": time}
            rows.append(row | {"order_id": order_id} | {name: extras[name]() for name in chosen})
        return Batch("orders", rows)

    def _order(self, *, has_id: bool) -> tuple[str | None, int, datetime]:
        """An order's id, buyer and time: an id always has the same, but the time may be earlier."""
        rng = self.rng
        number = rng.randrange(self.order_ids)
        if not has_id or rng.random() < 0.05:
            return None, number % self.buyers, self._moment(number)
        moment = self.time_of(number)
        if rng.random() < 0.2:
            moment -= timedelta(hours=rng.randrange(1, 30), microseconds=number + 1)
        return f"o{number}", number % self.buyers, moment

    def time_of(self, number: int) -> datetime:
        """When an order was placed at the latest; its lines are not earlier."""
        if number not in self._times:
            self._times[number] = self._moment(number)
        return self._times[number]

    def _moment(self, number: int) -> datetime:
        """When the buyer of an order placed one.

        Two orders of a buyer share a moment only where `ties` are asked for: which of them comes
        first is a matter of arrival, and the twin does not know whether an order row or another
        order's line arrived first.
        """
        moment, buyer = self.instant(), number % self.buyers
        while (buyer, moment) in self._taken and not self.ties:
            moment += timedelta(microseconds=1)
        self._taken.add((buyer, moment))
        return moment

    def order_lines(self, count: int) -> Batch:
        """Lines of orders that are there, or not yet."""
        rng = self.rng
        extras: dict[str, Callable[[], Any]] = {
            "category": lambda: rng.choice(_WORDS),
            "brand": lambda: rng.choice(_WORDS),
            "list_amount": lambda: rng.choice((None, *[self.money()] * 9)),
            "line_id": lambda: rng.choice((None, 1, 2, 3)),
            "is_purchase": lambda: rng.choice((None, True, False)),
        }
        shares = {
            "category": 0.5, "brand": 0.3, "list_amount": 0.4, "line_id": 0.5, "is_purchase": 0.15
        }  # fmt: skip
        chosen = [name for name in extras if rng.random() < shares[name]]
        has_ids = rng.random() < 0.9
        rows = []
        for _ in range(count):
            number = rng.randrange(self.order_ids)
            own = not has_ids or rng.random() < 0.05
            moment = self._moment(number) if own else self.time_of(number)
            later = 0 if own else rng.choice((0, 0, 0, 1, 3600, 86_400, 400_000))
            row: dict[str, Any] = {
                "customer_id": self.buyer(number % self.buyers),
                "time": moment + timedelta(seconds=later),
                "product_id": rng.choice((*_PRODUCTS, None)),
                "quantity": rng.choice((None, 0, 1, 2, 7)),
                "amount": rng.choice((None, *[self.money()] * 9)),
            }
            if has_ids:
                row["order_id"] = None if own else f"o{number}"
            rows.append(row | {name: extras[name]() for name in chosen})
        return Batch("order_lines", rows)

    def behaviors(self, count: int) -> Batch:
        """Things done, most of them lately."""
        rng = self.rng
        has_events, has_device = rng.random() < 0.3, rng.random() < 0.6
        has_surveys = rng.random() < 0.5
        named = [name for name in ("category", "brand") if rng.random() < 0.3]
        rows = []
        for _ in range(2 * count):
            row = {
                "customer_id": self.buyer(rng.randrange(self.buyers)),
                "time": self.instant(),
                "kind": rng.choice((*_BEHAVIORS, None)),
                "product_id": rng.choice((*_PRODUCTS[:2], None)),
            }
            if has_device:
                row["device"] = rng.choice(_WORDS)
            row |= {name: rng.choice(_WORDS) for name in named}
            if has_surveys:
                row["question"] = rng.choice((*_QUESTIONS, None))
                row["answer"] = rng.choice(_WORDS)
                row["kind"] = rng.choice((row["kind"], "survey"))
            rows.append(self._with_event_id(row) if has_events else row)
        return Batch("behaviors", rows)

    def messages(self, count: int) -> Batch:
        """What was sent, under a campaign or none, and what was clicked."""
        rng = self.rng
        rows = []
        for _ in range(2 * count):
            row = {
                "customer_id": self.buyer(rng.randrange(self.buyers)),
                "time": self.instant() + timedelta(hours=rng.choice((0, 0, 0, 5, 24, 72))),
                "kind": rng.choice(_MESSAGES),
                "campaign": rng.choice(_WORDS),
            }
            rows.append(row)
        return Batch("messages", rows)

    def reviews(self, count: int) -> Batch:
        """Reviews, new ones and revised: an id always has the same buyer."""
        rng = self.rng
        has_ids, has_events = rng.random() < 0.7, rng.random() < 0.3
        rows = []
        for _ in range(count):
            number = rng.randrange(2 * self.buyers)
            row: dict[str, Any] = {
                "customer_id": self.buyer(number % self.buyers),
                "time": self.instant(),
                "rating": rng.choice((1, 2, 3, 4, 5, 5, None)),
            }
            if has_ids:
                row["review_id"] = rng.choice((f"r{number}", f"r{number}", None))
            rows.append(self._with_event_id(row) if has_events else row)
        return Batch("reviews", rows)

    def points(self, count: int) -> Batch:
        """Changes of balances, of every sign and kind."""
        rng = self.rng
        rows = [
            {
                "customer_id": self.buyer(rng.randrange(self.buyers)),
                "time": self.instant(),
                "kind": rng.choice(("earn", "earn", "spend", "expire", "other", None)),
                "amount": rng.choice((None, 0, -7, rng.randrange(500), 2**62, -(2**63) + 1)),
            }
            for _ in range(2 * count)
        ]
        return Batch("points", rows)

    def _with_event_id(self, row: dict[str, Any]) -> dict[str, Any]:
        """An id that is new, missing, or rarely one that was used a moment ago."""
        self._event_id += self.rng.choice((0, 1, 1, 1, 1))
        return row | {"event_id": self.rng.choice((None, *[self._event_id] * 6))}

    def products(self, count: int) -> Batch:
        """Products, each once, with a category, a brand, a price or several of them."""
        rng = self.rng
        columns = rng.choice(
            (("category",), ("brand",), ("category", "brand"), ("category", "price"), ("price",))
        )
        chosen = rng.sample(_PRODUCTS, min(count, len(_PRODUCTS)))
        return Batch(
            "products",
            [
                {"product_id": p}
                | {n: self.money() if n == "price" else rng.choice(_WORDS) for n in columns}
                for p in chosen
            ],
        )

    def customers(self, count: int) -> Batch:
        """Buyers, each once, with tags and now and then what the shop's club knows of them."""
        rng = self.rng
        numbers = rng.sample(range(self.buyers + 2), min(count, self.buyers))
        tags = (None, [], ["never"], ["vip", "x"], ["nevermore"], ["x", "never"])
        rows: list[dict[str, Any]] = [
            {"customer_id": self.buyer(n), "tags": rng.choice(tags)} for n in numbers
        ]
        if rng.random() < 0.6:
            for row in rows:
                row["member_level"] = rng.choice((None, -1, 0, 1, 3))
                row["card_claimed_at"] = rng.choice((None, self.as_of))
        return Batch("customers", rows)


def engine_of(shop: Shop, config: Mapping[str, Any] | None = None) -> se.Engine:
    """An empty engine for the shop's timezone and moment."""
    return se.Engine(timezone=shop.timezone, as_of=shop.as_of, config=config)


def rows_of(batches: Iterable[Batch], table: str) -> list[Row]:
    """All rows of a table, in order of arrival."""
    return [row for batch in batches if batch.table == table for row in batch.rows]


def merged(batches: Iterable[Batch], *, apart: bool = True) -> list[Batch]:
    """As few batches as say the same: a table's neighbours with the same columns are one.

    A batch of customers or products has an id once, so those stay as they are. `apart`: table
    after table; else orders and their lines in the order they arrived in, which decides what
    comes first of several orders at one moment.
    """
    found = []
    sales = ("orders", "order_lines")
    together = [(table,) for table in EVENT_TABLES if apart or table not in sales]
    for tables in (("products",), ("customers",), *([] if apart else [sales]), *together):
        own = [batch for batch in batches if batch.table in tables and batch.rows]
        if tables[0] in ("products", "customers"):
            found += own
            continue
        for (table, *_), group in groupby(own, key=lambda batch: (batch.table, *batch.rows[0])):
            found.append(Batch(table, [row for batch in group for row in batch.rows]))
    return found


def upserted(batches: Iterable[Batch], table: str, key: str) -> list[Row]:
    """The rows of customers or products as they stand: columns present overwrite."""
    found: dict[object, dict[str, object]] = {}
    for row in rows_of(batches, table):
        found.setdefault(row[key], {}).update(row)
    return list(found.values())


def expected_traits(
    batches: Sequence[Batch],
    world: World,
    *,
    lifecycle: Lifecycle | None = None,
    fixed_cuts: Fitted | None = None,
) -> dict[object, dict[str, Any]]:
    """What the twin says about every buyer."""
    events = Events(
        orders=rows_of(batches, "orders"),
        order_lines=rows_of(batches, "order_lines"),
        behaviors=rows_of(batches, "behaviors"),
        products=upserted(batches, "products", "product_id"),
    )
    customers = upserted(batches, "customers", "customer_id")
    found = customer_traits(events, world, customers, lifecycle=lifecycle, fixed_cuts=fixed_cuts)
    # Shops as small as these are too small to predict from; see test_prediction.py.
    unpredicted = dict.fromkeys(trait.name for trait in PREDICTION.traits)
    return {one: {**traits, **unpredicted} for one, traits in found.items()}


def traits_of(
    engine: se.Engine, names: Sequence[str] | None = None
) -> dict[object, dict[str, Any]]:
    """Every trait of every buyer, by customer_id."""
    chosen = list(names) if names is not None else [trait.name for trait in CATALOGUE]
    rows = engine.table("customers", ["customer_id", *chosen]).to_pylist()
    return {row.pop("customer_id"): row for row in rows}


def same(found: Any, expected: Any) -> bool:
    """Exact, but for floats: 1e-9 relative."""
    if isinstance(found, float) and expected is not None:
        return abs(found - expected) <= 1e-9 * max(abs(found), abs(float(expected)))
    return bool(found == expected)


def differences(
    found: Mapping[object, Mapping[str, Any]], expected: Mapping[object, Mapping[str, Any]]
) -> list[str]:
    """`buyer.trait: found, expected` for each that is not the same."""
    lines = [f"{one}: only found" for one in found if one not in expected]
    for one, traits in expected.items():
        if one not in found:
            # A buyer of whom only unseen events are known has a row and no history.
            lines.append(f"{one}: not found")
            continue
        lines += [
            f"{one}.{name}: {found[one][name]!r}, expected {traits[name]!r}"
            for name in found[one]
            if name in traits and not same(found[one][name], traits[name])
        ]
    return lines


def clamped(batch: Batch, as_of: datetime) -> Batch:
    """An appended batch as it is stored: what happens a little ahead happens at as_of."""
    if batch.table not in EVENT_TABLES:
        return batch
    rows = [{**row, "time": min(row["time"], as_of)} for row in batch.rows]  # type: ignore[type-var]
    return replace(batch, rows=rows)


def without(batches: Iterable[Batch], customer_id: object) -> list[Batch]:
    """The batches as if a buyer had never been."""
    kept = (
        replace(batch, rows=[row for row in batch.rows if row.get("customer_id") != customer_id])
        for batch in batches
    )
    return [batch for batch in kept if batch.rows]
