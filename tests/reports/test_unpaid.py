"""Orders that are not paid within 24 hours."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.reports.stores import AS_OF, Row, at, figure, local, rows, shop


def placed(moment: str, paid_after_hours: float | None, **more: Any) -> Row:
    """An order, and when it was paid."""
    time = at(moment)
    paid = None if paid_after_hours is None else time + timedelta(hours=paid_after_hours)
    row = {"customer_id": 1, "time": time, "amount": Decimal(10), "paid_at": paid}
    return row | {"refunded_at": None, "refund_amount": None} | more


def test_paid_in_the_24th_hour_is_paid_and_later_is_not() -> None:
    orders = [
        placed("2024-03-10T10:00", 1),
        placed("2024-03-10T11:00", 24),
        placed("2024-03-10T12:00", 24.001),
        placed("2024-03-10T13:00", None),
    ]
    report = shop(orders).report("overview")
    (day,) = [r for r in rows(report, "unpaid") if r["placed"]]
    assert day == {"day": "2024-03-10", "placed": 4, "due": 4, "unpaid": 2, "rate": 0.5}
    assert figure(report, "unpaid_rate").value == 0.5
    assert figure(report, "unpaid_rate").formula.endswith("2 / 4")


def test_an_order_younger_than_24_hours_is_not_due_even_if_paid() -> None:
    orders = [
        placed("2024-03-30T21:30", None),
        placed("2024-03-30T21:31", None),
        placed("2024-03-31T12:00", 0.1),
    ]
    found = {r["day"]: (r["placed"], r["due"], r["unpaid"]) for r in rows(
        shop(orders).report("overview"), "unpaid")}  # fmt: skip
    assert found["2024-03-30"] == (2, 1, 1)
    assert found["2024-03-31"] == (1, 0, 0)


def test_an_order_whose_payment_was_not_written_down_is_not_due() -> None:
    refunded = {"refunded_at": at("2024-03-12"), "refund_amount": Decimal(10)}
    orders = [placed("2024-03-10T10:00", None, **refunded), placed("2024-03-10T11:00", 2)]
    (day,) = [r for r in rows(shop(orders).report("overview"), "unpaid") if r["placed"]]
    assert (day["placed"], day["due"], day["unpaid"]) == (2, 1, 0)


@given(
    st.lists(
        st.tuples(st.integers(0, 60 * 24), st.none() | st.integers(0, 48)), min_size=1, max_size=20
    ),
    st.sampled_from(["UTC", "Asia/Shanghai"]),
)
def test_every_day_is_counted_as_in_plain_python(
    drawn: list[tuple[int, int | None]], timezone: str
) -> None:
    orders = [
        placed((AS_OF - timedelta(hours=h)).replace(tzinfo=None).isoformat(), paid)
        for h, paid in drawn
    ]
    report = shop(orders, timezone=timezone).report("overview")
    known = any(order["paid_at"] is not None for order in orders)
    expected: dict[str, list[int]] = {}
    for order in orders:
        day = local(order["time"], timezone).date().isoformat()
        counts = expected.setdefault(day, [0, 0, 0])
        late = order["paid_at"] is None or order["paid_at"] - order["time"] > timedelta(hours=24)
        due = AS_OF - order["time"] >= timedelta(hours=24)
        counts[0] += 1
        counts[1] += due
        counts[2] += due and late
    found = {r["day"]: [r["placed"], r["due"], r["unpaid"]] for r in rows(report, "unpaid")
             if r["placed"]}  # fmt: skip
    assert found == (expected if known else {})
    assert all(r["unpaid"] <= r["due"] <= r["placed"] for r in rows(report, "unpaid"))
