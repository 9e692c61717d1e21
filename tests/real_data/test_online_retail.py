"""The published figures of UCI Online Retail come out, to the last digit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import segengine as se
from segengine.reports.report import Report

SOURCE = Path(__file__).resolve().parents[3] / "shared/data/online_retail/online_retail.parquet"
pytestmark = pytest.mark.skipif(
    not SOURCE.is_file(), reason=f"the data is not here: {SOURCE} (see SOURCE.md beside it)"
)
COLUMNS = {
    "customer_id": "CustomerID",
    "order_id": "InvoiceNo",
    "time": "InvoiceDate",
    "product_id": "StockCode",
    "quantity": "Quantity",
    "amount": "Quantity * UnitPrice",
}
KNOWN = "Quantity > 0 AND UnitPrice > 0"
AS_OF = datetime(2011, 12, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def loaded() -> Iterator[tuple[se.Engine, se.LoadReport]]:
    engine = se.Engine(timezone="UTC", as_of=AS_OF)
    where = f"{KNOWN} AND CustomerID IS NOT NULL"
    report = engine.load("order_lines", SOURCE, columns=COLUMNS, where=where)
    return engine, report


@pytest.fixture(scope="module")
def engine(loaded: tuple[se.Engine, se.LoadReport]) -> se.Engine:
    return loaded[0]


def one(engine: se.Engine, sql: str) -> tuple[Any, ...]:
    found = (
        engine.connect(["customers", "orders", "order_lines", "purchases"]).execute(sql).fetchall()
    )
    (row,) = found
    return tuple(row)


def test_the_load_reads_what_is_there(loaded: tuple[se.Engine, se.LoadReport]) -> None:
    _, report = loaded
    assert (report.rows_read, report.rows_loaded, report.rows_skipped) == (397_884, 397_884, 0)
    assert report.ignored_columns == ("Description", "Country")


def test_customers_invoices_and_revenue(engine: se.Engine) -> None:
    assert engine.segment("true").count() == 4_338
    assert engine.segment("order_count >= 1").count() == 4_338
    assert engine.table("orders").num_rows == engine.table("purchases").num_rows == 18_532
    assert engine.table("order_lines").num_rows == 397_884
    sums = "SELECT sum(amount) FROM {}"
    for table in ("orders", "order_lines", "purchases"):
        assert one(engine, sums.format(table)) == (Decimal("8911407.9040"),)
    assert one(engine, "SELECT sum(amount_total), sum(order_count) FROM customers") == (
        Decimal("8911407.9040"),
        18_532,
    )


def test_means_of_recency_frequency_and_money(engine: se.Engine) -> None:
    sql = "SELECT avg(recency_days), avg(order_count), avg(amount_total::DOUBLE) FROM customers"
    recency, orders, amount = one(engine, sql)
    # Published R counts from the last invoice's date to 2011-12-10, as recency_days does.
    assert recency == pytest.approx(93.0595, abs=5e-5)
    assert orders == pytest.approx(4.272, abs=5e-4)
    assert amount == pytest.approx(2054.2665, abs=5e-5)


@pytest.mark.parametrize(
    ("customer", "recency", "orders", "amount"),
    [(12347, 3, 7, "4310.00"), (14646, 2, 73, "280206.02"), (17850, 373, 34, "5391.21")],
)
def test_known_customers(
    engine: se.Engine, customer: int, recency: int, orders: int, amount: str
) -> None:
    rule = f"recency_days = {recency} AND order_count = {orders} AND amount_total = {amount}"
    assert engine.segment(f"customer_id = {customer} AND {rule}").ids().to_pylist() == [customer]
    assert engine.segment(rule).contains(customer)


@pytest.mark.parametrize(
    ("orders", "buyers"), [(1, 4338), (2, 2845), (3, 2010), (4, 1502), (5, 1114), (6, 872)]
)
def test_buyers_with_at_least_so_many_orders(engine: se.Engine, orders: int, buyers: int) -> None:
    assert engine.segment(f"order_count >= {orders}").count() == buyers


def test_the_quintile_cuts_are_the_published_ones(engine: se.Engine) -> None:
    shown = engine.fits.shown
    assert engine.fits.buyers == 4_338
    assert shown["recency"] == (13.8, 33, 72, 180)
    assert shown["orders"] == (1, 2, 3, 6)
    assert shown["amount"] == pytest.approx((250.194, 490.096, 942.276, 2058.426), abs=1e-9)


def test_scores_are_the_cuts_below_the_value(engine: se.Engine) -> None:
    checks = """
        SELECT count(*) FROM customers WHERE NOT (
            r_score = 5 - (recency_days > 13.8)::INT - (recency_days > 33)::INT
                        - (recency_days > 72)::INT - (recency_days > 180)::INT
            AND f_score = 1 + (order_count > 1)::INT + (order_count > 2)::INT
                        + (order_count > 3)::INT + (order_count > 6)::INT
            AND m_score = 1 + (amount_total > 250.194)::INT + (amount_total > 490.096)::INT
                        + (amount_total > 942.276)::INT + (amount_total > 2058.426)::INT
            AND rfm_cell = concat(r_score, f_score, m_score)
        )"""
    assert one(engine, checks) == (0,)
    assert engine.segment("rfm_cell = '555' AND rfm_group = 'important_value'").count() > 0


def test_thirty_days_as_recency_are_31_dates_and_as_a_window_30(engine: se.Engine) -> None:
    assert engine.segment("recency_days <= 30").count() == 1_628
    assert engine.segment("in_last_days(last_order_at, 30)").count() == 1_571
    assert engine.segment("orders_30d >= 1").count() == 1_571


def test_november_2011(engine: se.Engine) -> None:
    month = (
        "time >= TIMESTAMPTZ '2011-11-01 00:00:00+00' "
        "AND time < TIMESTAMPTZ '2011-12-01 00:00:00+00'"
    )
    sql = f"SELECT count(DISTINCT customer_id), count(*), sum(amount) FROM purchases WHERE {month}"
    buyers, orders, sales = one(engine, sql)
    assert (buyers, orders, round(sales, 2)) == (1_664, 2_657, Decimal("1161817.38"))
    engine_then = se.Engine(
        timezone="UTC", as_of=datetime(2011, 12, 1, tzinfo=UTC) - timedelta(microseconds=1)
    )
    engine_then.load(
        "order_lines", SOURCE, columns=COLUMNS, where=f"{KNOWN} AND CustomerID IS NOT NULL"
    )
    # 30 November ends 30 dates that are the month.
    assert engine_then.segment("orders_30d >= 1").count() == 1_664
    assert engine_then.segment("orders_30d >= 2").count() == 540
    assert one(engine_then, "SELECT sum(orders_30d), sum(amount_30d) FROM customers") == (
        2_657,
        sales,
    )


def test_advancing_through_the_year_gives_what_a_load_at_that_moment_gives(
    engine: se.Engine,
) -> None:
    moments = [datetime(2011, 3, 1, 11, tzinfo=UTC), datetime(2010, 12, 1, 8, 30, tzinfo=UTC)]
    try:
        for moment in moments:
            engine.advance(moment)
            sql = "SELECT count(*), coalesce(sum(amount), 0) FROM order_lines"
            lines, amount = one(engine, sql)
            assert one(engine, "SELECT count(*), sum(amount) FROM orders")[1] == amount
            assert one(
                engine,
                "SELECT max(time) <= make_timestamptz("
                f"{int(moment.timestamp()) * 1_000_000}) FROM order_lines",
            ) == (True,)
            assert 0 < lines < 397_884
            assert one(engine, "SELECT sum(amount_total) FROM customers") == (amount,)
    finally:
        engine.advance(AS_OF)
    assert engine.segment("recency_days <= 30").count() == 1_628


def test_rows_without_a_customer_are_refused_or_skipped_with_one_reason() -> None:
    engine = se.Engine(timezone="UTC", as_of=AS_OF)
    with pytest.raises(se.RefusedError, match="`customer_id`: is null in 132,220 rows"):
        engine.load("order_lines", SOURCE, columns=COLUMNS, where=KNOWN)
    assert engine.data_version == 0
    assert engine.table("order_lines").num_rows == 0
    report = engine.load("order_lines", SOURCE, columns=COLUMNS, where=KNOWN, on_error="skip")
    assert report.rows_skipped == 132_220
    assert [(p.column, p.reason, p.rows) for p in report.problems] == [
        ("customer_id", "is null", 132_220)
    ]
    assert engine.segment("recency_days <= 30").count() == 1_628


# --- reports --------------------------------------------------------------------------------


def rates(report: Report, table: str) -> dict[object, tuple[object, object]]:
    """By period: the two numbers of a rate."""
    (found,) = [t for t in report.tables if t.name == table]
    at = found.columns.index
    return {row[at("period")]: (row[at("buyers_again")], row[at("buyers")]) for row in found.rows}


def figures(report: Report) -> dict[str, object]:
    return {figure.name: figure.value for figure in report.figures}


def test_the_overview_of_november_2011(engine: se.Engine) -> None:
    report = engine.report("overview", grain="month", last=3)
    (sales,) = [t for t in report.tables if t.name == "sales"]
    found = {row[0]: dict(zip(sales.columns, row, strict=True)) for row in sales.rows}["2011-11"]
    assert (found["buyers"], found["orders"]) == (1_664, 2_657)
    assert round(found["sales"], 2) == Decimal("1161817.38")
    assert round(found["sales_per_buyer"], 2) == 698.21
    assert round(found["sales_per_order"], 2) == 437.27
    assert found["complete"] is True


def test_repurchase_within_and_after_periods(engine: se.Engine) -> None:
    report = engine.report("repurchase")
    assert rates(report, "within_month")["2011-11"] == (540, 1_664)
    assert rates(report, "next_month")["2011-11"] == (622, 1_364)
    assert rates(report, "two_month")["2011-11"] == (954, 2_141)
    assert rates(report, "next_quarter")["2011-Q3"] == (1_211, 1_991)
    # November is the last month, and the third the last quarter, that is over at this moment.
    values = figures(report)
    assert values["repurchase_month"] == 540 / 1_664
    assert values["next_month"] == 622 / 1_364
    assert values["two_month"] == 954 / 2_141
    assert values["next_quarter"] == 1_211 / 1_991


def test_the_settled_order_count_is_six(engine: se.Engine) -> None:
    report = engine.report("repurchase")
    assert figures(report)["settled_order_count"] == 6
    (after,) = [t for t in report.tables if t.name == "after_orders"]
    assert [row[1] for row in after.rows[:6]] == [4_338, 2_845, 2_010, 1_502, 1_114, 872]
    assert [row[2] for row in after.rows[:5]] == [2_845, 2_010, 1_502, 1_114, 872]


@pytest.mark.parametrize(
    "asked",
    [
        ("overview",),
        ("repurchase",),
        ("retention",),
        ("profile", "order_count >= 6"),
        ("compare", "order_count >= 6", "recency_days <= 30"),
    ],
)
def test_a_store_without_categories_consent_or_behaviours_has_every_report(
    engine: se.Engine, asked: tuple[str, ...]
) -> None:
    report = engine.report(*asked)
    assert any(table.rows for table in report.tables)
    assert report.notes
    assert report.as_of == AS_OF


def test_new_and_returning_buyers_and_retention_agree(engine: se.Engine) -> None:
    overview = engine.report("overview", grain="month")
    retention = engine.report("retention", grain="month")
    (months,) = [t for t in overview.tables if t.name == "new_returning"]
    (triangle,) = [t for t in retention.tables if t.name == "triangle"]
    new = {row[0]: row[2] for row in months.rows}
    assert new == {row[0]: row[2] for row in triangle.rows if row[1] == 0}
    assert sum(n for n in new.values() if isinstance(n, int)) == 4_338
    again = {row[1]: row[3] for row in triangle.rows if row[0] == "2010-12"}
    (next_month,) = [t for t in engine.report("repurchase").tables if t.name == "next_month"]
    assert again[1] == {row[0]: row[3] for row in next_month.rows}["2011-01"]


def test_a_profile_weighs_its_segment_against_everybody(engine: se.Engine) -> None:
    report = engine.report("profile", "order_count >= 6", traits="trade_group,order_count")
    values = figures(report)
    assert (values["segment"], values["base"], values["share"]) == (872, 4_338, 872 / 4_338)
    (groups,) = [t for t in report.tables if t.name == "trait_trade_group"]
    assert groups.rows[0][:5] == ("traded", 0, 0.0, 4_338 - 2_845, (4_338 - 2_845) / 4_338)
    assert groups.rows[1][-1] == pytest.approx(4_338 / 2_845 * 100)
