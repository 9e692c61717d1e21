"""Purchase, RFM, life cycle and intent of every buyer are what one plain SQL query says."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.traits.intent import INTENT
from segengine.traits.life_cycle import LIFE_CYCLE
from segengine.traits.purchase import PURCHASE
from segengine.traits.rfm import RFM
from tests.reference import purchase_sql
from tests.reference.local_time import local_date, start_of_date
from tests.traits.histories import Shop, differences, engine_of, traits_of

TABLES = ("customers", "products", "orders", "orders", "order_lines", "order_lines", "behaviors")
NAMES = [trait.name for family in (PURCHASE, RFM, LIFE_CYCLE, INTENT) for trait in family.traits]
LONGEST = 1200


def starts_of(found: se.Engine, shop: Shop) -> dict[object, object]:
    """The first moment of every date from the first purchase to today."""
    first = min((t for t in found.table("purchases", ["time"])["time"].to_pylist()), default=None)
    today = local_date(shop.as_of, shop.timezone)
    if first is None:
        return {}
    day: date = local_date(first, shop.timezone)
    count = (today - day).days + 1
    return {
        day + timedelta(days=k): start_of_date(day + timedelta(days=k), shop.timezone)
        for k in range(count)
    }


def disagreements(seed: int, *, buyers: int = 8, batches: int = 9, rows: int = 8) -> list[str]:
    rng = Random(seed)
    shop = Shop.drawn(rng, buyers=buyers)
    shop.ties = True
    days = sorted(rng.choices((0, 1, 7, 30, 60, 90, 180), k=3))
    keys = ("new_days", "active_days", "sleeping_days")
    found = engine_of(shop, {"lifecycle": dict(zip(keys, days, strict=True))})
    for _ in range(batches):
        batch = shop.batch(rng.choice(TABLES), rows)
        found.load(batch.table, batch.to_arrow())
    starts = starts_of(found, shop)
    if len(starts) > LONGEST:
        return []
    connection = found.connect(["customers", "orders", "order_lines", "behaviors"])
    expected = purchase_sql.traits(connection, shop.as_of, starts, (days[0], days[1], days[2]))
    return differences(traits_of(found, NAMES), expected)


@settings(max_examples=12)
@given(st.integers(0, 2**32))
def test_traits_equal_their_definitions_in_sql(seed: int) -> None:
    assert disagreements(seed) == []


@settings(max_examples=2)
@given(st.integers(0, 2**32))
def test_traits_of_a_larger_shop_equal_their_definitions_in_sql(seed: int) -> None:
    assert disagreements(seed, buyers=60, batches=8, rows=120) == []


@pytest.mark.prove
def test_traits_equal_their_definitions_in_sql_at_length() -> None:
    assert {seed: found for seed in range(600) if (found := disagreements(seed))} == {}
