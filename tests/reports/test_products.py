"""The range mix and the lists of products, over products whose traits are written down."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segengine.errors import ReportError
from segengine.reports import products as products_report
from segengine.reports.html import to_html
from segengine.reports.report import Report, Source, to_json
from segengine.schema.range_mix import RangeMix
from segengine.schema.store_config import StoreConfig
from segengine.traits.work import Fits
from tests.reports.pages import assert_page_is_its_data
from tests.reports.stores import figure, rows

_MONEY = pa.decimal128(18, 4)
_TYPES = {
    "product_id": pa.string(), "category": pa.string(), "brand": pa.string(),
    "units_90d": pa.int64(), "amount_90d": _MONEY, "buyers_90d": pa.int64(),
    "views_90d": pa.int64(), "growth": pa.float64(), "share": pa.float64(),
    "conversion_rate": pa.float64(), "margin": pa.float64(), "price_level": pa.string(),
    "matrix_class": pa.string(), "role": pa.string(),
}  # fmt: skip
Row = dict[str, Any]


def report(listed: list[Row], config: StoreConfig | None = None, **options: Any) -> Report:
    """The report of products with these traits."""
    connection = duckdb.connect(":memory:")
    columns = {name: pa.array([r.get(name) for r in listed], kind) for name, kind in _TYPES.items()}
    connection.register("products", pa.table(columns))
    source = Source(
        connection, datetime(2024, 3, 31, tzinfo=UTC), 1, "UTC", "EUR", config or StoreConfig(),
        Fits(0, MappingProxyType({})), {"products": tuple(_TYPES)},
    )  # fmt: skip
    with connection:
        return products_report.products(source, **options)


def money(cents: int) -> Decimal:
    return Decimal(cents) / 100


@st.composite
def listings(draw: st.DrawFn) -> list[Row]:
    def one(number: int) -> Row:
        return {
            "product_id": f"p{number}",
            "category": draw(st.sampled_from(["tea", "cups", None])),
            "units_90d": draw(st.integers(0, 3)),
            "amount_90d": money(draw(st.integers(-200, 20_000))),
            "price_level": draw(st.sampled_from(["low", "middle", "high", None])),
            "matrix_class": draw(st.sampled_from(["star", "cash_cow", "question", "dog", None])),
            "role": draw(st.sampled_from(["traffic", "profit", "edge", "retention", None])),
            "growth": draw(st.none() | st.floats(-1, 5)),
            "share": draw(st.none() | st.floats(0, 1)),
        }

    return [one(number) for number in range(draw(st.integers(0, 30)))]


@given(listings(), st.integers(1, 12))
def test_counts_sales_and_shares_are_those_of_plain_python(listed: list[Row], top: int) -> None:
    found = report(listed, top=top)
    sales = sum((row["amount_90d"] for row in listed), Decimal(0))
    assert figure(found, "sales").value == sales
    assert figure(found, "sold").value == sum(row["units_90d"] > 0 for row in listed)
    classed = [row for row in listed if row["matrix_class"]]
    in_classes = sum((row["amount_90d"] for row in classed), Decimal(0))
    for row, target in zip(rows(found, "range_mix"), (0.30, 0.50, 0.15, 0.05), strict=True):
        inside = [r for r in classed if r["matrix_class"] == row["matrix_class"]]
        amount = sum((r["amount_90d"] for r in inside), Decimal(0))
        assert (row["products"], row["sales"]) == (len(inside), amount)
        assert row["target"] == target
        if classed:
            assert row["share_of_products"] == len(inside) / len(classed)
            assert row["products_over"] == pytest.approx(len(inside) / len(classed) - target)
        else:
            assert row["share_of_products"] is row["products_over"] is None
        if in_classes > 0:
            assert row["share_of_sales"] == pytest.approx(float(amount / in_classes))
        else:
            assert row["share_of_sales"] is row["sales_over"] is None
    for table, column in (("roles", "role"), ("price_levels", "price_level")):
        for row in rows(found, table):
            inside = [r for r in listed if (r[column] or "(none)") == row[column]]
            assert row["products"] == len(inside)
            assert row["sales"] == sum((r["amount_90d"] for r in inside), Decimal(0))
    ranked = sorted(
        (r for r in listed if r["units_90d"] > 0), key=lambda r: (-r["amount_90d"], r["product_id"])
    )
    best = [r["product_id"] for r in rows(found, "best")]
    worst = [r["product_id"] for r in rows(found, "worst")]
    assert best == [r["product_id"] for r in ranked[:top]]
    assert worst == [r["product_id"] for r in ranked[top:][-top:]][::-1]
    assert_page_is_its_data(to_html(to_json(found)), to_json(found))


def test_the_matrix_places_each_class_by_growth_and_share() -> None:
    found = report([{"product_id": "a", "matrix_class": "cash_cow", "amount_90d": money(500),
                     "units_90d": 1, "growth": -0.5, "share": 0.9}])  # fmt: skip
    (cell,) = [row for row in rows(found, "matrix") if row["products"]]
    assert (cell["growth"], cell["share"]) == ("low", "high")
    assert (cell["median_growth"], cell["median_share"]) == (-0.5, 0.9)
    places = {row["matrix_class"]: (row["growth"], row["share"]) for row in rows(found, "matrix")}
    assert places["star"] == ("high", "high")
    assert places["question"] == ("high", "low")
    assert places["dog"] == ("low", "low")


def test_targets_are_those_of_the_store() -> None:
    found = report([], StoreConfig(range_mix=RangeMix(0.1, 0.2, 0.3, 0.4)))
    assert [row["target"] for row in rows(found, "range_mix")] == [0.1, 0.2, 0.3, 0.4]


def test_a_role_of_the_seller_s_own_is_counted() -> None:
    found = report([{"product_id": "a", "role": "gift"}, {"product_id": "b", "role": "edge"}])
    assert [r["role"] for r in rows(found, "roles") if r["products"]] == ["edge", "gift"]


def test_what_is_missing_is_said() -> None:
    assert report([]).notes == (products_report.NO_PRODUCTS,)
    unsold = report([{"product_id": "a", "units_90d": 0}])
    assert unsold.notes == (products_report.NO_SALES, products_report.NO_CATEGORIES)
    assert rows(unsold, "best") == rows(unsold, "worst") == []


@pytest.mark.parametrize("top", [0, 1_001, True, "5"])
def test_a_list_of_no_length_is_refused(top: object) -> None:
    with pytest.raises(ReportError, match="`top`: must be a whole number"):
        report([], top=top)
