"""Reports of buyers give the published figures of Online Retail, and every report has its page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import segengine as se
from segengine.reports.catalogue import REPORTS
from segengine.reports.html import to_html
from segengine.reports.report import to_json
from tests.reports.pages import assert_page_is_its_data
from tests.reports.stores import figure, rows

SOURCE = Path(__file__).resolve().parents[3] / "shared/data/online_retail/online_retail.parquet"
pytestmark = pytest.mark.skipif(
    not SOURCE.is_file(), reason=f"the data is not here: {SOURCE} (see SOURCE.md beside it)"
)
NAMES = [name for name in REPORTS if name != "campaign"]
"""That of a campaign is about a run, and has tests of its own."""
SEGMENTS = {"profile": ("order_count >= 6",), "compare": ("order_count >= 6", "order_count = 1")}


@pytest.fixture(scope="module")
def engine() -> Iterator[se.Engine]:
    columns = {
        "customer_id": "CustomerID", "order_id": "InvoiceNo", "time": "InvoiceDate",
        "product_id": "StockCode", "quantity": "Quantity", "amount": "Quantity * UnitPrice",
    }  # fmt: skip
    with se.Engine(timezone="UTC", as_of=datetime(2011, 12, 10, tzinfo=UTC)) as engine:
        where = "Quantity > 0 AND UnitPrice > 0 AND CustomerID IS NOT NULL"
        engine.load("order_lines", SOURCE, columns=columns, where=where)
        yield engine


def test_the_cuts_of_rfm_are_the_published_ones(engine: se.Engine) -> None:
    report = engine.report("rfm")
    cuts = rows(report, "cuts")[:4]
    assert [row["recency_days"] for row in cuts] == pytest.approx([13.8, 33, 72, 180])
    assert [row["order_count"] for row in cuts] == pytest.approx([1, 2, 3, 6])
    amounts = [250.194, 490.096, 942.276, 2_058.426]
    assert [row["amount_total"] for row in cuts] == pytest.approx(amounts, abs=0.001)
    assert figure(report, "buyers").value == 4_338
    assert sum(row["buyers"] for row in rows(report, "grid")) == 4_338
    assert sum(row["buyers"] for row in rows(report, "groups")) == 4_338


def test_who_bought_since_the_date_30_before_is_new_or_returning(engine: se.Engine) -> None:
    report = engine.report("lifecycle")
    new, returning = figure(report, "new").value, figure(report, "returning").value
    assert isinstance(new, int)
    assert isinstance(returning, int)
    assert new + returning == 1_571
    assert sum(row["now"] for row in rows(report, "stages")) == 4_338


@pytest.mark.parametrize("name", NAMES)
def test_every_report_has_its_page(engine: se.Engine, name: str) -> None:
    answer = to_json(engine.report(name, *SEGMENTS.get(name, ())))
    page = assert_page_is_its_data(to_html(answer), answer)
    drawn = [t["name"] for t in answer["tables"] if t["picture"] and t["rows"]]
    shown = set(page.pictures)
    assert shown
    assert shown <= set(drawn)
