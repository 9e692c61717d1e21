"""A page with a pool of ten thousand products, one buyer: the answer first, then times."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

import segengine as se

AS_OF = datetime(2024, 3, 11, 12, tzinfo=UTC)
PRODUCTS, BUYERS, LINES, CATEGORIES, K = 10_000, 20_000, 200_000, 60, 10
BUYER = 17


def _times(rng, count, days):
    hours = rng.integers(1, 24 * days, count)
    return pa.array([AS_OF - timedelta(hours=int(h)) for h in hours], pa.timestamp("us", tz="UTC"))


@pytest.fixture(scope="module")
def engine():
    rng = np.random.default_rng(5)
    found = se.Engine(as_of=AS_OF)
    number = np.arange(PRODUCTS)
    found.load("products", pa.table({
        "product_id": number, "category": [f"c{n % CATEGORIES}" for n in number],
        "brand": [f"b{n % 700}" for n in number], "price": 5.0 + number % 97,
        "stock": 1 + number % 30,
    }))  # fmt: skip
    order = rng.integers(0, LINES // 3, LINES)
    found.load("order_lines", pa.table({
        "customer_id": order % BUYERS, "order_id": order, "time": _times(rng, LINES, 300),
        "product_id": (rng.pareto(1.1, LINES) * 50).astype(np.int64) % PRODUCTS,
        "quantity": np.ones(LINES, np.int64), "amount": np.full(LINES, 20.0),
    }))  # fmt: skip
    found.load("behaviors", pa.table({
        "customer_id": np.append(rng.integers(0, BUYERS, LINES), np.full(40, BUYER)),
        "time": pa.concat_arrays([_times(rng, LINES, 60), _times(rng, 40, 10)]),
        "product_id": rng.integers(0, PRODUCTS, LINES + 40),
        "kind": rng.choice(["view", "view", "view", "cart", "search"], LINES + 40),
    }))  # fmt: skip
    pool = se.Pool("stock > 0", k=K)
    others = [se.Module(f"m{n}", rule=f"order_count > {n}", priority=-n) for n in range(1, 1000)]
    found.define_page(se.Page("pool", [se.Slot("s", [se.Module("pool", pool=pool), *others])]))
    found.define_page(se.Page("plain", [se.Slot("s", others)]))
    _check(found)
    return found


def _check(engine):
    """An unknown visitor sees the best sellers of the last 30 dates, at most half of a category."""
    with engine.connect() as connection:
        rows = connection.sql("""
            SELECT product_id, category, coalesce(sum(quantity), 0) AS items
            FROM products LEFT JOIN (
                SELECT product_id, quantity FROM order_lines
                WHERE is_purchase AND time > TIMESTAMPTZ '2024-02-11 00:00:00+00'
            ) USING (product_id)
            GROUP BY ALL ORDER BY items DESC, product_id
        """).fetchall()
    expected, taken = [], Counter()
    for product, category, _ in rows:
        if taken[category] < K // 2 and len(expected) < K:
            expected.append(product)
            taken[category] += 1
    (placed,) = engine.page("pool").placements
    assert [p.product_id for p in placed.products] == expected
    (placed,) = engine.page("pool", BUYER).placements
    bought = (
        engine.connect()
        .sql(f"""
        SELECT product_id FROM order_lines WHERE customer_id = {BUYER} AND is_purchase
        AND time > TIMESTAMPTZ '2024-02-11 00:00:00+00'
    """)
        .fetchall()
    )
    assert not {p.product_id for p in placed.products} & {p for (p,) in bought}
    scores = [p.score for p in placed.products]
    assert len(scores) == K


def test_a_page_with_a_pool_of_ten_thousand_products(benchmark, engine):
    answer = benchmark(engine.page, "pool", BUYER)
    assert len(answer.placements[0].products) == K


def test_the_same_page_without_the_pool(benchmark, engine):
    assert benchmark(engine.page, "plain", BUYER).placements[0].products == ()


def test_what_is_bought_together_from_the_start(benchmark, engine):
    together = engine._definitions.ranker.together  # noqa: SLF001

    def anew():
        together._kept = None  # noqa: SLF001
        return engine.bought_together(0)

    assert benchmark.pedantic(anew, rounds=3).num_rows == 20


def test_an_append_and_the_next_page(benchmark, engine):
    cart = pa.table({"customer_id": [BUYER], "time": pa.array([AS_OF], pa.timestamp("us", "UTC")),
                     "kind": ["cart"], "product_id": [4242]})  # fmt: skip

    def next_page():
        engine.append("behaviors", cart)
        return engine.page("pool", BUYER)

    products = benchmark.pedantic(next_page, rounds=20).placements[0].products
    assert (products[0].product_id, str(products[0].reason)) == (4242, "open_cart")
