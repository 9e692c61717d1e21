"""Repurchase, counted again in plain Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date

import pytest
from hypothesis import given

from tests.reports.stores import (
    Drawn,
    bought,
    drawn_shops,
    figure,
    following,
    name_of,
    previous,
    rows,
    shop,
    start,
)

AFTER = {"next_month": ("month", 1), "two_month": ("month", 2), "next_quarter": ("quarter", 1)}


def shown_periods(drawn: Drawn, grain: str, first: date) -> list[date]:
    """Every period from that of a date to that of as_of, at most what is shown."""
    found = [start(first, grain)]
    while found[-1] < start(drawn.today, grain):
        found.append(following(found[-1], grain))
    return found[-{"day": 30, "week": 26, "month": 13, "quarter": 8}[grain] :]


@given(drawn_shops())
def test_within_a_period_counts_buyers_of_two_orders_among_those_of_one(drawn: Drawn) -> None:
    report = drawn.engine().report("repurchase")
    purchases = drawn.seen(drawn.orders)
    for grain in ("day", "week", "month", "quarter"):
        orders = Counter((start(day, grain), buyer) for buyer, day in purchases)
        expected = []
        if purchases:
            for period in shown_periods(drawn, grain, min(day for _, day in purchases)):
                counts = [n for (p, _), n in orders.items() if p == period]
                expected.append((name_of(period, grain), len(counts), sum(n > 1 for n in counts)))
        found = rows(report, f"within_{grain}")
        assert [(r["period"], r["buyers"], r["buyers_again"]) for r in found] == expected


@given(drawn_shops())
def test_after_a_period_counts_who_came_again_among_who_was_there(drawn: Drawn) -> None:
    report = drawn.engine().report("repurchase")
    purchases = drawn.seen(drawn.orders)
    for name, (grain, before) in AFTER.items():
        buying = defaultdict(set)
        for buyer, day in purchases:
            buying[start(day, grain)].add(buyer)
        for row in rows(report, name):
            (period,) = [p for p in shown_periods(drawn, grain, min(buying))
                         if name_of(p, grain) == row["period"]]  # fmt: skip
            base = set().union(*(buying[previous(period, grain, n + 1)] for n in range(before)))
            assert row["buyers"] == len(base)
            assert row["buyers_again"] == len(base & buying[period])


@given(drawn_shops())
def test_a_rate_is_its_two_numbers_and_never_more_than_all(drawn: Drawn) -> None:
    for table in drawn.engine().report("repurchase").tables:
        for values in table.rows:
            row = dict(zip(table.columns, values, strict=True))
            part = row.get("buyers_again", row.get("buyers_next"))
            whole = row["buyers"]
            assert isinstance(part, int)
            assert isinstance(whole, int)
            assert part <= whole
            assert row["rate"] == (part / whole if whole else None)


@given(drawn_shops())
def test_orders_reached_fall_and_by_the_day_are_different_dates(drawn: Drawn) -> None:
    engine = drawn.engine()
    purchases = drawn.seen(drawn.orders)
    for one_a_day in (False, True):
        counts = Counter(b for b, _ in (set(purchases) if one_a_day else purchases))
        found = rows(engine.report("repurchase", one_order_a_day=one_a_day), "after_orders")
        assert [(r["orders"], r["buyers"]) for r in found] == [
            (x, sum(n >= x for n in counts.values()))
            for x in range(1, min(30, max(counts.values(), default=0)) + 1)
        ]


def test_a_days_purchases_can_be_one_order() -> None:
    orders = bought(1, "2024-03-05T08:00", "2024-03-05T20:00")
    engine = shop(orders)
    assert rows(engine.report("repurchase"), "within_month")[-1]["buyers_again"] == 1
    report = engine.report("repurchase", one_order_a_day=True)
    assert rows(report, "within_month")[-1]["buyers_again"] == 0
    assert any("one date count as one order" in note for note in report.notes)


def test_figures_are_of_the_latest_month_that_is_over() -> None:
    # as_of is 31 March: March is not over.
    orders = [*bought(1, "2024-01-05", "2024-02-05"), *bought(2, "2024-01-06", "2024-03-01")]
    found = figure(shop(orders).report("repurchase"), "next_month")
    assert found.title.endswith("2024-02")
    assert found.value == 0.5
    assert found.formula.endswith("bought in M-1 and M / bought in M-1; 2024-02: 1 / 2")


@pytest.mark.parametrize("refund", [{"refund_amount": "10"}, {"refund_amount": "12"}])
def test_a_store_of_refunds_alone_has_nothing_to_count(refund: dict[str, str]) -> None:
    from decimal import Decimal

    orders = [row | {"refund_amount": Decimal(refund["refund_amount"])}
              for row in bought(1, "2024-03-01", "2024-03-02")]  # fmt: skip
    report = shop(orders).report("repurchase")
    assert all(not table.rows for table in report.tables)
    assert "no purchase up to this moment: there is nothing to count" in report.notes


def test_purchases_to_come_are_not_counted() -> None:
    report = shop(bought(1, "2024-03-01", "2024-04-01")).report("repurchase")
    assert [r["buyers"] for r in rows(report, "after_orders")] == [1]
    assert rows(report, "within_month")[-1]["period"] == "2024-03"
