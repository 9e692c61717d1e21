"""Pages of everything at once: pools, caps, decays, windows, hours, variants, holdouts, context.

While the data stands no answer changes before it says so, and the census is everybody's page.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from tests.pages.pool_stores import INSTANT, Market

RULES = (
    "views_7d >= 2", "count(behaviors) FILTER (WHERE time > now() - INTERVAL 90 MINUTE) >= 1",
    "order_count >= 2", "open_carts_count > 0", "last_seen_at >= now() - INTERVAL 3 HOUR",
    "count(order_lines) FILTER (WHERE product.units_30d > 3) > 0", "hour(now()) < 12",
    "affinity('category', 'tea') > 0.5", "price_band = 'low'", "intent_stage = 'interested'",
    "recency_days = 0", "count(order_lines) FILTER (WHERE product.stock > 0) > 1",
    "percent_rank(views_7d) OVER () > 0.5", "max(orders.amount) > avg(orders.amount)",
    "last_order_at > now() - INTERVAL 1 DAY", "days_since(last_order_at) < 2",
    "max(behaviors.time) > today()", "sum(order_lines.quantity) > 3", "lifecycle_stage = 'new'",
    "context.device = 'mobile'", "TRUE",
)  # fmt: skip
POOLS = (
    None, "price >= 10", "units_30d > 0", "views_30d >= 1", "stock >= 0", "category = 'tea'",
    "conversion_rate > 0.1", "growth > 0", "buyers_90d > 1", "matrix_class = 'star'",
    "price_level = 'low'", "role IS NOT NULL",
)  # fmt: skip
REQUEST = {"device": "mobile"}
TICK = timedelta(microseconds=1)


def filled(rng: Random) -> Market:
    """A shop with products, orders, behaviours and impressions, some of them ahead of its clock."""
    market = Market(rng)
    market.load("products", market.some_products())
    market.load("order_lines", market.some_lines(12, ahead=True))
    market.load("behaviors", market.some_behaviors(20, ahead=True))
    if rng.random() < 0.5:
        market.engine.append("order_lines", market.some_lines(3))
    if rng.random() < 0.5:
        market.engine.append("behaviors", market.some_behaviors(3))
    times = [market.as_of - timedelta(minutes=rng.randrange(-2000, 5000)) for _ in range(20)]
    market.engine.load("impressions", pa.table({
        "customer_id": [rng.randrange(5) for _ in times],
        "module": [f"m{rng.randrange(6)}" for _ in times],
        "kind": [rng.choice(("shown", "shown", "clicked")) for _ in times],
        "time": pa.array(times, INSTANT),
    }))  # fmt: skip
    return market


def module(market: Market, name: str) -> se.Module:
    """A module with anything that one may have."""
    rng = market.rng
    pins = rng.sample([market.product_id(n) for n in range(4)], rng.randrange(2))
    pool = se.Pool(rng.choice(POOLS), k=rng.randrange(1, 5), pin=pins,
                   open_carts_first=rng.random() < 0.5)  # fmt: skip
    return se.Module(
        name,
        rule=rng.choice((None, *[rng.choice(RULES)] * 2)),
        priority=rng.randrange(3),
        cap=rng.choice((None, None, se.Cap(rng.randrange(3), rng.choice((1, 3))))),
        decay=rng.choice((None, se.Decay(1, 1, 2))),
        fallback=rng.random() < 0.2,
        hours=rng.choice((None, None, [("22:00", "06:30")], [(9, 17)])),
        starts_at=rng.choice((None, market.as_of + timedelta(hours=rng.randrange(-5, 30)))),
        holdout=rng.choice((0, 0.3)),
        variants=rng.choice((None, {"a": 0.5, "b": 0.5})),
        pool=rng.choice((None, pool)),
    )


def census_is_everybodys(engine: se.Engine) -> None:
    """What the census counts is what every buyer sees."""
    seen: Counter[tuple[str, str]] = Counter()
    for customer_id in engine.segment("TRUE").ids().to_pylist():
        for placed in engine.page("p", customer_id, REQUEST).placements:
            if placed.module is not None:
                seen[placed.slot, placed.module] += 1
    rows = engine.page_census("p", REQUEST).modules.to_pylist()
    assert {(r["slot"], r["module"]): r["reach"] for r in rows if r["reach"]} == dict(seen)


def walked(seed: int) -> int:
    """How many promises were looked at on a walk of three days."""
    rng = Random(seed)
    market = filled(rng)
    engine = market.engine
    made = [module(market, f"m{number}") for number in range(6)]
    slots = [se.Slot("a", made[:4]), se.Slot("b", made[2:])]
    engine.define_page(se.Page("p", slots, rule=rng.choice((None, rng.choice(RULES)))))
    promised: dict[Any, tuple[Any, datetime | None]] = {}
    looked = 0
    moments = sorted(market.as_of + timedelta(seconds=rng.randrange(3 * 86_400)) for _ in range(12))
    queue = [market.as_of, *moments]
    while queue:
        moment = queue.pop(0)
        engine.advance(moment)
        for visitor in (0, 1, 2, 3, None, 77):
            answer = engine.page("p", visitor, REQUEST)
            found = (answer.placements, answer.rejected)
            before = promised.get(visitor)
            stands = before is not None and (before[1] is None or moment < before[1])
            if before is not None and stands:
                assert found == before[0], (visitor, moment, before[1])
                looked += 1
                continue
            until = answer.valid_until
            assert until is None or until > moment
            promised[visitor] = (found, until)
            if until is not None and until - TICK > moment and rng.random() < 0.4:
                queue = sorted({*queue, until - TICK})
        if rng.random() < 0.1:
            census_is_everybodys(engine)
    return looked


@pytest.mark.parametrize("seed", range(6))
def test_no_page_of_everything_changes_before_it_says_so(seed: int) -> None:
    assert walked(seed) > 0


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(100, 300))
def test_no_page_of_many_shops_changes_before_it_says_so(seed: int) -> None:
    walked(seed)
