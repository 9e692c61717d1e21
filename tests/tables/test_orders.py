"""Orders from rows and from lines: the same whichever arrives first, and as the slow twin says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from tests.ingest.samples import AS_OF, LONG_AGO, engine, orders
from tests.reference.orders import orders_and_lines
from tests.traits.histories import Batch, Shop, engine_of, rows_of, traits_of

LATER = AS_OF + timedelta(days=2)
ORDER = ("customer_id", "time", "amount", "promotion", "is_purchase")
LINE = ("customer_id", "time", "category", "brand", "quantity", "amount", "is_purchase")


def seen(found: se.Engine, table: str, columns: Sequence[str]) -> list[str]:
    return sorted(map(repr, map(dict.values, found.table(table, list(columns)).to_pylist())))


def told(shop: Shop, batches: Sequence[Batch]) -> se.Engine:
    found = engine_of(shop)
    for batch in batches:
        found.load(batch.table, batch.to_arrow())
    return found


def interleaved(rng: Random, one: list[Batch], two: list[Batch]) -> list[Batch]:
    """Both in their own order, mixed."""
    left, right, mixed = one[::-1], two[::-1], []
    while left or right:
        mixed.append((left if left and (not right or rng.random() < 0.5) else right).pop())
    return mixed


@settings(max_examples=8)
@given(st.integers(0, 2**32))
def test_lines_then_orders_and_any_mixture_equal_orders_then_lines_and_the_twin(seed: int) -> None:
    rng = Random(seed)
    shop = Shop.drawn(rng, buyers=5)
    placed = [shop.batch("orders") for _ in range(3)]
    lines = [shop.batch("order_lines", 8) for _ in range(3)]
    products = [shop.batch("products") for _ in range(2)]
    orders_first = told(shop, [*products, *placed, *lines])
    lines_first = told(shop, [*lines, *placed, *products])
    mixture = told(shop, interleaved(rng, interleaved(rng, placed, lines), products))
    catalogue: dict[object, dict[str, object]] = {}
    for row in rows_of(products, "products"):
        catalogue.setdefault(row["product_id"], {}).update(row)
    expected_orders, expected_lines = orders_and_lines(
        rows_of(placed, "orders"), rows_of(lines, "order_lines"), shop.world, catalogue
    )
    for found in (orders_first, lines_first, mixture):
        table = found.table("orders", list(ORDER)).to_pylist()
        assert sorted(repr(tuple(row.values())) for row in table) == sorted(
            repr((o.customer_id, _in_utc(o.time), o.amount, o.promotion, o.is_purchase))
            for o in expected_orders
        )
        table = found.table("order_lines", list(LINE)).to_pylist()
        assert sorted(repr(tuple(row.values())) for row in table) == sorted(
            repr(
                (
                    x.customer_id,
                    _in_utc(x.time),
                    x.category,
                    x.brand,
                    x.quantity,
                    x.amount,
                    x.is_purchase,
                )
            )
            for x in expected_lines
        )
    assert traits_of(orders_first) == traits_of(lines_first) == traits_of(mixture)


def _in_utc(moment: datetime) -> datetime:
    """As pyarrow prints it."""
    return pa.scalar(moment, pa.timestamp("us", tz="UTC")).as_py()


# One matter each


def rows(found: se.Engine, table: str, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in found.table(table, list(columns)).to_pylist()]


def lines(*amounts: float | None, order_id: str = "o", **columns: list[Any]) -> pa.Table:
    count = len(amounts)
    return orders(
        *[1] * count, order_id=[order_id] * count, amount=pa.array(amounts, pa.float64()), **columns
    )


def test_lines_without_an_order_row_derive_one_until_the_row_arrives() -> None:
    found = engine()
    first, second = LONG_AGO, LONG_AGO + timedelta(hours=1)
    found.load(
        "order_lines",
        pa.table(
            {
                "customer_id": [1, 1, 1],
                "time": [second, first, second],
                "order_id": ["a", "a", "b"],
                "amount": [1.5, 2.25, None],
                "quantity": [1, 2, 3],
            }
        ),
    )
    assert rows(found, "orders", "order_id", "time", "amount", "is_purchase") == [
        ("a", _in_utc(first), Decimal("3.7500"), True),
        ("b", _in_utc(second), None, True),
    ]
    found.load("orders", orders(1, order_id=["a"], amount=[9.0], time=AS_OF, paid_at=[None]))
    assert rows(found, "orders", "order_id", "time", "amount", "is_purchase")[0] == (
        "a",
        _in_utc(AS_OF),
        9,
        False,
    )
    assert rows(found, "order_lines", "is_purchase") == [(False,), (False,), (True,)]
    found.append("order_lines", lines(100.0, order_id="a"))
    assert rows(found, "orders", "amount")[0] == (9,)


@pytest.mark.parametrize("row_first", [True, False])
def test_an_order_row_without_an_amount_column_keeps_the_sum_of_its_lines(row_first: bool) -> None:
    batches = [
        ("orders", orders(1, order_id=["o"], payment=["card"])),
        ("order_lines", lines(3.0, 4.0)),
    ]
    found = engine()
    for table, batch in batches if row_first else batches[::-1]:
        found.load(table, batch)
    assert rows(found, "orders", "amount", "payment") == [(7, "card")]
    nothing = orders(1, order_id=["o"], amount=pa.array([None], pa.float64()))
    found.append("orders", nothing)
    # Missing is not the sum of the lines.
    assert rows(found, "orders", "amount", "payment") == [(None, "card")]


def test_an_update_overwrites_the_columns_it_has_and_no_others() -> None:
    found = engine()
    found.load(
        "orders",
        orders(
            1,
            1,
            order_id=["a", "b"],
            amount=[1.0, 2.0],
            payment=["x", "y"],
            paid_at=[LONG_AGO, None],
        ),
    )
    assert rows(found, "purchases", "order_id") == [("a",)]
    found.append(
        "orders", orders(1, order_id=["b"], paid_at=[AS_OF], payment=pa.array([None], pa.string()))
    )
    assert rows(found, "orders", "order_id", "amount", "payment", "is_purchase") == [
        ("a", 1, "x", True),
        ("b", 2, None, True),
    ]
    found.append("order_lines", lines(5.0, line_id=[1], quantity=[1]))
    found.append("order_lines", orders(1, order_id=["o"], line_id=[1], quantity=[7]))
    found.append("order_lines", lines(6.0))
    found.append("order_lines", orders(1, line_id=[1], amount=[8.0]))
    assert rows(found, "order_lines", "order_id", "line_id", "quantity", "amount") == [
        ("o", 1, 7, 5),
        ("o", None, None, 6),
        (None, 1, None, 8),
    ]


def test_the_last_of_two_rows_with_one_key_in_a_batch_stands() -> None:
    found = engine()
    found.load("orders", orders(1, 1, 1, order_id=["a", "b", "a"], amount=[1.0, 2.0, 3.0]))
    assert rows(found, "orders", "order_id", "amount") == [("a", 3), ("b", 2)]


def test_rows_without_an_order_id_are_orders_of_their_own() -> None:
    found = engine()
    found.load("orders", orders(1, 1, amount=[1.0, 2.0]))
    found.append("orders", orders(1, 1, order_id=[None, "a"], amount=[3.0, 4.0]))
    found.append("order_lines", orders(1, 2, amount=[5.0, 6.0]))
    assert rows(found, "customers", "order_count", "amount_total") == [(5, 15), (1, 6)]
    assert rows(found, "order_lines", "order_id", "is_purchase") == [(None, True)] * 2


PAID, CLOSED, REFUNDED = "paid_at", "closed_at", "refunded_at"


@pytest.mark.parametrize(
    ("columns", "bought"),
    [
        ({}, True),
        ({PAID: None}, False),
        ({PAID: AS_OF}, True),
        ({PAID: LATER}, True),  # a status is read as it stands, whatever as_of
        ({"delivered_at": None}, False),  # the source has statuses, and says nothing of payment
        ({"shipped_at": AS_OF}, False),
        ({PAID: AS_OF, CLOSED: AS_OF}, False),
        ({CLOSED: None}, False),
        ({PAID: AS_OF, "refund_amount": 10.0}, False),
        ({PAID: AS_OF, "refund_amount": 11.0}, False),
        ({PAID: AS_OF, "refund_amount": 9.9999}, True),
        ({PAID: AS_OF, "refund_amount": 0.0}, True),
        ({PAID: AS_OF, "refund_amount": 0.0, REFUNDED: AS_OF}, True),
        ({PAID: AS_OF, REFUNDED: AS_OF}, False),
        ({PAID: AS_OF, REFUNDED: AS_OF, "refund_amount": 4.0}, True),
        ({PAID: AS_OF, REFUNDED: AS_OF, "refund_amount": None}, False),
        ({"refund_amount": 4.0}, True),  # no column of times is no source with statuses
        ({"refund_amount": 10.0}, False),
        ({"close_reason": "out of stock"}, True),
        ({PAID: None, "is_purchase": True}, True),
        ({PAID: AS_OF, "is_purchase": False}, False),
        ({PAID: AS_OF, "is_purchase": None}, True),
        ({PAID: None, "is_purchase": None}, False),
    ],
)
def test_a_purchase_is_paid_open_and_not_fully_refunded(
    columns: dict[str, Any], bought: bool
) -> None:
    found = engine()
    types = {"refund_amount": pa.float64(), "is_purchase": pa.bool_(), "close_reason": pa.string()}
    stamp = pa.timestamp("us", tz="UTC")
    arrays = {name: pa.array([value], types.get(name, stamp)) for name, value in columns.items()}
    found.load("order_lines", lines(1.0))
    found.load("orders", orders(1, order_id=["o"], amount=[10.0], **arrays))
    assert rows(found, "orders", "is_purchase") == [(bought,)]
    assert rows(found, "order_lines", "is_purchase") == [(bought,)]
    assert found.table("purchases").num_rows == bought
    assert rows(found, "customers", "order_count") == [(int(bought),)]


def test_whether_a_source_has_statuses_is_decided_by_the_batch_that_first_brought_the_order() -> (
    None
):
    found = engine()
    found.load("orders", orders(1, order_id=["a"], amount=[1.0]))
    found.load(
        "orders",
        orders(1, order_id=["b"], amount=[2.0], paid_at=pa.array([None], pa.timestamp("us"))),
    )
    assert rows(found, "orders", "is_purchase") == [(True,), (False,)]
    # An update with statuses leaves `a` what it was: an order that need not be paid.
    update = orders(1, 1, order_id=["a", "b"], shipped_at=[AS_OF, AS_OF])
    found.append("orders", update)
    assert rows(found, "orders", "is_purchase") == [(True,), (False,)]
    found.append("orders", orders(1, 1, order_id=["a", "b"], paid_at=[None, AS_OF]))
    assert rows(found, "orders", "is_purchase") == [(True,), (True,)]
    # A derived order has no source of its own until its row arrives.
    found.load("order_lines", lines(1.0, order_id="c"))
    found.append("orders", orders(1, order_id=["c"], paid_at=pa.array([None], pa.timestamp("us"))))
    assert rows(found, "orders", "is_purchase")[2] == (False,)


def test_lines_may_say_themselves_what_was_bought() -> None:
    found = engine()
    found.load(
        "order_lines",
        orders(1, 1, 1, 1, order_id=["a", "a", "b", "c"], is_purchase=[False, True, False, None]),
    )
    assert rows(found, "orders", "order_id", "is_purchase") == [
        ("a", True),
        ("b", False),
        ("c", True),
    ]
    flags = [(False,), (True,), (False,), (True,)]
    assert rows(found, "order_lines", "is_purchase") == flags
    found.append("orders", orders(1, 1, order_id=["a", "c"], closed_at=[AS_OF, AS_OF]))
    assert rows(found, "orders", "is_purchase") == [(False,)] * 3
    assert rows(found, "order_lines", "is_purchase") == [(False,), (True,), (False,), (False,)]


def test_purchases_are_net_of_refunds_and_orders_as_given() -> None:
    found = engine()
    found.load(
        "orders",
        orders(1, 1, 1, 1, amount=[10.0, 20.0, None, 5.0], refund_amount=[4.0, None, 3.0, 5.0]),
    )
    assert rows(found, "orders", "amount") == [(10,), (20,), (None,), (5,)]
    assert rows(found, "purchases", "amount", "refund_amount") == [(6, 4), (20, None), (None, 3)]
    query = "SELECT sum(amount) FROM purchases"
    assert found.connect().execute(query).fetchone() == (26,)
    assert rows(found, "customers", "amount_total", "gross_amount_total") == [(26, 30)]


def test_an_order_takes_from_its_lines_only_what_has_happened() -> None:
    found = engine()
    steps = [timedelta(0), timedelta(hours=1), timedelta(days=2)]
    found.load(
        "order_lines",
        pa.table(
            {
                "customer_id": [1] * 3,
                "order_id": ["o"] * 3,
                "time": [AS_OF + step for step in steps],
                "amount": [1.0, 2.0, 4.0],
                "quantity": [1, 1, 1],
            }
        ),
    )
    expected = {-1: [], 0: [1], 30: [1], 60: [3], 61: [3], 2 * 1440: [7], 9999: [7]}
    for minutes in (*expected, 60, 0, -1, 2 * 1440, 30):
        found.advance(AS_OF + timedelta(minutes=minutes))
        amounts = expected[minutes]
        assert rows(found, "orders", "amount") == [(amount,) for amount in amounts]
        assert rows(found, "purchases", "amount") == [(amount,) for amount in amounts]
        assert rows(found, "customers", "amount_total") == [(sum(amounts),)]
        assert found.table("order_lines").num_rows == sum(
            step <= timedelta(minutes=minutes) for step in steps
        )


@pytest.mark.parametrize("back", [False, True], ids=["ahead", "gone back to"])
def test_an_order_row_without_an_amount_takes_its_lines_once_both_have_happened(
    back: bool,
) -> None:
    found = engine()
    if back:
        found.advance(LATER)
    at = AS_OF + timedelta(days=1)
    found.load("orders", orders(1, time=at, order_id=["a"]))
    found.load("order_lines", orders(1, 1, time=at, order_id=["a", "a"], amount=[3.0, 4.0]))
    found.advance(AS_OF)
    assert found.table("orders").num_rows == 0
    found.advance(LATER)
    assert rows(found, "orders", "amount") == [(7,)]


@pytest.mark.parametrize("table", ["orders", "order_lines"])
def test_an_order_is_of_one_buyer(table: str) -> None:
    found = engine()
    found.load("orders", orders(1, order_id=["a"]))
    found.load("order_lines", orders(2, order_id=["b"]))
    for order_id in ("a", "b"):
        with pytest.raises(se.RefusedError, match="this order_id belongs to another customer_id"):
            found.append(table, orders(3, order_id=[order_id]))
    assert found.append(table, orders(1, 2, order_id=["a", "b"])).rows_loaded == 2


def test_sums_beyond_the_64_bits_are_missing_not_wrong() -> None:
    found = engine()
    most = 99_999_999_999_999.0
    found.load(
        "order_lines", orders(*[1] * 10_000, order_id=["o"] * 10_000, amount=[most] * 10_000)
    )
    assert rows(found, "orders", "amount") == [(None,)]
    found.load("orders", orders(*[2] * 10_000, amount=[most] * 10_000))
    columns = ("customer_id", "order_count", "amount_total", "average_order_amount", "m_score")
    assert rows(found, "customers", *columns) == [
        (1, 1, 0, None, 1),
        (2, 10_000, None, None, None),
    ]
