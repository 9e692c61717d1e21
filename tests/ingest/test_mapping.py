"""Which of our columns are filled from what: `columns`, `where`, names of ours, the rest."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import segengine as se
from segengine.schema.kinds import Kind
from tests.golden import assert_golden
from tests.ingest.samples import LONG_AGO, customers, engine, orders

GOLDEN = Path(__file__).parent / "golden"


def test_source_columns_that_bear_our_names_are_taken_and_the_rest_listed() -> None:
    found = engine()
    source = customers(1, City=["x"], id=[7], c=["y"], note=["z"], CITY_CODE=[3])
    report = found.load("customers", source)
    assert report.ignored_columns == ("id", "c", "note", "CITY_CODE")
    assert found.table("customers", ["city"])["city"].to_pylist() == ["x"]


def test_a_column_that_an_expression_mentions_is_not_ignored() -> None:
    source = customers(1, a=[1], b=[2], A2=[3], **{"with space": ["x"], 'q"t': [1], "text": [1]})
    report = engine().load(
        "customers",
        source,
        columns={"score": 'A + length("with space") + "q""t"', "note": "'text of b'"},
        where="a2 = 3",
    )
    assert report.ignored_columns == ("b", "text")


def test_a_mapping_goes_before_a_column_of_the_same_name() -> None:
    found = engine()
    found.load("customers", customers(1, city=["x"]), columns={"CITY": "upper(city)"})
    assert found.table("customers", ["city"])["city"].to_pylist() == ["X"]


def test_where_runs_on_source_columns_before_the_mapping() -> None:
    found = engine()
    source = orders(1, 2, 3, Quantity=[2, -1, None], UnitPrice=[1.5, 2.0, 3.0])
    report = found.load(
        "order_lines",
        source,
        columns={"amount": "Quantity * UnitPrice", "quantity": "-Quantity"},
        where="Quantity > 0",
    )
    assert (report.rows_read, report.rows_loaded) == (1, 1)
    assert found.table("order_lines", ["quantity", "amount"]).to_pylist() == [
        {"quantity": -2, "amount": 3}
    ]


def test_mapped_names_that_the_schema_lacks_become_columns_of_their_type() -> None:
    found = engine()
    types = {
        "n": ("7::UTINYINT", Kind.BIGINT, 7),
        "d": ("1.25::FLOAT", Kind.DOUBLE, 1.25),
        "m": ("1.5::DECIMAL(9,2)", Kind.MONEY, 1.5),
        "t": ("'x'", Kind.VARCHAR, "x"),
        "b": ("true", Kind.BOOLEAN, True),
        "l": ("['a', NULL]", Kind.TAGS, ["a", None]),
        "u": (
            "'6ba7b810-9dad-11d1-80b4-00c04fd430c8'::UUID",
            Kind.VARCHAR,
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        ),
        "nothing": ("NULL", Kind.VARCHAR, None),
    }
    found.load("customers", customers(1), columns={k: v[0] for k, v in types.items()})
    row = found.table("customers", list(types)).to_pylist()[0]
    assert row == {name: value for name, (_, _, value) in types.items()}
    kinds = {name: str(found.table("customers", [name]).schema.types[0]) for name in types}
    assert kinds == {
        "n": "int64",
        "d": "double",
        "m": "decimal128(18, 4)",
        "t": "large_string",
        "b": "bool",
        "l": "list<item: large_string>",
        "u": "large_string",
        "nothing": "large_string",
    }
    found.load("customers", customers(2))
    assert found.table("customers", ["n", "l"]).to_pylist()[1] == {"n": None, "l": None}
    assert found.segment("n = 7").count() == 1


def test_a_column_once_added_is_taken_by_name_and_keeps_its_kind() -> None:
    found = engine()
    found.load("customers", customers(1, score=[1]), columns={"score": "score"})
    report = found.load("customers", customers(2, 3, score=["7", "x"]), on_error="skip")
    assert report.ignored_columns == ()
    assert report.problems[0].reason == "cannot be read as a whole number of 64 bits"
    assert found.table("customers", ["score"])["score"].to_pylist() == [1, 7]


def test_a_refused_load_adds_no_column() -> None:
    found = engine()
    with pytest.raises(se.RefusedError):
        found.load("customers", customers(1, None), columns={"score": "1"})
    assert "score" not in found.table("customers").column_names


def test_a_trait_cannot_be_loaded() -> None:
    with pytest.raises(se.LoadError, match="`order_count` is a trait, and computed"):
        engine().load("customers", customers(1), columns={"order_count": "3"})
    source = customers(1, order_count=[3])
    assert engine().load("customers", source).ignored_columns == ("order_count",)


@pytest.mark.parametrize("mapped", ["two words", "x-y", "1st", "naïve", ""])
def test_a_new_column_has_a_plain_name(mapped: str) -> None:
    with pytest.raises(se.LoadError, match="cannot be a column's name"):
        engine().load("customers", customers(1), columns={mapped: "1"})


def test_all_mistakes_of_a_mapping_are_told_at_once() -> None:
    source = pa.table({"CustomerID": [1], "InvoiceDate": [LONG_AGO], "UnitPrice": [1.0]})
    with pytest.raises(se.LoadError) as caught:
        engine().load(
            "orders",
            source,
            columns={
                "time": "InvoiceDat",
                "amount": "UnitPrice *",
                "paid_at": "1.5",
                "is_purchase": "[1]",
                "net value": "1",
                "payment": "nosuch(1)",
            },
            where="Quantity > 0",
        )
    assert_golden(GOLDEN / "mapping.txt", str(caught.value) + "\n")


def test_a_required_column_that_is_missing_is_named_with_what_there_is() -> None:
    with pytest.raises(se.LoadError) as caught:
        engine().load("customers", pa.table({"customerid": [1], "city": ["x"]}))
    assert str(caught.value) == (
        "the data given has no column `customer_id`, which `customers` needs; give one this name, "
        'or `load` it with columns={"customer_id": "..."}; did you mean `customerid`? the source '
        "has `customerid`, `city`"
    )
    assert caught.value.field == "customer_id"
    for table, needs in (("products", "product_id"), ("orders", "time"), ("points", "time")):
        with pytest.raises(se.LoadError, match=f"no column `{needs}`"):
            engine().load(table, customers(1))


@pytest.mark.parametrize(
    ("table", "says"),
    [("order", "did you mean `orders`"), ("purchases", "unknown table"), ("x", "known: customers")],
)
def test_an_unknown_table_is_named_with_the_nearest(table: str, says: str) -> None:
    with pytest.raises(se.UnknownNameError, match=says):
        engine().load(table, customers(1))


def test_on_error_is_refuse_or_skip() -> None:
    with pytest.raises(se.LoadError, match='on_error is "refuse" or "skip", not `ignore`'):
        engine().load("customers", customers(1), on_error="ignore")


def test_a_further_table_takes_its_columns_and_more() -> None:
    found = engine(config={"tables": {"tickets": {"topic": "VARCHAR", "minutes": "BIGINT"}}})
    source = orders(1, 1, topic=["late", None], minutes=[3.0, float("nan")], extra=[1, 2])
    found.load("tickets", source, columns={"extra": "extra"})
    rows = found.table("tickets", ["customer_id", "topic", "minutes", "extra"]).to_pylist()
    assert [tuple(r.values()) for r in rows] == [(1, "late", 3, 1), (1, None, None, 2)]
