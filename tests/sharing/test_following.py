"""Whoever follows a store answers as the store itself, whatever happens to it meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from segengine.errors import ElsewhereError, SegengineError
from segengine.following import Following
from tests.pages.test_census import random_impressions, random_module, random_page


@contextmanager
def shared(engine: se.Engine) -> Iterator[Following]:
    following = Following.at(engine.share())
    try:
        yield following
    finally:
        following.end()


def said(page: se.PageAnswer) -> tuple[Any, ...]:
    return page.placements, page.valid_until, page.as_of, page.data_version, page.rejected


def agree(engine: se.Engine, following: Following, ids: list[Any], context: dict[str, str]) -> None:
    for each in [*ids, None, "nobody", -5]:
        for name in engine.pages:
            try:
                expected: Any = said(engine.page(name, each, context))
            except SegengineError as error:
                with pytest.raises(type(error)):
                    following.page(name, each, context)
            else:
                assert said(following.page(name, each, context)) == expected
        if each in ids:
            assert following.match(each) == engine.match(each)


def some_ids(rng: random.Random, engine: se.Engine, count: int = 6) -> list[Any]:
    ids = engine.table("customers", ["customer_id"])["customer_id"].to_pylist()
    return rng.sample(ids, min(count, len(ids)))


def happen(rng: random.Random, engine: se.Engine, step: int) -> None:
    """Something that changes the store."""
    ids = some_ids(rng, engine, 20)
    text = engine.id_kind == "VARCHAR"
    new = [
        f"new{step}-{k}" if text else 10**9 + 1000 * step + k for k in range(rng.choice((1, 90)))
    ]
    now = engine.as_of
    match rng.randrange(9):
        case 0:
            rows = random_impressions(rng, [*ids, *new], [f"m{k}" for k in range(9)], now)
            engine.append("impressions", rows, on_error="skip")
        case 1:
            engine.append("orders", pa.table({
                "customer_id": [rng.choice([*ids, *new]) for _ in range(50)],
                "order_id": [10_000 + 1_000 * step + k for k in range(50)],
                "time": [now - timedelta(hours=rng.randrange(2000)) for _ in range(50)],
                "amount": [float(rng.randrange(100)) for _ in range(50)],
                "payment": [rng.choice(("card", f"way{step}")) for _ in range(50)],
            }), on_error="refuse")  # fmt: skip
        case 2:
            engine.append("behaviors", pa.table({
                "customer_id": [rng.choice([*ids, *new]) for _ in range(40)],
                "time": [now - timedelta(hours=rng.randrange(500)) for _ in range(40)],
                "kind": [rng.choice(("view", "cart", "visit", "survey")) for _ in range(40)],
                "category": [rng.choice(("a", "b", f"c{step}")) for _ in range(40)],
                "product_id": [rng.choice(("p0", "p1", "p9")) for _ in range(40)],
                "question": ["How old?"] * 40,
                "answer": [rng.choice(("young", f"old{step}")) for _ in range(40)],
            }), on_error="skip")  # fmt: skip
        case 3:
            engine.append("customers", pa.table({
                "customer_id": [*ids[:5], *new],
                "city": [f"city{step}"] * (len(ids[:5]) + len(new)),
                f"column{step}": [1.5] * (len(ids[:5]) + len(new)),
            }))  # fmt: skip
        case 4:
            engine.append("products", pa.table({
                "product_id": ["p1", "p9"], "price": [float(step), 50.0], "stock": [step % 2, 1],
                "category": ["b", f"c{step}"],
            }), on_error="skip")  # fmt: skip
        case 5:
            if ids:
                engine.delete_customer(ids[0])
        case 6:
            engine.advance(now + rng.choice((timedelta(minutes=7), timedelta(hours=30))))
        case 7:
            rules = ["order_count > 1", "segment('saved') OR amount_total > 10",
                     "percent_rank(amount_total) OVER () > 0.5",
                     "sum(orders.amount) FILTER (WHERE payment = 'card') > 20",
                     "affinity('category', 'a') > 0.1"]  # fmt: skip
            modules = [random_module(rng, f"m{k}", rules[:2], now) for k in range(4)]
            modules.append(se.Module("m8", rule=rng.choice(rules), priority=9))
            engine.define_page(se.Page(rng.choice(("p", "q")), [se.Slot("top", modules)]))
        case 8:
            engine.define_segment("saved", rng.choice(("order_count > 0", "city = 'city1'")))
            engine.define_trait("spent_twice", f"amount_total * {2 + step}")


def live_on(seed: int) -> None:
    rng = random.Random(seed)
    engine, context = random_page(seed)
    with shared(engine) as following:
        agree(engine, following, some_ids(rng, engine), context)
        for step in range(12):
            happen(rng, engine, step)
            agree_or_pass_on(engine, following, some_ids(rng, engine), context)


def agree_or_pass_on(
    engine: se.Engine, following: Following, ids: list[Any], context: dict[str, str]
) -> None:
    """As `agree`; what compares buyers is left to the store, and that alone."""
    try:
        agree(engine, following, ids, context)
    except ElsewhereError:
        rules = [str(m.rule) for p in engine.pages.values() for s in p.slots for m in s.modules]
        assert any("OVER" in rule for rule in rules)


@pytest.mark.parametrize("seed", range(8))
def test_it_answers_as_the_store_does_whatever_happens(seed: int) -> None:
    live_on(seed)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_it_answers_as_many_stores_do_whatever_happens(seed: int) -> None:
    live_on(seed)


def test_a_definition_that_takes_the_place_of_one_of_its_size_is_heard_of() -> None:
    engine = se.Engine("UTC", datetime(2026, 3, 15, 12, tzinfo=UTC))
    engine.load("customers", pa.table({"customer_id": [1, 2, 3]}))
    engine.load("orders", pa.table({
        "customer_id": [1, 1, 2, 3], "time": [engine.as_of - timedelta(days=2)] * 4,
        "amount": [1.0, 2.0, 3.0, 4.0],
    }))  # fmt: skip

    def define(least: int) -> None:
        modules = [se.Module("a", rule=f"orders_30d >= {least}"), se.Module("z", fallback=True)]
        engine.define_page(se.Page("home", [se.Slot("b", modules)]))

    define(1)
    with shared(engine) as following:
        agree(engine, following, [1, 2, 3], {})
        rng = random.Random(1)
        for _ in range(20):
            # The first of two is never heard of, and gives its bytes back.
            for least in rng.sample(range(1, 5), 2):
                define(least)
            agree(engine, following, [1, 2, 3], {})
