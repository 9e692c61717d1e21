"""What a buyer's events come to, by hand: every aggregate, nulls, ties, refunds and scopes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import segengine as se
from tests.rules.stores import ids

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
MONEY = pa.decimal128(18, 4)


def days_ago(*counts: float) -> list[datetime]:
    return [NOW - timedelta(days=count) for count in counts]


def moneys(*amounts: float | None) -> pa.Array:
    return pa.array([None if a is None else Decimal(str(a)) for a in amounts], MONEY)


@pytest.fixture
def store() -> se.Engine:
    """1 has events with nulls and ties, 2 has events whose values are all null, 3 has none.

    One more event is nobody's: its buyer is gone.
    """
    engine = se.Engine(timezone="UTC", as_of=NOW, config={
        "tables": {"tickets": {"topic": "VARCHAR", "minutes": "BIGINT", "score": "DOUBLE",
                               "cost": "DECIMAL", "due": "DATE", "urgent": "BOOLEAN"}},
    })  # fmt: skip
    engine.load("customers", pa.table({
        "customer_id": [1, 2, 3], "city": ["Hangzhou", None, "Shanghai"],
        "member_level": pa.array([2, None, 1]),
    }))  # fmt: skip
    engine.load("tickets", pa.table({
        "customer_id": [1, 2, 1, 1, 1, 2, 9],
        # The second and the fourth of buyer 1 share a moment, and so do the first and the third.
        "time": days_ago(9, 5, 3, 9, 3, 4, 1),
        "topic": pa.array(["pay", None, None, "ship", "é", None, "lost"]),
        "minutes": pa.array([5, None, 7, None, 5, None, 99]),
        "score": pa.array([0.5, None, float("nan"), 2.0, -1.0, None, 9.0]),
        "cost": moneys(1.5, None, None, 2.25, 1.5, None, 9),
        "due": pa.array([date(2024, 3, 5), None, date(2024, 2, 1), None, date(2024, 3, 1), None,
                         None]),
        "urgent": pa.array([True, None, False, None, None, None, True]),
    }))  # fmt: skip
    engine.delete_customer(9)
    return engine


SAID: list[tuple[str, Any, Any, Any]] = [
    # aggregate, and its value for buyers 1, 2 and 3 as the language writes it; None: no value
    ("count(tickets)", 4, 2, 0),
    ("count(tickets.minutes)", 3, 0, 0),
    ("count(tickets.score)", 3, 0, 0),
    ("count(tickets.topic)", 3, 0, 0),
    ("count(DISTINCT tickets.minutes)", 2, 0, 0),
    ("count(DISTINCT tickets.topic)", 3, 0, 0),
    ("count(DISTINCT tickets.cost)", 2, 0, 0),
    ("count(DISTINCT tickets.urgent)", 2, 0, 0),
    ("count(DISTINCT tickets.score)", 3, 0, 0),
    ("sum(tickets.minutes)", 17, 0, 0),
    ("sum(tickets.score)", 1.5, 0.0, 0.0),
    ("sum(tickets.cost)", 5.25, 0, 0),
    ("min(tickets.minutes)", 5, None, None),
    ("max(tickets.minutes)", 7, None, None),
    ("min(tickets.score)", -1.0, None, None),
    ("max(tickets.score)", 2.0, None, None),
    ("min(tickets.cost)", 1.5, None, None),
    ("max(tickets.cost)", 2.25, None, None),
    ("min(tickets.due)", "DATE '2024-02-01'", None, None),
    ("max(tickets.due)", "DATE '2024-03-05'", None, None),
    ("min(tickets.topic)", "'pay'", None, None),
    ("max(tickets.topic)", "'é'", None, None),
    ("min(tickets.time)", "now() - INTERVAL 9 DAY", "now() - INTERVAL 5 DAY", None),
    ("max(tickets.time)", "now() - INTERVAL 3 DAY", "now() - INTERVAL 4 DAY", None),
    ("avg(tickets.cost)", 1.75, None, None),
    ("avg(tickets.score)", 0.5, None, None),
    ("avg(tickets.minutes) * 3", 17.0, None, None),
    # of two at one moment the one that came first is the first, the one that came last the last
    ("first(tickets.topic)", "'pay'", None, None),
    ("last(tickets.topic)", "'é'", None, None),
    ("first(tickets.minutes)", 5, None, None),
    ("last(tickets.minutes)", 5, None, None),
    ("first(tickets.score)", 0.5, None, None),
    ("last(tickets.cost)", 1.5, None, None),
    ("first(tickets.urgent)", "TRUE", None, None),
    # the last one has no value here: there is none, not that of the one before
    ("last(tickets.urgent)", None, None, None),
    ("last(tickets.due)", "DATE '2024-03-01'", None, None),
]


def asked(engine: se.Engine, rule: str) -> set[int | str]:
    """The buyers of a rule, as every way of asking gives them."""
    found = ids(engine, rule)
    segment = engine.segment(rule)
    assert segment.count() == len(found)
    for who in (1, 2, 3):
        assert segment.contains(who) == segment.explain(who).holds == (who in found), rule
    engine.define_segment("asked", rule)
    assert {who for who in (1, 2, 3) if "asked" in engine.match(who)} == found
    return found


@pytest.mark.parametrize(("aggregate", "one", "two", "three"), SAID, ids=[s[0] for s in SAID])
def test_an_aggregate_has_this_value(
    store: se.Engine, aggregate: str, one: Any, two: Any, three: Any
) -> None:
    values = {1: one, 2: two, 3: three}
    for said in {value for value in values.values() if value is not None}:
        owners = {who for who, value in values.items() if value == said}
        known = {who for who, value in values.items() if value is not None}
        assert asked(store, f"{aggregate} = {said}") == owners
        assert asked(store, f"NOT {aggregate} = {said}") == known - owners
    missing = {who for who, value in values.items() if value is None}
    assert asked(store, f"{aggregate} IS NULL") == missing


def test_an_average_is_one_division_of_the_exact_sum(store: se.Engine) -> None:
    assert asked(store, "avg(tickets.minutes) = 17 / 3") == {1}


def test_a_filter_sees_the_event_its_buyer_and_nothing_of_others(store: se.Engine) -> None:
    assert asked(store, "count(tickets) FILTER (WHERE minutes = 5) = 2") == {1}
    assert asked(store, "count(tickets) FILTER (WHERE minutes <> 5) = 1") == {1}
    assert asked(store, "count(tickets) FILTER (WHERE minutes IS NULL) = 2") == {2}
    assert asked(store, "sum(tickets.minutes) FILTER (WHERE topic = 'pay' OR topic = 'é') = 10") \
        == {1}  # fmt: skip
    assert asked(store, "count(tickets) FILTER (WHERE customers.city = 'Hangzhou') > 0") == {1}
    assert asked(store, "count(tickets) FILTER (WHERE customers.city IS NULL) > 0") == {2}
    assert asked(store, "count(tickets) FILTER (WHERE minutes > customers.member_level) = 3") == {1}
    assert asked(store, "last(tickets.topic) FILTER (WHERE tickets.topic <> 'é') = 'ship'") == {1}
    assert asked(store, "count(tickets) FILTER (WHERE FALSE) = 0") == {1, 2, 3}
    assert asked(store, "count(tickets) FILTER (WHERE in_last_days(time, 5)) = 2") == {1}


def test_aggregates_stand_wherever_a_value_may(store: se.Engine) -> None:
    assert asked(store, "count(tickets) > member_level") == {1}
    assert asked(store, "count(tickets) + sum(tickets.minutes) = 21") == {1}
    assert asked(store, "count(tickets) BETWEEN 1 AND 3") == {2}
    assert asked(store, "count(tickets) IN (0, 4)") == {1, 3}
    assert asked(store, "days_since(max(tickets.time)) = 3") == {1}
    assert asked(store, "CASE WHEN count(tickets) = 0 THEN 'none' ELSE 'some' END = 'none'") == {3}
    assert asked(store, "coalesce(max(tickets.minutes), 0) = 0") == {2, 3}
    assert asked(store, "last(tickets.topic) LIKE '_'") == {1}
    assert asked(store, "first(tickets.urgent)") == {1}
    assert asked(store, "NOT first(tickets.urgent)") == set()


def test_an_event_is_not_seen_before_its_moment(store: se.Engine) -> None:
    store.load("tickets", pa.table({
        "customer_id": [3, 1], "time": [NOW + timedelta(hours=2), NOW + timedelta(days=2)],
        "minutes": [50, 60], "topic": ["soon", "later"],
    }))  # fmt: skip
    many = store.segment("count(tickets) >= 1")
    longest = store.segment("max(tickets.minutes) >= 50")
    last = store.segment("last(tickets.topic) IN ('soon', 'later')")

    def seen() -> list[list[int | str]]:
        return [segment.ids().to_pylist() for segment in (many, longest, last)]

    assert seen() == [[1, 2], [], []]
    assert [s.contains(3) for s in (many, longest, last)] == [False] * 3
    store.advance(NOW + timedelta(hours=2))
    assert seen() == [[1, 2, 3], [3], [3]]
    store.advance(NOW + timedelta(days=2) - timedelta(microseconds=1))
    assert seen() == [[1, 2, 3], [3], [3]]
    store.advance(NOW + timedelta(days=2))
    assert seen() == [[1, 2, 3], [1, 3], [1, 3]]
    store.advance(NOW - timedelta(days=20))
    assert seen() == [[], [], []]


def test_an_event_counts_as_soon_as_it_is_appended(store: se.Engine) -> None:
    segment = store.segment("count(tickets) >= 1 AND NOT last(tickets.topic) = 'é'")
    assert segment.ids().to_pylist() == []
    store.append("tickets", pa.table({"customer_id": [3], "time": [NOW], "topic": ["new"]}))
    assert segment.ids().to_pylist() == [3]
    store.append("tickets", pa.table({"customer_id": [1], "time": [NOW], "topic": ["new"]}))
    assert segment.ids().to_pylist() == [1, 3]
    store.delete_customer(1)
    assert segment.ids().to_pylist() == [3]


def test_an_event_that_comes_late_is_not_the_last(store: se.Engine) -> None:
    store.append("tickets", pa.table({"customer_id": [1], "time": days_ago(30), "topic": ["old"]}))
    assert asked(store, "first(tickets.topic) = 'old'") == {1}
    assert asked(store, "last(tickets.topic) = 'é'") == {1}


# --- orders and purchases


@pytest.fixture
def shop() -> se.Engine:
    """1 bought twice and once closed an order, 2 got some money back, 3 got all back."""
    engine = se.Engine(timezone="UTC", as_of=NOW)
    engine.load("products", pa.table({
        "product_id": ["p", "q"], "category": ["tea", "cups"], "price": moneys(10, 2.5),
        "stock": pa.array([0, None]),
    }))  # fmt: skip
    paid = days_ago(8, 7, 6, 5, 4)
    engine.load("orders", pa.table({
        "order_id": [10, 11, 12, 13, 14], "customer_id": [1, 1, 1, 2, 3], "time": paid,
        "paid_at": pa.array([paid[0], paid[1], None, paid[3], paid[4]], pa.timestamp("us", "UTC")),
        "closed_at": pa.array([None, None, paid[2], None, None], pa.timestamp("us", "UTC")),
        "refunded_at": pa.array([None, None, None, NOW, NOW], pa.timestamp("us", "UTC")),
        "refund_amount": moneys(None, None, None, 4, 20), "amount": moneys(30, 12, 99, 10, 20),
        "channel": ["app", "web", "app", None, "app"],
    }))  # fmt: skip
    engine.load("order_lines", pa.table({
        "order_id": [10, 10, 11, 12, 13, 14], "line_id": [1, 2, 1, 1, 1, 1],
        "customer_id": [1, 1, 1, 1, 2, 3], "time": [paid[0], *paid],
        "product_id": ["p", "q", "p", "q", "gone", None],
        "quantity": [2, 4, 1, 9, 1, 1], "amount": moneys(20, 10, 12, 99, 10, 20),
    }))  # fmt: skip
    return engine


def test_purchases_leave_out_closed_orders_and_take_refunds_off(shop: se.Engine) -> None:
    assert asked(shop, "count(orders) = 3") == {1}
    assert asked(shop, "count(purchases) = 2") == {1}
    assert asked(shop, "count(purchases) = 0 AND count(orders) = 1") == {3}
    assert asked(shop, "sum(orders.amount) = 141") == {1}
    assert asked(shop, "sum(purchases.amount) = 42") == {1}
    assert asked(shop, "sum(purchases.amount) = 6") == {2}
    assert asked(shop, "sum(purchases.amount) = 0") == {3}
    assert asked(shop, "sum(orders.amount) = 10") == {2}
    assert asked(shop, "avg(purchases.amount) = 21.0") == {1}
    assert asked(shop, "max(purchases.amount) = 30") == {1}
    assert asked(shop, "min(purchases.amount) = 12") == {1}
    assert asked(shop, "last(purchases.amount) = 12") == {1}
    assert asked(shop, "first(purchases.amount) = 6") == {2}
    assert asked(shop, "count(DISTINCT purchases.channel) = 2") == {1}
    assert asked(shop, "last(orders.channel) = 'app'") == {1, 3}
    assert asked(shop, "last(purchases.channel) = 'web'") == {1}
    assert asked(shop, "count(purchases) FILTER (WHERE amount < 10) = 1") == {2}
    assert asked(shop, "sum(purchases.amount) FILTER (WHERE refund_amount IS NULL) = 42") == {1}


def test_lines_look_at_their_product(shop: se.Engine) -> None:
    def lines(where: str) -> str:
        return f"count(order_lines) FILTER (WHERE {where})"

    assert asked(shop, f"{lines('product.category = $tea$')} = 2".replace("$", "'")) == {1}
    assert asked(shop, f"{lines('product.stock = 0')} = 2") == {1}
    assert asked(shop, f"{lines('product.stock IS NULL')} = 2") == {1}
    assert asked(shop, f"{lines('product.stock IS NULL')} = 1") == {2, 3}
    assert asked(shop, f"{lines('amount > product.price * quantity')} = 2") == {1}
    assert asked(shop, f"{lines('NOT amount > product.price * quantity')} = 2") == {1}
    assert asked(shop, "sum(order_lines.quantity) FILTER (WHERE category = 'cups') = 13") == {1}
    assert asked(shop, "count(DISTINCT order_lines.product_id) = 2") == {1}
    assert asked(shop, "first(order_lines.category) = 'tea'") == {1}


def test_orders_are_counted_once_however_many_lines_they_have(shop: se.Engine) -> None:
    assert asked(shop, "count(order_lines) = 4") == {1}
    assert asked(shop, "count(DISTINCT order_lines.order_id) = 3") == {1}
    assert asked(shop, "count(DISTINCT order_lines.order_id) = 1") == {2, 3}
    rule = "count(DISTINCT order_lines.order_id) FILTER (WHERE product_id = 'q') = 2"
    assert asked(shop, rule) == {1}


def test_sums_beyond_64_bits_are_missing_and_those_that_come_back_are_not() -> None:
    engine = se.Engine(timezone="UTC", as_of=NOW, config={"tables": {"t": {"n": "BIGINT"}}})
    top = 2**63 - 1
    engine.load("t", pa.table({
        "customer_id": [1, 1, 1, 2, 2, 3, 3], "time": days_ago(*range(7, 0, -1)),
        "n": pa.array([top, top, -top, top, 1, -top, -1], pa.int64()),
    }))  # fmt: skip
    assert ids(engine, f"sum(t.n) = {top}") == {1}
    assert ids(engine, "sum(t.n) IS NULL") == {2, 3}
    for who in (1, 2, 3):
        assert engine.segment("sum(t.n) IS NULL").contains(who) == (who != 1)
    assert ids(engine, "avg(t.n) > 0") <= {1, 2}


def test_an_empty_table_counts_nobodys_events() -> None:
    engine = se.Engine(as_of=NOW)
    engine.load("customers", pa.table({"customer_id": [1, 2, 3]}))
    assert asked(engine, "count(reviews) = 0 AND sum(reviews.rating) = 0") == {1, 2, 3}
    assert asked(engine, "avg(reviews.rating) IS NULL AND last(reviews.rating) IS NULL") \
        == {1, 2, 3}  # fmt: skip
    assert asked(engine, "min(reviews.rating) < 3 OR count(DISTINCT reviews.product_id) > 0") \
        == set()  # fmt: skip


def test_an_aggregate_reads_in_a_plan_and_an_explanation_as_it_was_written(
    store: se.Engine,
) -> None:
    rule = "count(tickets) FILTER (WHERE minutes = 5) >= 2"
    assert "count(tickets) FILTER (WHERE minutes = 5)" in store.segment(rule).plan()
    said = str(store.segment(rule).explain(1))
    assert "count(tickets) FILTER (WHERE minutes = 5)" in said
