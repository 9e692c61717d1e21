"""Shops with products, drawn at random, and what a twin is to know of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa

import segengine as se
from segengine.schema.pool_settings import DOINGS, TERMS, PoolSettings
from tests.reference.pools import Id, Row, Settings, Shop, Taste

INSTANT = pa.timestamp("us", tz="UTC")
ZONES = ("UTC", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe")
KINDS = ("view", "view", "cart", "cart_remove", "favorite", "unfavorite", "search", "visit")


def settings_of(given: dict[str, Any]) -> Settings:
    """What a section `[pools]` means to the twin."""
    whole = {name: getattr(PoolSettings(), name) for name in PoolSettings.__dataclass_fields__}
    whole |= given
    terms = {name: float(whole.pop(name)) for name in TERMS}
    return Settings(terms, {name: float(whole.pop(name)) for name in DOINGS}, **whole)


@dataclass
class Market:
    """A shop that is told things; `config` is its section `[pools]`."""

    rng: Random
    buyers: int = 5
    products: int = 18
    config: dict[str, Any] = field(default_factory=dict)
    engine: se.Engine = field(init=False)
    fitted_lines: list[Row] = field(default_factory=list)
    fitted_at: datetime = field(init=False)
    fitted_products: frozenset[Id] = frozenset()
    _order: int = 0

    def __post_init__(self) -> None:
        self.timezone = self.rng.choice(ZONES)
        self.as_of = datetime(2024, 3, 11, self.rng.choice((0, 6, 15)), 30, tzinfo=UTC)
        self.ids = self.rng.choice(("text", "near", "far"))
        self.engine = se.Engine(
            timezone=self.timezone, as_of=self.as_of, config={"pools": self.config}
        )

    def product_id(self, number: int) -> Id:
        """A text, a small number, or one of numbers that lie far apart."""
        if self.ids == "text":
            return f"p{number}"
        return number if self.ids == "near" else (number - 5) * 2**58

    def table(self, rows: list[Row], **types: pa.DataType) -> pa.Table:
        """Rows with the types of a source."""
        types |= {
            "time": INSTANT, "product_id": pa.string() if self.ids == "text" else pa.int64(),
            "category": pa.string(), "brand": pa.string(), "kind": pa.string(),
            "price": pa.float64(), "stock": pa.int64(), "quantity": pa.int64(),
        }  # fmt: skip
        return pa.table({n: pa.array([r[n] for r in rows], types.get(n)) for n in rows[0]})

    def moment(self, *, ahead: bool) -> datetime:
        """Mostly in the last weeks, often about a midnight, now and then long ago or ahead."""
        rng = self.rng
        days = rng.choice(
            (rng.randrange(0, 16), rng.randrange(0, 40), rng.choice((13, 14, 29, 30, 364, 365)))
        )
        if ahead and rng.random() < 0.15:
            days = -rng.randrange(1, 4)
        found = self.as_of - timedelta(days=days, seconds=rng.randrange(86_400))
        return found if ahead else min(found, self.as_of)

    def some_products(self) -> pa.Table:
        """Products, new ones and revised."""
        rng = self.rng
        numbers = rng.sample(range(self.products), rng.randrange(1, self.products + 1))
        return self.table([
            {
                "product_id": self.product_id(n),
                "category": rng.choice(("tea", "tea", "tea", "cup", "snack", None)),
                "brand": rng.choice(("a", "a", "b", None)),
                "price": rng.choice((None, 5.0, 10.0, 10.0, 20.0, 40.0)),
                "stock": rng.choice((None, None, -1, 0, 0, 1, 5, 5, 9)),
            }
            for n in numbers
        ])  # fmt: skip

    def some_lines(self, orders: int, *, ahead: bool = False) -> pa.Table:
        """Lines of new orders, of the same few products again and again."""
        rng, rows = self.rng, []
        for _ in range(orders):
            self._order += 1
            buyer, time = rng.randrange(self.buyers), self.moment(ahead=ahead)
            for _ in range(rng.choice((1, 2, 3, 4))):
                number = int(rng.triangular(0, self.products + 2, 2))
                rows.append({
                    "customer_id": buyer, "order_id": self._order, "time": time,
                    "product_id": rng.choice((None, *[self.product_id(number)] * 9)),
                    "quantity": rng.choice((None, -1, 0, 1, 1, 2)),
                })  # fmt: skip
        return self.table(rows)

    def some_behaviors(self, count: int, *, ahead: bool = False) -> pa.Table:
        """What buyers did, with products the shop has, has not, or none."""
        rng = self.rng
        return self.table([
            {
                "customer_id": rng.randrange(self.buyers), "time": self.moment(ahead=ahead),
                "kind": rng.choice(KINDS),
                "product_id": rng.choice((None, *[self.product_id(rng.randrange(20))] * 6)),
                "category": rng.choice((None, None, "tea", "cup")),
            }
            for _ in range(count)
        ])  # fmt: skip

    def load(self, table: str, rows: pa.Table) -> None:
        """A load, after which all is fitted to what is there."""
        self.engine.load(table, rows)
        self.fitted()

    def fitted(self) -> None:
        """All has just been fitted to what there is."""
        self.fitted_lines, self.fitted_at = self.lines(), self.engine.as_of
        self.fitted_products = frozenset(self._product_ids())

    def _product_ids(self) -> list[Id]:
        found: list[Id] = self.engine.table("products", ["product_id"])["product_id"].to_pylist()
        return found

    def lines(self) -> list[Row]:
        """The purchased lines up to as_of, as the store hands them out."""
        orders = self.engine.table("orders", ["order_id", "is_purchase"]).to_pylist()
        bought = {row["order_id"] for row in orders if row["is_purchase"]}
        names = ["customer_id", "order_id", "time", "product_id", "quantity", "is_purchase"]
        rows = self.engine.table("order_lines", names).to_pylist()
        return [r for r in rows if r["is_purchase"] and r["order_id"] in bought]

    def shop(self) -> Shop:
        """What the twin is to know."""
        names = ["product_id", "category", "brand", "price_level", "stock"]
        rows = self.engine.table("products", names).to_pylist()
        behaviors = ["customer_id", "time", "kind", "product_id", "category"]
        return Shop(
            self.timezone, self.engine.as_of, self.fitted_at,
            {r["product_id"]: r | {"level": r["price_level"]} for r in rows},
            self.lines(), self.fitted_lines,
            self.engine.table("behaviors", behaviors).to_pylist(), self.fitted_products,
        )  # fmt: skip

    def taste(self, buyer: int) -> Taste:
        """A buyer's traits, as the store hands them out."""
        found = self.engine.table("customers", ["customer_id", "price_band", "open_cart_products"])
        rows = {r["customer_id"]: r for r in found.to_pylist()}
        if buyer not in rows:
            return Taste()
        with self.engine._looking() as view:
            row, known_of = view.row_of(buyer), view.population.tables.affinities
            affinities = {kind: known_of.of(kind, row) for kind in ("category", "brand")}
        kept = [int(p) if self.ids != "text" else p for p in rows[buyer]["open_cart_products"]]
        known = set(self._product_ids())
        return Taste(affinities, rows[buyer]["price_band"], [p for p in kept if p in known])
