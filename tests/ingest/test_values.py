"""How a value is read: what is exact, what becomes missing, and what is bad."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import segengine as se
from tests.golden import assert_golden
from tests.ingest.samples import LONG_AGO, customers, engine, orders

GOLDEN = Path(__file__).parent / "golden"
NAN, INF = float("nan"), float("inf")
A_TIME, A_DATE, A_NUMBER, AN_AMOUNT, WHOLE, A_FLAG, A_LIST = (
    f"cannot be read as {what}"
    for what in (
        "a time",
        "a date",
        "a number",
        "an amount of money",
        "a whole number of 64 bits",
        "true or false",
        "a list of texts",
    )
)


def read(column: str, values: pa.Array) -> list[Any]:
    """The values of a column of customers as they are kept; bad ones are left out."""
    found = engine()
    source = pa.table({"customer_id": range(len(values)), column: values})
    found.load("customers", source, columns={column: column}, on_error="skip")
    return found.table("customers", [column])[column].to_pylist()


BAD: list[tuple[str, pa.Array, list[Any], str]] = [
    ("member_level", pa.array([1.0, 1.5, None, NAN]), [1, None, None], WHOLE),
    ("member_level", pa.array([1.0, 1e19]), [1], WHOLE),
    ("member_level", pa.array([1, 2**63], pa.uint64()), [1], WHOLE),
    ("member_level", pa.array([-(2**63) + 1, -(2**63)]), [-(2**63) + 1], WHOLE),
    ("member_level", pa.array(["1", " 2 ", "1.0", "1.5", "x", ""]), [1, 2, 1], WHOLE),
    ("member_level", pa.array([Decimal("1.00"), Decimal("1.01")]), [1], WHOLE),
    ("birthday", pa.array(["2000-02-29", "2001-02-29", "x"]), [date(2000, 2, 29)], A_DATE),
    (
        "birthday",
        pa.array([datetime(2000, 1, 1), datetime(2000, 1, 1, 1)]),  # noqa: DTZ001
        [date(2000, 1, 1)],
        A_DATE,
    ),
    (
        "birthday",
        pa.array(["10000-01-01", "infinity", "0044-03-15 (BC)", "0001-01-01"]),
        [date(1, 1, 1)],
        A_DATE,
    ),
    ("joined_at", pa.array(["2024-01-05 09:30:00", "soon", "2024-13-01"]), [LONG_AGO], A_TIME),
    (
        "joined_at",
        pa.array(["20000-03-15", "-infinity", "2024-01-05 17:30:00+08"]),
        [LONG_AGO],
        A_TIME,
    ),
    ("tags", pa.array(["[a, b]", "a", None, "[]"]), [["a", "b"], [], []], A_LIST),
    ("sms_consent", pa.array([0, 1, 2, None]), [False, True, None], A_FLAG),
    ("sms_consent", pa.array(["true", "no", "f", "maybe"]), [True, False, False], A_FLAG),
]


@pytest.mark.parametrize(("column", "values", "kept", "reason"), BAD)
def test_a_value_that_would_lose_something_is_bad(
    column: str, values: pa.Array, kept: list[Any], reason: str
) -> None:
    found = engine(config={"store": {"channels": ["sms"]}})
    source = pa.table({"customer_id": range(len(values)), column: values})
    report = found.load("customers", source, on_error="skip")
    assert [(p.column, p.reason) for p in report.problems] == [(column, reason)]
    assert report.rows_skipped == len(values) - len(kept)
    assert found.table("customers", [column])[column].to_pylist() == kept


def test_infinity_is_refused_and_nan_is_missing() -> None:
    found = engine()
    source = orders(1, 2, 3, 4, amount=[1.0, INF, NAN, -INF], x=["1.5", "0", "nan", "-2"])
    report = found.load("orders", source, columns={"score": "x::DOUBLE"}, on_error="skip")
    assert [(p.column, p.reason, p.rows) for p in report.problems] == [("amount", "is infinite", 2)]
    rows = found.table("orders", ["amount", "score"]).to_pylist()
    assert rows == [{"amount": 1, "score": 1.5}, {"amount": None, "score": None}]
    assert read("score", pa.array([1.0, INF, NAN])) == [1.0, None]


def test_a_text_that_spells_infinity_is_infinite() -> None:
    found = engine()
    found.load("customers", customers(0, score=[1.0]), columns={"score": "score"})
    source = customers(1, 2, 3, score=["inf", "nan", "2.5"])
    report = found.load("customers", source, on_error="skip")
    assert [(p.column, p.reason) for p in report.problems] == [("score", "is infinite")]
    assert found.table("customers", ["score"])["score"].to_pylist() == [1.0, None, 2.5]


# Identifiers


def test_an_integral_double_is_an_integer_id() -> None:
    found = engine()
    report = found.load("customers", customers(17850.0, 1.5, NAN, None, 2.0), on_error="skip")
    assert found.segment("true").ids().to_pylist() == [17850, 2]
    assert found.id_kind == "BIGINT"
    assert {(p.reason, p.rows) for p in report.problems} == {("is null", 2), (WHOLE, 1)}


def test_the_first_load_says_whether_ids_are_numbers_or_texts() -> None:
    numbers = engine()
    numbers.load("orders", orders(1, order_id=["A1"], product_id=[5]))
    report = numbers.load("customers", customers("2", "x3", "-7"), on_error="skip")
    assert [(p.column, p.reason, p.examples) for p in report.problems] == [
        ("customer_id", WHOLE, ("x3",))
    ]
    assert numbers.segment("true").ids().to_pylist() == [1, 2, -7]
    with pytest.raises(se.RefusedError, match=f"`customer_id`: {WHOLE} in 1 row, for example `x3`"):
        numbers.load("customers", customers("x3"))
    texts = engine()
    texts.load("customers", customers("a", "12"))
    texts.load("orders", orders(12, 13, amount=[1.0, 2.0]))
    texts.load("orders", orders(12.0, amount=[4.0]))
    assert texts.segment("order_count = 2").ids().to_pylist() == ["12"]
    assert texts.segment("true").ids().to_pylist() == ["a", "12", "13"]
    assert texts.id_kind == "VARCHAR"


@pytest.mark.parametrize("column", ["order_id", "line_id", "product_id", "event_id"])
@pytest.mark.parametrize("ids", [[7, 8], ["x", "y"], [7.0, 8.0]])
def test_every_identifier_is_a_number_or_a_text(column: str, ids: list[Any]) -> None:
    found = engine()
    found.load("order_lines", orders(1, 1, order_id=["o", "o"]))
    found = engine()
    found.load("order_lines", orders(1, 1, **{column: ids}))
    assert found.table("order_lines", [column])[column].to_pylist() == ids
    with pytest.raises(se.LoadError, match="is no identifier"):
        engine().load("order_lines", orders(1, **{column: [date(2024, 1, 1)]}))


def test_text_ids_are_any_text(tmp_path: Path) -> None:
    ids = ["", " ", "a", "A", "客户", "😀", "it's", "a" * 500, "1", "01", "\x1f", "é", "e\u0301"]
    found = engine()
    found.load("customers", customers(*ids))
    assert found.segment("true").ids().to_pylist() == ids
    assert all(found.segment("true").contains(i) for i in ids)
    found.append("orders", orders(*reversed(ids)))
    assert found.segment("order_count = 1").count() == len(ids)


# Money


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40))
def test_a_double_is_rounded_to_money_as_duckdb_casts_it(values: list[float]) -> None:
    found = engine()
    found.load("orders", orders(*[1] * len(values), amount=values))
    query = "SELECT CAST(v AS DECIMAL(18,4)) FROM unnest($1::DOUBLE[]) AS t(v)"
    expected = [row[0] for row in duckdb.execute(query, [values]).fetchall()]
    assert found.table("orders", ["amount"])["amount"].to_pylist() == expected


def test_halves_of_the_last_digit_are_rounded_as_duckdb_does() -> None:
    rng = Random(5)
    values = [rng.randrange(-(10**7), 10**7) / 1e5 + 5e-5 for _ in range(2000)]
    values += [0.00005, 0.00015, 1.00005, -0.00005, 123456.78905, 0.1 + 0.2]
    found = engine()
    found.load("orders", orders(*[1] * len(values), amount=values))
    query = "SELECT CAST(v AS DECIMAL(18,4)) FROM unnest($1::DOUBLE[]) AS t(v)"
    expected = [row[0] for row in duckdb.execute(query, [values]).fetchall()]
    assert found.table("orders", ["amount"])["amount"].to_pylist() == expected


def test_money_that_does_not_fit_its_scale_is_bad() -> None:
    found = engine()
    values = [Decimal("1.2345"), Decimal("1.23456"), Decimal("99999999999999.9999")]
    source = orders(1, 2, 3, amount=pa.array(values, pa.decimal128(30, 5)))
    report = found.load("orders", source, on_error="skip")
    assert [(p.reason, p.examples) for p in report.problems] == [(AN_AMOUNT, ("1.23456",))]
    report = found.load(
        "orders", orders(4, 5, 6, amount=["100000000000000", "1.5", "1.00001"]), on_error="skip"
    )
    assert (report.rows_loaded, report.problems[0].reason) == (1, AN_AMOUNT)
    report = found.load("orders", orders(7, amount=[1e14]), on_error="skip")
    assert report.rows_loaded == 0
    amounts = found.table("orders", ["amount"])["amount"].to_pylist()
    assert amounts == [values[0], values[2], Decimal("1.5")]


@pytest.mark.parametrize("scale", [0, 2, 9])
def test_money_has_the_scale_of_the_store(scale: int) -> None:
    found = engine(config={"store": {"money_scale": scale}})
    found.load("orders", orders(1, 1, amount=[1.0, 2.25]))
    step = Decimal(1).scaleb(-scale)
    expected = [Decimal(1).quantize(step), Decimal("2.25").quantize(step)]
    amounts = found.table("orders", ["amount"])["amount"]
    assert amounts.to_pylist() == expected
    assert amounts.type == pa.decimal128(18, scale)
    assert found.table("customers", ["amount_total"])["amount_total"][0].as_py() == sum(expected)


# Times


def test_a_time_without_a_zone_is_in_the_stores_timezone() -> None:
    stamps: list[Any] = [
        pa.array([datetime(2024, 1, 5, 17, 30)], pa.timestamp("ns")),  # noqa: DTZ001
        pa.array([datetime(2024, 1, 5, 17, 30)], pa.timestamp("s")),  # noqa: DTZ001
        pa.array(["2024-01-05 17:30:00"]),
        pa.array(["2024-01-05T09:30:00Z"]),
        pa.array([LONG_AGO], pa.timestamp("ms", tz="America/New_York")),
    ]
    for stamp in stamps:
        found = engine("Asia/Shanghai")
        found.load("orders", pa.table({"customer_id": [1], "time": stamp}))
        assert found.table("orders", ["time"])["time"].to_pylist() == [LONG_AGO]


def test_a_date_given_as_a_time_is_its_local_midnight() -> None:
    found = engine("Asia/Shanghai")
    found.load("orders", orders(1, time=date(2024, 1, 5)))
    expected = datetime(2024, 1, 4, 16, tzinfo=UTC)
    assert found.table("orders", ["time"])["time"].to_pylist() == [expected]


def test_a_number_is_no_time_and_the_error_says_what_reads_it() -> None:
    with pytest.raises(se.LoadError, match=r"seconds since 1970 are read by to_timestamp"):
        engine().load("orders", orders(1, time=1704447000))
    found = engine()
    source = pa.table({"customer_id": [1], "stamp": [1704447000]})
    found.load("orders", source, columns={"time": "to_timestamp(stamp)"})
    assert found.table("orders", ["time"])["time"].to_pylist() == [LONG_AGO]


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("member_level", True, "a BOOLEAN cannot be read as a whole number"),
        ("birthday", 7, "a BIGINT cannot be read as a date"),
        ("city", ["a"], r"a VARCHAR\[\] cannot be read as text"),
        ("tags", 7, "a BIGINT cannot be read as a list of texts"),
        ("note", {"a": 1}, "no column can hold a STRUCT"),
    ],
)
def test_a_type_that_cannot_be_read_is_told_before_any_row(
    column: str, value: Any, says: str
) -> None:
    with pytest.raises(se.LoadError, match=says):
        engine().load("customers", customers(1, **{column: [value]}), columns={column: column})


def test_numbers_and_texts_of_other_columns_are_kept_as_text() -> None:
    found = engine()
    found.load("customers", customers(1, city=[310000], region=[date(2024, 1, 5)]))
    rows = found.table("customers", ["city", "region"]).to_pylist()
    assert rows == [{"city": "310000", "region": "2024-01-05"}]


def test_a_label_stands_once_among_tags_and_no_tags_are_the_empty_list() -> None:
    found = engine()
    tags = [["b", "a", "b"], [], None, ["", ""], ["\x1f", "\x1b", "\x00", "x\x1bi"]]
    found.load("customers", customers(*range(5), tags=tags))
    expected = [["b", "a"], [], [], [""], tags[4]]
    assert found.table("customers", ["tags"])["tags"].to_pylist() == expected
    found.load("orders", orders(9))
    assert found.table("customers", ["tags"])["tags"].to_pylist() == [*expected, []]


def test_the_error_of_a_refused_load_reads_well() -> None:
    source = orders(
        1,
        None,
        3,
        4,
        5,
        6,
        amount=["1", "2", "x", "4", "5", "6"],
        quantity=[1.0, 2.0, 3.0, 4.5, INF, 1.0],
        order_id=["a", "b", "c", "d", "e", "a"],
    )
    with pytest.raises(se.RefusedError) as caught:
        engine().load("order_lines", source)
    assert_golden(GOLDEN / "refused.txt", str(caught.value) + "\n")
    assert caught.value.field == "amount"
    assert caught.value.report.rows_skipped == 5
