"""What is bought together: by the twin, by hand, at the bounds, and as of the last fit."""

from __future__ import annotations

from datetime import timedelta
from math import sqrt
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from tests.pages.pool_stores import Market
from tests.pages.test_pool import AS_OF, DAY, lines, products, table
from tests.reference.pools import bought_together


def shop(*orders: tuple[int, ...], ago: timedelta = DAY, least: int = 1) -> se.Engine:
    """A shop with one order of each of these baskets, each of a buyer of its own."""
    engine = se.Engine(as_of=AS_OF, config={"pools": {"least_orders": least}})
    engine.load("products", products(dict.fromkeys(range(1, 61), ("tea", "a", 1.0, 1))))
    told = [(n, n, product) for n, basket in enumerate(orders) for product in basket]
    engine.load("order_lines", lines(*told, ago=ago))
    return engine


def near(engine: se.Engine, product: int) -> list[tuple[int, float, int]]:
    return [tuple(row.values()) for row in engine.bought_together(product).to_pylist()]


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_it_is_what_the_twin_counts(seed: int) -> None:
    rng = Random(seed)
    least = rng.choice((1, 2, 3))
    market = Market(rng, config={"least_orders": least})
    told = [("products", market.some_products()),
            ("order_lines", market.some_lines(rng.choice((3, 80)), ahead=True))]  # fmt: skip
    for name, rows in told if rng.random() < 0.7 else reversed(told):
        market.load(name, rows)
    engine, expected = market.engine, bought_together(market.shop(), least)
    engine.append("order_lines", market.some_lines(5))
    for product, wanted in expected.items():
        found = engine.bought_together(product).to_pylist()
        assert [(r["product_id"], r["orders"]) for r in found] == [(p, n) for p, _, n in wanted]
        assert [r["score"] for r in found] == pytest.approx([c for _, c, _ in wanted], rel=1e-12)


def test_a_score_is_the_cosine_and_equal_ones_stand_by_orders_then_by_id() -> None:
    engine = shop((1, 2), (1, 2), (1, 3), (1, 4), (1, 5, 6), (5, 6))
    assert near(engine, 1) == [
        (2, 2 / sqrt(5 * 2), 2),
        (3, pytest.approx(1 / sqrt(5)), 1), (4, pytest.approx(1 / sqrt(5)), 1),
        (5, pytest.approx(1 / sqrt(10)), 1), (6, pytest.approx(1 / sqrt(10)), 1),
    ]  # fmt: skip
    assert near(engine, 5)[0] == (6, 1.0, 2)
    assert near(engine, 60) == []


def test_too_few_orders_say_nothing() -> None:
    baskets = [(1, 2)] * 3 + [(1, 3)] * 2
    assert near(shop(*baskets, least=3), 1) == [(2, pytest.approx(3 / sqrt(15)), 3)]
    assert near(shop((1,), (2,), (1, 1)), 1) == []


def test_orders_of_50_products_count_and_of_51_do_not() -> None:
    fifty = tuple(range(1, 51))
    assert len(near(shop(fifty), 1)) == 20
    assert near(shop((*fifty, 51)), 1) == []


def test_orders_of_the_last_365_dates_count() -> None:
    assert near(shop((1, 2), ago=364 * DAY), 1) != []
    assert near(shop((1, 2), ago=365 * DAY), 1) == []


def test_an_append_changes_nothing_and_the_next_date_all() -> None:
    engine = shop((1, 2), (1, 2))
    before = near(engine, 1)
    engine.append("order_lines", lines((70, 900, 1), (70, 900, 3)))
    engine.append("products", table(product_id=[99]))
    assert near(engine, 1) == before
    assert near(engine, 99) == []
    engine.advance(AS_OF + DAY)
    assert [product for product, _, _ in near(engine, 1)] == [2, 3]


def test_orders_of_a_deleted_buyer_and_closed_ones_do_not_count() -> None:
    engine = shop((1, 2), (1, 3), (1, 4))
    engine.load("orders", pa.table({
        "customer_id": [1], "order_id": [1], "time": pa.array([AS_OF], pa.timestamp("us", "UTC")),
        "closed_at": pa.array([AS_OF], pa.timestamp("us", "UTC")),
    }))  # fmt: skip
    engine.delete_customer(2)
    engine.advance(AS_OF + DAY)
    assert [product for product, _, _ in near(engine, 1)] == [2]


def test_a_product_that_the_shop_has_not_is_an_error() -> None:
    engine = shop((1, 2))
    for wrong in (99, "1", 2**70):
        with pytest.raises(se.UnknownNameError, match="unknown product"):
            engine.bought_together(wrong)
