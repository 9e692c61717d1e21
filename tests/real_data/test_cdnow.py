"""The published figures of CDNOW come out; the file is parsed here, as an analyst would."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import segengine as se

SOURCE = Path(__file__).resolve().parents[3] / "shared/data/cdnow/CDNOW_master.txt"
pytestmark = pytest.mark.skipif(
    not SOURCE.is_file(), reason=f"the data is not here: {SOURCE} (see SOURCE.md beside it)"
)
AS_OF = datetime(1998, 7, 1, tzinfo=UTC)


@cache
def rows() -> pa.Table:
    """One order per row; `day` is its date."""
    fields = [line.split() for line in SOURCE.read_text().splitlines()[1:]]
    customers, dates, discs, dollars = zip(*(f for f in fields if f), strict=True)
    return pa.table(
        {
            "customer_id": [int(c) for c in customers],
            "time": pc.strptime(pa.array(dates), "%Y%m%d", "us").cast(pa.timestamp("us", "UTC")),
            "discs": [int(n) for n in discs],
            "amount": pa.array([Decimal(d) for d in dollars], pa.decimal128(9, 2)),
        }
    )


@pytest.fixture(scope="module")
def engine() -> se.Engine:
    found = se.Engine(timezone="UTC", as_of=AS_OF)
    report = found.load("orders", rows(), columns={"discs": "discs"})
    assert report.rows_loaded == 69_659
    return found


def test_customers_discs_and_dollars(engine: se.Engine) -> None:
    assert engine.segment("order_count >= 1").count() == 23_570
    sql = (
        "SELECT count(*), sum(discs), sum(amount), min(time)::DATE, max(time)::DATE FROM purchases"
    )
    count, discs, amount, first, last = engine.connect().execute(sql).fetchall()[0]
    assert (count, discs, amount) == (69_659, 167_881, Decimal("2500315.63"))
    assert (first.isoformat(), last.isoformat()) == ("1997-01-01", "1998-06-30")
    sql = "SELECT sum(amount_total), sum(order_count) FROM customers"
    assert engine.connect().execute(sql).fetchall() == [(Decimal("2500315.63"), 69_659)]
    assert engine.segment("max_order_amount = 0").count() >= 1


def test_a_days_purchases_as_one_order() -> None:
    """The same as lines: an order per customer and day."""
    engine = se.Engine(timezone="UTC", as_of=AS_OF)
    columns = {
        "order_id": "customer_id || '/' || strftime(time, '%Y%m%d')",
        "quantity": "discs",
    }
    engine.load("order_lines", rows(), columns=columns)
    assert engine.table("orders").num_rows == 67_591
    expected = {1: 23_570, 2: 11_516, 3: 7_476, 4: 5_271, 5: 3_835, 6: 2_844}
    assert {n: engine.segment(f"order_count >= {n}").count() for n in expected} == expected
    sql = "SELECT sum(item_count), sum(amount_total) FROM customers"
    assert engine.connect().execute(sql).fetchall() == [(167_881, Decimal("2500315.63"))]


def test_p_of_x_and_the_settled_order_count_with_a_days_purchases_as_one_order(
    engine: se.Engine,
) -> None:
    report = engine.report("repurchase", one_order_a_day=True)
    (after,) = [table for table in report.tables if table.name == "after_orders"]
    reached = [row[1] for row in after.rows]
    assert reached[:6] == [23_570, 11_516, 7_476, 5_271, 3_835, 2_844]
    assert [row[2] for row in after.rows[:5]] == reached[1:6]
    (settled,) = [figure for figure in report.figures if figure.name == "settled_order_count"]
    assert settled.value == 6
