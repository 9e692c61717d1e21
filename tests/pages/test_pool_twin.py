"""A pool is the slow twin's, for any shop, pool and buyer, also after what arrives later."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import segengine as se
from tests.pages.pool_stores import Market, settings_of
from tests.reference.pools import Id, Settings, Wanted, pool, remaining

RULES = (
    None, None, "price >= 10", "category = 'tea'", "stock >= 0", "units_30d > 0",
    "category = 'tea' OR brand = 'b'", "price > 1000",
)  # fmt: skip


def market_of(seed: int) -> Market:
    """A shop with a history, loaded in some order."""
    rng = Random(seed)
    config: dict[str, Any] = {}
    if rng.random() < 0.5:
        config = {
            "most_of_category": rng.choice((0.2, 0.34, 1)),
            "just_bought_days": rng.choice((0, 1, 7, 30)),
            "bought_together_days": rng.choice((1, 30, 400)),
            "recent_days": rng.choice((1, 14, 60)),
            "best_seller_days": rng.choice((1, 30, 365)),
            "half_life_days": rng.choice((0.5, 3, 100)),
            "least_orders": rng.choice((1, 2, 3)),
            **{name: rng.choice((0, 1, 7)) for name in ("recent", "category", "brand", "price")},
            "view": rng.choice((0, 1)),
        }
    market = Market(rng, config=config)
    told = [
        ("products", market.some_products()),
        ("order_lines", market.some_lines(rng.choice((1, 15, 60)), ahead=True)),
        ("behaviors", market.some_behaviors(rng.choice((2, 60)), ahead=True)),
    ]
    if rng.random() < 0.2:
        told = told[1:]
    if rng.random() < 0.3:
        rng.shuffle(told)
    for table, rows in told:
        market.load(table, rows)
    return market


def pool_drawn(market: Market) -> se.Pool:
    rng = market.rng
    ids = [market.product_id(n) for n in rng.sample(range(20), rng.choice((0, 0, 2, 5)))]
    cut = rng.randrange(len(ids) + 1)
    k = rng.choice((1, 2, 3, 5, 10, 40))
    return se.Pool(rng.choice(RULES), k, ids[:cut], ids[cut:], rng.random() < 0.5)


def wanted_of(engine: se.Engine, asked: se.Pool) -> Wanted:
    rule = asked.rule if asked.rule is not None else "TRUE"
    holds = frozenset(engine.products(rule).ids().to_pylist())
    asks_stock = "stock" in str(rule)
    return Wanted(holds, asked.k, asked.pin, asked.ban, asked.open_carts_first, asks_stock)


def same_pool(market: Market, asked: se.Pool, config: Settings) -> None:
    """Every buyer's page, and that of nobody, is what the twin says."""
    engine = market.engine
    page = [se.Slot("s", [se.Module("m", pool=asked), se.Module("rest", priority=-1)])]
    engine.define_page(se.Page("p", page))
    shop, wanted = market.shop(), wanted_of(engine, asked)
    for buyer in (*range(market.buyers), None, 404):
        lines = [r for r in shop.lines if r["customer_id"] == buyer]
        did = [r for r in shop.behaviors if r["customer_id"] == buyer]
        taste = market.taste(-1 if buyer is None else buyer)
        expected = pool(shop, config, wanted, taste, lines, did)
        (placed,) = engine.page("p", buyer).placements
        found = [(p.product_id, p.score, str(p.reason)) for p in placed.products]
        assert _alike(found, expected), (buyer, found, expected)
        assert placed.module == ("m" if expected else "rest")
        assert (placed.module == "m") == bool(wanted_pins(market, wanted) or remaining(
            shop, config, wanted, lines))  # fmt: skip


def wanted_pins(market: Market, wanted: Wanted) -> list[Id]:
    rows = market.engine.table("products", ["product_id", "stock"]).to_pylist()
    fit = {r["product_id"] for r in rows if r["stock"] is None or r["stock"] > 0}
    return [each for each in wanted.pin if each in fit]


def _alike(found: list[Any], expected: list[Any]) -> bool:
    """The same products for the same reasons; scores but for the last digit of a millionth."""
    return [(p, why) for p, _, why in found] == [(p, why) for p, _, why in expected] and all(
        abs(one - other) < 2e-6 for (_, one, _), (_, other, _) in zip(found, expected, strict=True)
    )


def lives(seed: int, steps: int) -> None:
    market = market_of(seed)
    config, rng = settings_of(market.config), market.rng
    same_pool(market, pool_drawn(market), config)
    engine = market.engine
    for _ in range(steps):
        what = rng.choice(("behaviors", "order_lines", "products", "advance"))
        if what == "behaviors":
            engine.append(what, market.some_behaviors(5))
        elif what == "order_lines":
            engine.append(what, market.some_lines(2))
        elif what == "products":
            engine.append(what, market.some_products())
        else:
            engine.advance(engine.as_of + timedelta(hours=rng.choice((1, 20, 80))))
            if engine.fits.fitted_at == round(engine.as_of.timestamp() * 1e6):
                market.fitted()
        same_pool(market, pool_drawn(market), config)


@settings(max_examples=12)
@example(5902)  # a score of next to nothing, from two terms
@given(st.integers(0, 2**32))
def test_a_pool_is_the_twins_for_every_buyer(seed: int) -> None:
    lives(seed, 2)


@pytest.mark.prove
@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_a_pool_is_the_twins_through_many_changes(seed: int) -> None:
    lives(seed, 8)


MOVING = ("listed_at <= now()", "listed_at > now() - INTERVAL 2 DAY", "hour(now()) < 12",
          "listed_at BETWEEN now() - INTERVAL 3 HOUR AND now()", "days_since(listed_at) < 2",
          "units_30d > 0", "stock > 0")  # fmt: skip


def no_change_before_its_time(seed: int) -> None:
    market = market_of(seed)
    rng, engine = market.rng, market.engine
    numbers = rng.sample(range(18), 9)
    ahead = [market.as_of + timedelta(minutes=rng.randrange(-4000, 3000)) for _ in numbers]
    rows = {"product_id": [market.product_id(n) for n in numbers],
            "listed_at": pa.array(ahead, pa.timestamp("us", tz="UTC"))}  # fmt: skip
    engine.load("products", pa.table(rows))
    slots = [
        se.Slot(f"s{n}", [se.Module(f"m{n}", pool=se.Pool(rule, 5, open_carts_first=n == 1))])
        for n, rule in enumerate(rng.sample(MOVING, 2))
    ]
    engine.define_page(se.Page("p", slots))
    buyer = rng.choice((0, 1, 2, None))
    for _ in range(4):
        answer = engine.page("p", buyer)
        until = answer.valid_until
        assert until is not None
        assert until > engine.as_of
        room = (until - engine.as_of) // timedelta(microseconds=1)
        for moment in (rng.randrange(room), room - 1):
            engine.advance(answer.as_of + timedelta(microseconds=moment))
            assert engine.page("p", buyer).placements == answer.placements
        engine.advance(until + timedelta(minutes=rng.choice((0, 0, 7))))


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_no_pool_changes_before_it_says_so(seed: int) -> None:
    no_change_before_its_time(seed)


@pytest.mark.prove
@settings(max_examples=400)
@given(st.integers(0, 2**32))
def test_no_pool_of_many_changes_before_it_says_so(seed: int) -> None:
    no_change_before_its_time(seed)
