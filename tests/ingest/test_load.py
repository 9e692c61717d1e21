"""A batch is in or out: refuse, skip, append, repeat, and what the report counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.ingest.report import LoadProblem, merged
from segengine.ingest.stage import _BATCH_ROWS
from tests.ingest.samples import AS_OF, LONG_AGO, customers, engine, orders, state


def shop() -> se.Engine:
    """An engine that knows a little of everything."""
    found = engine()
    found.load("customers", customers(1, 2, city=["x", "y"], tags=[["a"], None]))
    found.load("products", pa.table({"product_id": ["p"], "category": ["c"]}))
    found.load("orders", orders(1, 2, order_id=["o1", "o2"], amount=[10.0, 20.0], event_id=[1, 2]))
    found.load("order_lines", orders(3, order_id=["o3"], line_id=[1], product_id=["p"]))
    return found


BAD_BATCHES: list[tuple[str, pa.Table]] = [
    ("customers", customers(5, None)),
    ("customers", customers(5, 1, 5, city=["new", "new", "new"])),
    ("customers", customers("7", "x")),
    ("customers", customers(5, 1.5)),
    ("products", pa.table({"product_id": ["p", "q", "p"], "category": ["d", "e", "f"]})),
    ("orders", orders(5, 6, amount=[1.0, float("inf")])),
    ("orders", orders(5, 2, order_id=["new", "o1"])),
    ("orders", orders(5, 6, order_id=["new", "new"])),
    ("order_lines", orders(5, 2, order_id=["new", "o3"])),
    ("order_lines", orders(5, 2, order_id=["new", "o1"], quantity=[1.0, 1.0])),
    ("behaviors", pa.table({"customer_id": [5, 6], "time": ["2024-01-05", "x"]})),
    ("behaviors", pa.table({"customer_id": [5, 6], "time": ["2024-01-05", None]})),
]


@pytest.mark.parametrize(("table", "source"), BAD_BATCHES)
@pytest.mark.parametrize("how", ["load", "append"])
def test_a_refused_batch_changes_nothing(table: str, source: pa.Table, how: str) -> None:
    found = shop()
    before = state(found)
    with pytest.raises(se.RefusedError) as caught:
        getattr(found, how)(table, source)
    assert state(found) == before
    report = caught.value.report
    assert report.rows_skipped == sum(problem.rows for problem in report.problems) > 0
    assert report.rows_read == source.num_rows
    # And the batch after it is taken as if nothing had been.
    found.append("orders", orders(1, order_id=["o9"], amount=[5.0]))
    assert found.segment("amount_total = 15").count() == 1


@pytest.mark.parametrize(("table", "source"), BAD_BATCHES)
def test_skip_loads_the_other_rows(table: str, source: pa.Table) -> None:
    found = shop()
    report = found.load(table, source, on_error="skip")
    assert (report.rows_read, report.rows_loaded) == (source.num_rows, source.num_rows - 1)
    assert report.rows_skipped == 1
    assert [problem.rows for problem in report.problems] == [1]
    known = found.segment("true").ids().to_pylist()
    assert (
        set(known) == {1, 2, 3} | {7 if "7" in str(source["customer_id"]) else 5}
        if table != "products"
        else {1, 2, 3}
    )


def test_the_report_counts_each_bad_row_once_and_shows_three() -> None:
    found = engine()
    source = orders(
        1,
        None,
        None,
        4,
        5,
        6,
        7,
        8,
        1,
        amount=["1", "x", "2", "a", "b", "c", "d", "5", "9"],
        order_id=["o", "o", "p", "q", "r", "s", "t", "o", "u"],
        other=list(range(9)),
    )
    report = found.load("orders", source, on_error="skip")
    assert report == se.LoadReport(
        "orders",
        rows_read=9,
        rows_loaded=2,
        rows_skipped=7,
        problems=(
            LoadProblem("amount", "cannot be read as an amount of money", 4, ("a", "b", "c")),
            LoadProblem("customer_id", "is null", 2),
            LoadProblem("order_id", "this order_id belongs to another customer_id", 1, ("o",)),
        ),
        ignored_columns=("other",),
    )
    assert report.seconds > 0


def test_problems_of_all_parts_of_a_source_are_one() -> None:
    found = [LoadProblem("a", "x", 2, ("1", "2")), LoadProblem("b", "y", 5, ("z",))]
    parts = [*found, LoadProblem("a", "x", 9, ("3", "4"))]
    assert merged(parts) == (LoadProblem("a", "x", 11, ("1", "2", "3")), found[1])
    assert str(merged(parts)[0]) == "column `a`: x in 11 rows, for example `1`, `2`, `3`"
    assert str(LoadProblem("a", "is null", 1)) == "column `a`: is null in 1 row"


def test_a_source_of_many_parts_is_one_batch() -> None:
    count = 2 * _BATCH_ROWS + 1000
    bad = {5, _BATCH_ROWS + 7, count - 1}
    levels = pa.array([None if i in bad else i for i in range(count)])
    found = engine()
    source = pa.table({"customer_id": levels, "city": pa.array(["a", "b"] * (count // 2))})
    with pytest.raises(se.RefusedError):
        found.load("customers", source)
    assert found.segment("true").count() == 0
    report = found.load("customers", source, on_error="skip")
    assert (report.rows_loaded, report.problems) == (
        count - 3,
        (LoadProblem("customer_id", "is null", 3),),
    )
    assert found.segment("city = 'a'").count() == count // 2


def test_no_rows_are_a_batch_too() -> None:
    found = shop()
    before = state(found)
    for table in ("customers", "products", "orders", "order_lines", "behaviors", "messages"):
        key = "product_id" if table == "products" else "customer_id"
        empty = pa.table(
            {
                key: pa.array([], pa.string() if table == "products" else pa.int64()),
                "time": pa.array([], pa.timestamp("us")),
            }
        )
        assert found.append(table, empty).rows_loaded == 0
    assert {**state(found), "version": 0} == {**before, "version": 0}


def test_every_taken_batch_grows_the_version() -> None:
    found = engine()
    versions = [found.data_version]
    found.load("customers", customers(1))
    versions.append(found.data_version)
    found.append("orders", orders(1))
    versions.append(found.data_version)
    found.advance(AS_OF + timedelta(seconds=1))
    versions.append(found.data_version)
    found.delete_customer(1)
    versions.append(found.data_version)
    assert versions == sorted(set(versions))


# Appends


def test_an_event_a_little_ahead_happens_at_as_of_and_a_later_one_is_bad() -> None:
    found = engine()
    ahead = [timedelta(0), timedelta(seconds=1), timedelta(minutes=5)]
    found.append(
        "orders", pa.table({"customer_id": [1, 1, 1], "time": [AS_OF + step for step in ahead]})
    )
    assert found.table("orders", ["time"])["time"].to_pylist() == [AS_OF] * 3
    late = pa.table(
        {"customer_id": [2, 2], "time": [AS_OF, AS_OF + timedelta(minutes=5, microseconds=1)]}
    )
    with pytest.raises(se.RefusedError, match="`time`: is more than 5 minutes after as_of"):
        found.append("orders", late)
    report = found.append("orders", late, on_error="skip")
    assert (report.rows_loaded, report.rows_skipped) == (1, 1)
    assert report.problems[0].examples == ("2024-03-01T12:05:00.000001+00:00",)
    assert found.table("orders").num_rows == 4


def test_a_load_keeps_later_events_unseen_until_advance_reaches_them() -> None:
    found = engine()
    later = AS_OF + timedelta(days=3)
    found.load("orders", pa.table({"customer_id": [1, 2], "time": [LONG_AGO, later]}))
    assert found.table("orders").num_rows == found.table("purchases").num_rows == 1
    assert found.segment("order_count = 1").count() == 1
    assert found.connect().execute("SELECT count(*) FROM orders").fetchone() == (1,)
    found.advance(later - timedelta(microseconds=1))
    assert found.table("orders").num_rows == 1
    found.advance(later)
    assert found.table("orders").num_rows == 2
    assert found.segment("order_count = 1").count() == 2
    found.advance(LONG_AGO - timedelta(days=1))
    assert found.table("orders").num_rows == 0
    assert found.segment("lifecycle_stage = 'prospect'").count() == 2


def test_a_naive_event_is_in_the_stores_timezone_when_appended() -> None:
    found = engine("Asia/Shanghai")
    naive = datetime(2024, 3, 1, 20, 0)  # noqa: DTZ001
    found.append("orders", orders(1, time=naive))
    assert found.table("orders", ["time"])["time"].to_pylist() == [AS_OF]
    found.advance(datetime(2024, 3, 1, 21))  # noqa: DTZ001
    assert found.as_of == datetime(2024, 3, 1, 13, tzinfo=UTC)


# Repeats


@pytest.mark.parametrize("ids", [[1, 2, 3, 4], ["a", "b", "c", "d"]])
def test_the_first_row_with_an_event_id_wins_and_repeats_are_counted(ids: list[Any]) -> None:
    found = engine()
    first = orders(1, 1, 1, kind=["x", "y", "z"], event_id=[ids[0], ids[1], ids[0]])
    report = found.load("behaviors", first)
    assert (report.rows_read, report.rows_loaded, report.rows_repeated) == (3, 2, 1)
    report = found.append("behaviors", orders(1, 1, 2, event_id=[ids[1], ids[2], None]))
    assert (report.rows_loaded, report.rows_repeated, report.rows_skipped) == (2, 1, 0)
    report = found.append("behaviors", orders(2, 2, event_id=pa.array([None, None], pa.int64())))
    assert (report.rows_loaded, report.rows_repeated) == (2, 0)
    assert found.table("behaviors", ["kind"])["kind"].to_pylist() == ["x", "y", *[None] * 4]
    # Ids are of their table.
    assert found.append("points", orders(1, event_id=[ids[0]], amount=[5])).rows_repeated == 0


def test_an_update_that_is_sent_again_does_not_undo_a_later_one() -> None:
    found = engine()
    for event, amount in ((1, 10.0), (2, 20.0), (3, 30.0)):
        found.append("orders", orders(1, order_id=["o"], amount=[amount], event_id=[event]))
    for event in (1, 2, 3):
        again = orders(1, order_id=["o"], amount=[99.0], event_id=[event])
        assert found.append("orders", again).rows_repeated == 1
    assert found.table("orders", ["amount", "event_id"]).to_pylist() == [
        {"amount": 30, "event_id": 1}
    ]
    within = orders(1, 1, 1, order_id=["o"] * 3, amount=[1.0, 2.0, 3.0], event_id=[4, 5, 4])
    report = found.append("orders", within)
    assert (report.rows_loaded, report.rows_repeated) == (2, 1)
    assert found.table("orders", ["amount"])["amount"].to_pylist() == [2]
    assert found.append("orders", orders(1, order_id=["o"], event_id=[5])).rows_repeated == 1


@settings(max_examples=10)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=12))
def test_batches_with_event_ids_may_be_sent_again_in_any_part(rows: list[tuple[int, int]]) -> None:
    source = orders(
        *[1] * len(rows),
        order_id=[f"o{n}" for n, _ in rows],
        amount=[float(a) for _, a in rows],
        event_id=list(range(len(rows))),
    )
    once, twice = engine(), engine()
    once.load("orders", source)
    half = len(rows) // 2
    for part in (source.slice(0, half + 1), source.slice(half), source):
        twice.append("orders", part)
    columns = ["order_id", "amount"]
    assert once.table("orders", columns).equals(twice.table("orders", columns))


# Upserts


def test_customers_and_products_are_upserted_by_id() -> None:
    found = engine()
    found.load("customers", customers(1, 2, city=["a", "b"], member_level=[1, 2]))
    found.append("customers", customers(2, 3, city=[None, "c"]))
    rows = found.table("customers", ["customer_id", "city", "member_level"]).to_pylist()
    assert [tuple(r.values()) for r in rows] == [(1, "a", 1), (2, None, 2), (3, "c", None)]
    products = pa.table({"product_id": ["p", "q"], "price": [1.0, 2.0], "brand": ["x", "y"]})
    found.load("products", products)
    found.append("products", pa.table({"product_id": ["r", "q"], "price": [3.0, 2.5]}))
    rows = found.table("products", ["product_id", "price", "brand"]).to_pylist()
    assert [(r["product_id"], float(r["price"]), r["brand"]) for r in rows] == [
        ("p", 1.0, "x"),
        ("q", 2.5, "y"),
        ("r", 3.0, None),
    ]


def test_a_buyer_seen_only_in_events_has_a_row_in_the_order_first_seen() -> None:
    found = engine()
    found.load("behaviors", orders(30, 10, 30))
    found.load("customers", customers(10, 20, city=["a", "b"]))
    found.append("order_lines", orders(5))
    rows = found.table("customers", ["customer_id", "city", "tags", "order_count"]).to_pylist()
    assert [tuple(r.values()) for r in rows] == [
        (30, None, [], 0),
        (10, "a", [], 0),
        (20, "b", [], 0),
        (5, None, [], 1),
    ]
