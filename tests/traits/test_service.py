"""What went wrong: against SQL, after any batches, and by example."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.traits import service
from tests.ingest.samples import AS_OF, customers, engine, orders
from tests.reference.orders import STATUS_TIMES, fold, is_purchase
from tests.reference.service_sql import DEFINITIONS, complaints
from tests.traits.histories import Batch, Shop, differences, engine_of, rows_of, traits_of
from tests.traits.test_incremental import Life

NAMES = [trait.name for trait in service.SERVICE.traits]
TABLES = ("customers", "orders", "orders", "orders", "reviews", "reviews")
NONE = {
    "unpaid_orders_count": 0, "closed_orders_count": 0, "bad_reviews_count": 0,
    "worst_rating_90d": None, "refund_rate": None,
}  # fmt: skip
TOLD = {
    "time": pa.timestamp("us", tz="UTC"),
    "paid_at": pa.timestamp("us", tz="UTC"),
    "closed_at": pa.timestamp("us", tz="UTC"),
    "refunded_at": pa.timestamp("us", tz="UTC"),
    "refund_amount": pa.decimal128(18, 4),
    "has_status": pa.bool_(),
    "is_purchase": pa.bool_(),
}


def trait(found: se.Engine, name: str) -> list[Any]:
    return found.table("customers", [name])[name].to_pylist()


def placed(**columns: list[Any]) -> se.Engine:
    """An engine with orders of buyer 1."""
    found = engine()
    count = len(next(iter(columns.values())))
    found.load("orders", orders(*[1] * count, order_id=[f"o{k}" for k in range(count)], **columns))
    return found


def reviews(*rows: tuple[float, int | None], ids: list[str] | None = None) -> pa.Table:
    """Reviews of buyer 1: days ago, rating."""
    columns: dict[str, Any] = {
        "customer_id": [1] * len(rows),
        "time": [AS_OF - timedelta(days=days) for days, _ in rows],
        "rating": pa.array([rating for _, rating in rows], pa.int64()),
    }
    return pa.table(columns | ({} if ids is None else {"review_id": ids}))


# --- against SQL ----------------------------------------------------------------------------------


def told(batches: list[Batch], text_ids: bool) -> pa.Table:
    """The orders as their rows say, by the twin alone."""
    rows = [
        {name: row.get(name) for name in ("customer_id", *TOLD)}
        | {"has_status": any(c in first for c in STATUS_TIMES),
           "is_purchase": is_purchase(first, row)}
        for _, first, row in fold(rows_of(batches, "orders"), ("order_id",))
    ]  # fmt: skip
    ids = pa.string() if text_ids else pa.int64()
    return pa.Table.from_pylist(rows, pa.schema({"customer_id": ids, **TOLD}))


def disagreements(seed: int, *, buyers: int = 6, batches: int = 9, rows: int = 8) -> list[str]:
    rng = Random(seed)
    shop = Shop.drawn(rng, buyers=buyers)
    shop.ties = True
    drawn = [shop.batch(table, rows) for table in rng.choices(TABLES, k=batches)]
    found = engine_of(shop)
    for batch in drawn:
        found.load(batch.table, batch.to_arrow())
    connection = found.connect(["customers", "reviews"])
    connection.register("told", told(drawn, shop.text_ids))
    return differences(traits_of(found, NAMES), complaints(connection, shop.as_of))


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_complaints_equal_their_definitions_in_sql(seed: int) -> None:
    assert disagreements(seed) == []


@settings(max_examples=2)
@given(st.integers(0, 2**32))
def test_complaints_of_a_larger_shop_equal_their_definitions_in_sql(seed: int) -> None:
    assert disagreements(seed, buyers=60, batches=12, rows=150) == []


@pytest.mark.prove
def test_complaints_equal_their_definitions_in_sql_at_length() -> None:
    assert {seed: found for seed in range(1000) if (found := disagreements(seed))} == {}


def test_every_trait_has_a_definition_in_sql() -> None:
    assert set(DEFINITIONS) == set(NAMES) == set(NONE)


# --- incremental equals full ----------------------------------------------------------------------


def changed(seed: int) -> list[str]:
    life = Life(seed, steps=12, rows=6)
    return differences(traits_of(life.engine, NAMES), traits_of(life.fresh(), NAMES))


@settings(max_examples=8)
@given(st.integers(0, 2**32))
def test_complaints_after_any_batches_equal_those_of_a_fresh_build(seed: int) -> None:
    assert changed(seed) == []


@pytest.mark.prove
def test_complaints_after_any_batches_equal_those_of_a_fresh_build_at_length() -> None:
    assert {seed: found for seed in range(300) if (found := changed(seed))} == {}


# --- by example -----------------------------------------------------------------------------------


def test_an_order_that_is_paid_closed_or_without_statuses_is_not_unpaid() -> None:
    found = placed(paid_at=[None, AS_OF, None], closed_at=[None, None, AS_OF])
    assert trait(found, "unpaid_orders_count") == [1]
    assert trait(found, "closed_orders_count") == [1]
    found.append("orders", orders(1, order_id=["o0"], paid_at=[AS_OF]))
    assert trait(found, "unpaid_orders_count") == [0]
    assert trait(placed(amount=[3.0, 4.0]), "unpaid_orders_count") == [0]


def test_an_order_that_the_source_calls_a_purchase_is_not_unpaid() -> None:
    found = placed(paid_at=pa.nulls(2, pa.timestamp("us")), is_purchase=[True, False])
    assert trait(found, "unpaid_orders_count") == [1]


def test_an_order_known_by_its_lines_alone_is_bought_and_never_unpaid() -> None:
    found = engine()
    found.load("order_lines", orders(1, 1, order_id=["o1", "o2"], amount=[3.0, 4.0]))
    assert trait(found, "unpaid_orders_count") == [0]
    assert trait(found, "refund_rate") == [0.0]


def test_a_refund_is_an_amount_above_0_or_a_moment_without_an_amount() -> None:
    found = placed(
        amount=[10.0] * 6,
        refund_amount=[None, 0.0, -1.0, 4.0, None, 10.0],
        refunded_at=[None, AS_OF, None, None, AS_OF, AS_OF],
        paid_at=[AS_OF] * 6,
    )
    assert trait(found, "refund_rate") == [0.5]


def test_an_order_that_was_never_paid_is_in_no_rate() -> None:
    found = placed(paid_at=[AS_OF, None], refund_amount=[4.0, None], amount=[10.0, 10.0])
    assert trait(found, "refund_rate") == [1.0]
    found = placed(paid_at=pa.nulls(1, pa.timestamp("us")), amount=[10.0])
    assert trait(found, "refund_rate") == [None]


def test_a_store_of_refunds_alone_has_a_rate_of_1() -> None:
    found = placed(amount=[10.0, 3.0], refund_amount=[10.0, 3.0])
    assert trait(found, "refund_rate") == [1.0]
    assert trait(found, "order_count") == [0]
    found = placed(amount=[-10.0], refund_amount=[None])
    assert trait(found, "refund_rate") == [0.0]


def test_a_revised_review_has_its_latest_rating_and_time() -> None:
    found = engine()
    found.load("reviews", reviews((100, 1), (5, 4), ids=["r1", "r2"]))
    assert trait(found, "bad_reviews_count") == [1]
    assert trait(found, "worst_rating_90d") == [4]
    found.append("reviews", reviews((3, 2), ids=["r1"]))
    assert trait(found, "bad_reviews_count") == [1]
    assert trait(found, "worst_rating_90d") == [2]
    found.append("reviews", reviews((2, 5), ids=["r1"]))
    assert trait(found, "bad_reviews_count") == [0]
    assert trait(found, "worst_rating_90d") == [4]
    assert found.segment("worst_rating_90d <= 3").count() == 0


def test_a_rating_leaves_the_90_dates_and_a_missing_one_counts_for_nothing() -> None:
    found = engine()
    found.load("reviews", reviews((89, 3), (90, 1), (1, None)))
    assert trait(found, "worst_rating_90d") == [3]
    assert trait(found, "bad_reviews_count") == [2]
    found.advance(AS_OF + timedelta(days=1))
    assert trait(found, "worst_rating_90d") == [None]


def test_what_happens_after_as_of_is_in_no_count() -> None:
    found = engine()
    found.load("customers", customers(1))
    found.load("reviews", reviews((-1, 1)))
    ahead = orders(1, time=AS_OF + timedelta(days=1), order_id=["o"], closed_at=[AS_OF])
    found.load("orders", ahead)
    assert found.table("customers", NAMES).to_pylist() == [NONE]
    found.advance(AS_OF + timedelta(days=1))
    assert trait(found, "worst_rating_90d") == [1]
    assert trait(found, "closed_orders_count") == [1]


def test_a_buyer_without_orders_or_reviews_has_zeros_and_no_rate() -> None:
    found = engine()
    found.load("customers", customers(1))
    assert found.table("customers", NAMES).to_pylist() == [NONE]
