"""Every trait of every buyer is what the slow twin says."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.traits import Lifecycle
from tests.traits.histories import (
    Shop,
    differences,
    engine_of,
    expected_traits,
    traits_of,
)

TABLES = ("customers", "products", "orders", "orders", "order_lines", "order_lines", "behaviors")
ORDERS_ALONE = ("customers", "orders", "orders", "behaviors")
LINES_ALONE = ("products", "order_lines", "order_lines")


def disagreements(seed: int, *, buyers: int = 8, batches: int = 9, rows: int = 8) -> list[str]:
    rng = Random(seed)
    shop = Shop.drawn(rng, buyers=buyers)
    days = sorted(rng.choices((0, 1, 7, 30, 60, 90, 180), k=3))
    lifecycle = Lifecycle(*days)
    config = {
        "lifecycle": dict(zip(("new_days", "active_days", "sleeping_days"), days, strict=True))
    }
    tables = rng.choice((TABLES, TABLES, TABLES, ORDERS_ALONE, LINES_ALONE))
    shop.ties = tables is not TABLES
    drawn = [shop.batch(rng.choice(tables), rows) for _ in range(batches)]
    engine = engine_of(shop, config)
    for batch in drawn:
        engine.load(batch.table, batch.to_arrow())
    expected = expected_traits(drawn, shop.world, lifecycle=lifecycle)
    found = traits_of(engine)
    # A buyer of whom nothing is known up to as_of has a row here, and none with the twin.
    unseen = {one: traits for one, traits in found.items() if one not in expected}
    assert all(t["orders_placed_count"] == 0 for t in unseen.values())
    return differences({one: found[one] for one in found if one in expected}, expected)


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_traits_equal_those_of_the_twin(seed: int) -> None:
    assert disagreements(seed) == []


@given(st.integers(0, 2**32))
@settings(max_examples=2)
def test_traits_of_a_larger_shop_equal_those_of_the_twin(seed: int) -> None:
    assert disagreements(seed, buyers=60, batches=8, rows=120) == []


@pytest.mark.prove
def test_traits_equal_those_of_the_twin_at_length() -> None:
    assert {seed: found for seed in range(1000) if (found := disagreements(seed))} == {}
