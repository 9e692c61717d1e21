"""The published figures of CDNOW come out; the file is parsed here, as an analyst would."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import segengine as se
from segengine.traits import prediction
from segengine.traits.build import BLOCKS
from segengine.traits.work import Work

FOLDER = Path(__file__).resolve().parents[3] / "shared/data/cdnow"
SOURCE = FOLDER / "CDNOW_master.txt"
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


# --- the sample, to the end of its calibration --------------------------------------------------

CALIBRATED = datetime(1997, 9, 30, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def sample() -> se.Engine:
    """The one-tenth sample, seen from the last day of the published calibration."""
    fields = [line.split() for line in (FOLDER / "CDNOW_sample.txt").read_text().splitlines()]
    _, customers, dates, _, dollars = zip(*(f for f in fields if f), strict=True)
    found = se.Engine(timezone="UTC", as_of=CALIBRATED)
    days = pc.strptime(pa.array(dates), "%Y%m%d", "us").cast(pa.timestamp("us", "UTC"))
    amounts = pa.array([Decimal(d) for d in dollars], pa.decimal128(9, 2))
    ids = [int(c) for c in customers]
    found.load("orders", pa.table({"customer_id": ids, "time": days, "amount": amounts}))
    return found


def published() -> dict[int, tuple[float, float, float, float]]:
    """x, t_x and T in weeks, and zbar, by customer."""
    with (FOLDER / "cdnow_customers_summary_with_transactions.csv").open() as file:
        return {
            int(row["ID"]): tuple(float(row[k]) for k in ("x", "t_x", "T", "zbar"))  # type: ignore[misc]
            for row in csv.DictReader(file)
        }


def test_histories_of_the_sample_are_the_published_ones(sample: se.Engine) -> None:
    tables = sample._tables
    rows = np.arange(tables.customers.rows, dtype=np.int64)
    blocks = {name: tables.customers.block(name) for name in BLOCKS}
    work = Work(
        tables, sample._current.settings, sample._current.as_of, rows, blocks, all_rows=True
    )
    dates = prediction.dates_of(work)
    summary = published()
    assert len(summary) == int((dates.repeats >= 0).sum()) == 2_357
    assert int(dates.repeats[1:].sum()) == 2_457
    assert int((dates.repeats == 0).sum()) == 1_411
    unit = 10**tables.money_scale
    for one, (x, recency, age, mean) in summary.items():
        row = tables.customers.row_of(one)
        assert dates.repeats[row] == x
        assert abs(dates.recency[row] / 7 - recency) <= 0.005 + 1e-9
        assert abs(dates.age[row] / 7 - age) <= 0.005 + 1e-9
        found = dates.total[row] / unit / x if x else 0
        assert abs(found - mean) <= 0.005 + 1e-9, one


def test_parameters_of_the_sample_are_the_published_ones(sample: se.Engine) -> None:
    shown = sample.fits.shown
    assert shown["BG/NBD"] == pytest.approx(
        {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}, rel=0.01
    )
    assert shown["Gamma-Gamma"] == pytest.approx({"p": 6.25, "q": 3.74, "v": 15.44}, rel=0.01)
    # As the packages BTYDplus and lifetimes fit this model to the sample.
    assert shown["modified BG/NBD"] == pytest.approx(
        {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}, rel=0.01
    )


def test_the_next_39_weeks_of_the_sample_are_foreseen(sample: se.Engine) -> None:
    """Fader, Hardie and Lee: the model tracks the holdout; here, repeat dates to 1998-06-30."""
    sql = "SELECT sum(expected_orders_90d), avg(p_alive) FROM customers"
    ((expected, alive),) = sample.connect(["customers"]).execute(sql).fetchall()
    later = [line.split() for line in (FOLDER / "CDNOW_sample.txt").read_text().splitlines()]
    ahead = {(f[0], f[2]) for f in later if f and "19970930" < f[2] <= "19971229"}
    assert expected == pytest.approx(len(ahead), rel=0.15)
    assert 0.3 < alive < 0.8
    assert sample.segment("order_count = 1 AND p_alive > 0.99").count() == 0
