"""Do we count what a back office counts? Figures that others have published."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

import segengine as se

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ONLINE_RETAIL = DATA / "online_retail" / "online_retail.parquet"
CDNOW = DATA / "cdnow" / "CDNOW_master.txt"
COLUMNS = {
    "customer_id": "CustomerID",
    "order_id": "InvoiceNo",
    "time": "InvoiceDate",
    "product_id": "StockCode",
    "quantity": "Quantity",
    "amount": "Quantity * UnitPrice",
}
SOLD = "Quantity > 0 AND UnitPrice > 0"


def retail_engine():
    if not ONLINE_RETAIL.is_file():
        pytest.skip(f"the data set is not there: {ONLINE_RETAIL}")
    return se.Engine(timezone="UTC", as_of=datetime(2011, 12, 10, tzinfo=UTC))


@pytest.fixture(scope="module")
def retail():
    engine = retail_engine()
    where = f"{SOLD} AND CustomerID IS NOT NULL"
    engine.load("order_lines", str(ONLINE_RETAIL), columns=COLUMNS, where=where)
    return engine


def test_online_retail_has_its_buyers_orders_and_sales(retail):
    assert retail.segment("TRUE").count() == 4_338
    orders = retail.table("orders", ["order_id", "amount"])
    assert orders.num_rows == 18_532
    assert sum(orders["amount"].to_pylist()) == Decimal("8911407.904")
    assert sum(retail.table("order_lines", ["amount"])["amount"].to_pylist()) == Decimal(
        "8911407.904"
    )
    assert retail.table("order_lines", ["time"]).num_rows == 397_884


@pytest.mark.parametrize(
    ("customer", "recency", "orders", "amount"),
    [(12347, 3, 7, "4310.00"), (14646, 2, 73, "280206.02"), (17850, 373, 34, "5391.21")],
)
def test_three_buyers_of_online_retail(retail, customer, recency, orders, amount):
    row = retail.segment(f"customer_id = {customer}").table(
        ["recency_days", "order_count", "amount_total"]
    )
    assert row.to_pylist() == [
        {
            "customer_id": customer,
            "recency_days": recency,
            "order_count": orders,
            "amount_total": Decimal(amount),
        }
    ]


def test_quintile_cuts_of_online_retail(retail):
    shown = retail.fits.shown
    assert shown["recency"] == (13.8, 33.0, 72.0, 180.0)
    assert shown["orders"] == (1.0, 2.0, 3.0, 6.0)
    assert shown["amount"] == (250.194, 490.096, 942.276, 2058.426)


def test_thirty_one_dates_and_thirty(retail):
    assert retail.segment("recency_days <= 30").count() == 1_628
    assert retail.segment("in_last_days(last_order_at, 30)").count() == 1_571
    assert retail.segment("orders_30d >= 1").count() == 1_571


def test_buyers_with_at_least_so_many_orders(retail):
    counts = [retail.segment(f"order_count >= {n}").count() for n in range(1, 7)]
    assert counts == [4_338, 2_845, 2_010, 1_502, 1_114, 872]


def test_lines_without_a_buyer_are_refused_with_their_number():
    engine = retail_engine()
    before = engine.data_version
    with pytest.raises(se.RefusedError) as refused:
        engine.load("order_lines", str(ONLINE_RETAIL), columns=COLUMNS, where=SOLD)
    assert "132,220 rows" in str(refused.value)
    assert engine.data_version == before
    assert engine.segment("TRUE").count() == 0
    assert engine.table("order_lines").num_rows == 0


def test_lines_without_a_buyer_are_skipped_for_one_reason():
    engine = retail_engine()
    report = engine.load(
        "order_lines", str(ONLINE_RETAIL), columns=COLUMNS, where=SOLD, on_error="skip"
    )
    assert (report.rows_read, report.rows_loaded, report.rows_skipped) == (
        530_104,
        397_884,
        132_220,
    )
    assert [(p.column, p.reason, p.rows) for p in report.problems] == [
        ("customer_id", "is null", 132_220)
    ]
    assert engine.segment("TRUE").count() == 4_338


def test_cdnow_has_its_buyers_and_dollars():
    if not CDNOW.is_file():
        pytest.skip(f"the data set is not there: {CDNOW}")
    rows = [line.split() for line in CDNOW.read_text().splitlines()[1:]]
    engine = se.Engine(timezone="UTC", as_of=datetime(1998, 7, 1, tzinfo=UTC))
    table = pa.table(
        {
            "customer_id": [int(r[0]) for r in rows],
            "time": [datetime.strptime(r[1], "%Y%m%d").replace(tzinfo=UTC) for r in rows],
            "quantity": [int(r[2]) for r in rows],
            "amount": [Decimal(r[3]) for r in rows],
        }
    )
    report = engine.load("order_lines", table)
    assert report.rows_loaded == 69_659
    assert engine.segment("order_count >= 1").count() == 23_570
    totals = engine.table("customers", ["amount_total", "item_count"])
    assert sum(totals["amount_total"].to_pylist()) == Decimal("2500315.63")
    assert sum(totals["item_count"].to_pylist()) == 167_881
