"""What analysts are given: plain logical types, fixed at the call, up to as_of."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segengine as se
from segengine.traits.catalogue import CATALOGUE
from tests.golden import assert_golden
from tests.ingest.samples import AS_OF, customers, engine, orders
from tests.tables.test_orders import rows

GOLDEN = Path(__file__).parent / "golden"
TABLES = (
    "customers",
    "products",
    "orders",
    "order_lines",
    "behaviors",
    "reviews",
    "messages",
    "impressions",
    "points",
    "tickets",
    "purchases",
)


def shop() -> se.Engine:
    found = engine(
        config={
            "store": {"channels": ["sms"]},
            "tables": {"tickets": {"topic": "VARCHAR", "day": "DATE"}},
        }
    )
    found.load(
        "customers",
        customers(
            1,
            2,
            birthday=[date(2000, 2, 29), None],
            tags=[["a", "b"], None],
            sms_consent=[True, None],
            score=[1.5, None],
        ),
        columns={"score": "score"},
    )
    found.load(
        "orders", orders(1, 2, order_id=["a", "b"], amount=[1.0, None], promotion=["x", None])
    )
    found.load("order_lines", orders(1, order_id=["a"], amount=[2.0], quantity=[3]))
    return found


def test_columns_have_the_plain_types_of_duckdb() -> None:
    connection = shop().connect()
    lines = []
    for table in TABLES:
        lines.append(table)
        for name, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall():
            lines.append(f"  {name} {kind}")
    assert_golden(GOLDEN / "columns.txt", "\n".join(lines) + "\n")


def test_table_and_connect_say_the_same() -> None:
    found = shop()
    connection = found.connect()
    for name in TABLES:
        ours = found.table(name)
        theirs = connection.sql(f"SELECT * FROM {name}").to_arrow_table()
        assert ours.to_pylist() == theirs.cast(ours.schema).to_pylist()


def test_customers_bring_every_given_column_and_every_trait() -> None:
    names = shop().table("customers").column_names
    assert names[0] == "customer_id"
    assert set(names) >= {trait.name for trait in CATALOGUE} | {"sms_consent", "has_sms", "score"}
    assert len(set(names)) == len(names)


def test_what_was_handed_out_does_not_change() -> None:
    found = shop()
    tables = {name: found.table(name) for name in TABLES}
    before = {name: table.to_pylist() for name, table in tables.items()}
    connection = found.connect()
    counts = {
        name: connection.execute(f"SELECT count(*) FROM {name}").fetchall() for name in TABLES
    }
    found.append("orders", orders(1, 5, 6, order_id=["a", "c", "d"], amount=[9.0, 9.0, 9.0]))
    found.append("customers", customers(1, 2, tags=[["z"], ["z"]], score=[0.0, 0.0]))
    found.load("customers", customers(*range(1000), city=["x"] * 1000))
    found.load("order_lines", orders(*[1] * 5000, order_id=["a"] * 5000, amount=[1.0] * 5000))
    found.advance(AS_OF + timedelta(days=40))
    found.delete_customer(1)
    assert {name: table.to_pylist() for name, table in tables.items()} == before
    for name in TABLES:
        table = connection.sql(f"SELECT * FROM {name}").to_arrow_table()
        assert [(table.num_rows,)] == counts[name]
        assert table.cast(tables[name].schema).to_pylist() == before[name]


def test_columns_are_those_asked_for_in_that_order_once() -> None:
    found = shop()
    assert found.table(
        "customers", ["score", "order_count", "customer_id", "score"]
    ).column_names == [
        "score",
        "order_count",
        "customer_id",
    ]
    assert found.table("purchases", ["customer_id"]).to_pylist() == [
        {"customer_id": 1},
        {"customer_id": 2},
    ]
    assert found.table("orders", []).num_columns == 0


def test_an_unknown_table_or_column_is_named_with_the_nearest() -> None:
    found = shop()
    with pytest.raises(se.UnknownNameError, match="unknown table `ordes`; did you mean `orders`"):
        found.table("ordes")
    with pytest.raises(
        se.UnknownNameError,
        match="`customers` has no column `order_cout`; did you mean `order_count`",
    ):
        found.table("customers", ["order_cout"])
    with pytest.raises(se.UnknownNameError, match="unknown table `x`; known: customers, products"):
        found.connect(["x"])


def test_a_connection_has_the_tables_asked_for_and_the_stores_timezone() -> None:
    found = engine("Asia/Shanghai")
    found.load("orders", orders(1))
    connection = found.connect(["orders"])
    assert connection.execute(
        "SELECT table_name FROM duckdb_tables() UNION SELECT view_name "
        "FROM duckdb_views() WHERE NOT internal"
    ).fetchall() == [("orders",)]
    assert connection.execute("SELECT strftime(time, '%H:%M') FROM orders").fetchone() == ("17:30",)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM '{folder}/secret.parquet'",
        "SELECT * FROM read_text('{folder}/secret.parquet')",
        "COPY orders TO '{folder}/out.csv'",
        "ATTACH '{folder}/other.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SELECT * FROM hidden",
    ],
)
def test_a_connection_reads_and_writes_no_file(tmp_path: Path, sql: str) -> None:
    pq.write_table(customers(1), tmp_path / "secret.parquet")
    hidden = customers(1)
    with pytest.raises(duckdb.Error):
        shop().connect().execute(sql.format(folder=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["secret.parquet"]
    del hidden


def test_arrow_buffers_are_copies_of_their_own() -> None:
    found = shop()
    for name in TABLES:
        one, two = (
            {
                buffer.address
                for column in found.table(name).columns
                for chunk in column.chunks
                for buffer in chunk.buffers()
                if buffer is not None and buffer.size
            }
            for _ in range(2)
        )
        del two
        kept = found._tables.customers.columns["customer_id"].values.ctypes.data
        assert kept not in one


def test_memory_lists_every_byte_by_table_and_column() -> None:
    found = shop()
    memory = found.memory()
    assert memory.column_names == [
        "table",
        "column",
        "values_bytes",
        "scan_codes_bytes",
        "dictionary_bytes",
        "total_bytes",
    ]
    listed = memory.to_pylist()
    assert all(
        row["total_bytes"]
        == row["values_bytes"] + row["scan_codes_bytes"] + row["dictionary_bytes"]
        for row in listed
    )
    totals = [row["total_bytes"] for row in listed]
    assert totals == sorted(totals, reverse=True)
    names = {(row["table"], row["column"]) for row in listed}
    assert {("customers", "score"), ("orders", "amount"), ("order_lines", "(internal)")} <= names
    assert ("products", "stock") not in names  # nothing was ever written to it
    before = sum(totals)
    found.load("customers", customers(*range(100_000), city=[f"city {i}" for i in range(100_000)]))
    grown = sum(row["total_bytes"] for row in found.memory().to_pylist())
    assert 100_000 * 20 < grown - before < 100_000 * 2000
    found.segment("amount_total > 5 AND score < 2").count()
    coded = {row["column"]: row["scan_codes_bytes"] for row in found.memory().to_pylist()}
    assert coded["amount_total"] >= 100_000


def test_tags_are_never_null_in_any_table_and_other_lists_are_what_was_given() -> None:
    found = engine()
    lists = {"tags": [["b", "a", "b"], None], "labels": [["b", "a", "b"], None]}
    taken = {"tags": "tags", "labels": "labels"}
    found.load("orders", orders(1, 2, **lists), columns=taken)
    found.load("orders", orders(3))
    expected = [(["b", "a"], ["b", "a", "b"]), ([], None), ([], None)]
    assert rows(found, "orders", "tags", "labels") == expected
    found.load("products", pa.table({"product_id": [1, 2], **lists}), columns=taken)
    found.load("products", pa.table({"product_id": [3]}))
    assert rows(found, "products", "tags", "labels") == expected
