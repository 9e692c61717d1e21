"""The overview, counted again in plain Python."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.reports.stores import (
    Drawn,
    bought,
    drawn_shops,
    figure,
    local,
    name_of,
    previous,
    rows,
    shop,
    start,
)

GRAINS = ("day", "week", "month", "quarter")
LAST = {"day": 30, "week": 26, "month": 13, "quarter": 8}


def in_window(drawn: Drawn, grain: str) -> list[tuple[int, datetime, Decimal | None]]:
    """The purchases of the periods shown: buyer, local time, amount."""
    oldest = previous(start(drawn.today, grain), grain, LAST[grain] - 1)
    found = [
        (row["customer_id"], local(row["time"], drawn.timezone), row["amount"])
        for row in drawn.orders
        if row["time"] <= drawn.as_of
    ]
    return [(b, t, a) for b, t, a in found if start(t.date(), grain) >= oldest]


@given(drawn_shops(), st.sampled_from(GRAINS))
def test_sales_buyers_and_orders_are_those_of_each_period(drawn: Drawn, grain: str) -> None:
    report = drawn.engine().report("overview", grain=grain)
    purchases = in_window(drawn, grain)
    for row in rows(report, "sales"):
        here = [x for x in purchases if name_of(start(x[1].date(), grain), grain) == row["period"]]
        sales = sum((a for _, _, a in here if a is not None), Decimal(0))
        buyers = len({b for b, _, _ in here})
        assert (row["buyers"], row["orders"], row["sales"]) == (buyers, len(here), sales)
        assert row["sales_per_buyer"] == (float(sales) / buyers if buyers else None)
        assert row["sales_per_order"] == (float(sales) / len(here) if here else None)
    assert sum(r["orders"] for r in rows(report, "sales")) == len(purchases)
    assert figure(report, "orders").value == len(purchases)
    assert figure(report, "buyers").value == len({b for b, _, _ in purchases})


@given(drawn_shops(), st.sampled_from(GRAINS))
def test_new_and_returning_are_all_buyers_and_new_only_once(drawn: Drawn, grain: str) -> None:
    first: dict[int, str] = {}
    for buyer, day in sorted(drawn.seen(drawn.orders), key=lambda each: each[1]):
        first.setdefault(buyer, name_of(start(day, grain), grain))
    for row in rows(drawn.engine().report("overview", grain=grain), "new_returning"):
        assert row["new"] + row["returning"] == row["buyers"]
        assert row["new"] == sum(period == row["period"] for period in first.values())
        assert row["new_share"] == (row["new"] / row["buyers"] if row["buyers"] else None)


@given(drawn_shops(), st.sampled_from(GRAINS))
def test_hours_and_weekdays_are_by_the_stores_clock(drawn: Drawn, grain: str) -> None:
    report = drawn.engine().report("overview", grain=grain)
    purchases = in_window(drawn, grain)
    hours: dict[str, int] = defaultdict(int)
    weekdays: dict[str, int] = defaultdict(int)
    for _, time, _ in purchases:
        hours[f"{time:%H}"] += 1
        weekdays[f"{time:%A}"] += 1
    assert {r["hour"]: r["orders"] for r in rows(report, "hours") if r["orders"]} == hours
    assert {r["weekday"]: r["orders"] for r in rows(report, "weekdays") if r["orders"]} == weekdays
    assert len(rows(report, "hours")) == (24 if purchases else 0)
    assert len(rows(report, "weekdays")) == (7 if purchases else 0)
    whole = sum((a for _, _, a in purchases if a is not None), Decimal(0))
    for name in ("hours", "weekdays"):
        shares = [r["share"] for r in rows(report, name)]
        assert abs(sum(shares) - 1) < 1e-9 if whole > 0 and shares else set(shares) <= {None}


def test_levels_count_all_buyers_and_sales_of_the_periods_shown() -> None:
    customers = [
        {"customer_id": c, "member_level": level}
        for c, level in [(1, 0), (2, 2), (3, 2), (4, None)]
    ]
    orders = [*bought(2, "2024-03-01", "2024-03-02"), *bought(4, "2024-03-03", amount="5")]
    report = shop(orders, customers=customers).report("overview")
    assert [tuple(r.values()) for r in rows(report, "member_levels")] == [
        ("0", 1, 0.25, 0, Decimal(0)),
        ("2", 2, 0.5, 1, Decimal(20)),
        ("(missing)", 1, 0.25, 1, Decimal(5)),
    ]


def test_a_region_is_the_orders_else_the_buyers() -> None:
    customers = [{"customer_id": c, "region": region} for c, region in [(1, "north"), (2, None)]]
    orders = [
        *(row | {"region": "south"} for row in bought(1, "2024-03-01", amount="30")),
        *(row | {"region": None} for row in bought(1, "2024-03-02", amount="50")),
        *(row | {"region": None} for row in bought(2, "2024-03-02", amount="20")),
    ]
    report = shop(orders, customers=customers).report("overview")
    assert [(r["region"], r["buyers"], r["share"]) for r in rows(report, "regions")] == [
        ("north", 1, 0.5),
        ("south", 1, 0.3),
        ("(missing)", 1, 0.2),
    ]


def test_regions_beyond_twenty_are_one_row_and_buyers_are_different_ones() -> None:
    orders = [
        row | {"region": f"r{n:02d}"}
        for n in range(23)
        for row in bought(1, "2024-03-01", amount=str(100 - n))
    ]
    found = rows(shop(orders).report("overview"), "regions")
    assert [r["region"] for r in found] == [*(f"r{n:02d}" for n in range(20)), "(others)"]
    assert (found[-1]["buyers"], found[-1]["orders"]) == (1, 3)
    assert found[-1]["sales"] == Decimal(80 + 79 + 78)


def test_what_no_store_told_is_an_empty_table_and_a_note() -> None:
    report = shop(bought(1, "2024-03-01")).report("overview")
    assert [name for name in ("member_levels", "regions", "unpaid") if rows(report, name)] == []
    assert set(report.notes) == {
        "no member level is known of anybody",
        "no region is known of any purchase or its buyer",
        "no order has a `paid_at`: which orders stayed unpaid is not known",
    }


def test_an_empty_store_has_an_overview() -> None:
    report = shop().report("overview")
    assert all(not table.rows for table in report.tables)
    assert "no purchase up to this moment: there is nothing to count" in report.notes
    assert figure(report, "sales_per_buyer").value is None


def test_negative_sales_are_said_and_have_no_shares() -> None:
    report = shop(bought(1, "2024-03-01", amount="-4")).report("overview")
    assert figure(report, "sales").value == Decimal(-4)
    assert figure(report, "sales_per_order").value == -4.0
    assert {r["share"] for r in rows(report, "hours")} == {None}
    assert any("do not come to more than 0" in note for note in report.notes)


def test_a_purchase_without_an_amount_is_an_order_that_adds_nothing() -> None:
    orders = [*bought(1, "2024-03-01"), *bought(1, "2024-03-02")]
    orders[1]["amount"] = None
    report = shop(orders).report("overview")
    assert (figure(report, "orders").value, figure(report, "sales").value) == (2, Decimal(10))
    assert any(note.startswith("1 purchases have no known amount") for note in report.notes)
