"""Where rows may come from: files, globs, queries, frames; and what is out of reach."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segengine as se
from segengine.ingest.sources import said
from tests.ingest.samples import customers, engine

ROWS = [
    {"customer_id": 1, "city": "Hangzhou", "joined_at": "2024-01-05 09:30:00", "score": 1.5},
    {"customer_id": 2, "city": None, "joined_at": None, "score": None},
    {"customer_id": 3, "city": 'a,"b"\nc', "joined_at": "2024-02-29 00:00:00", "score": -2.0},
]
COLUMNS = {"score": "score"}
CSV = (
    "customer_id,city,joined_at,score\n1,Hangzhou,2024-01-05 09:30:00,1.5\n2,,,\n"
    '3,"a,""b""\nc",2024-02-29 00:00:00,-2.0\n'
)


def loaded(found: se.Engine) -> list[dict[str, Any]]:
    rows = found.table("customers", ["customer_id", "city", "joined_at", "score"]).to_pylist()
    for row in rows:
        stamp = row["joined_at"]
        row["joined_at"] = stamp and stamp.replace(tzinfo=None).isoformat(sep=" ")
    return rows


def write(folder: Path, name: str) -> Path:
    path = folder / name
    table = pa.Table.from_pylist(ROWS)
    if ".csv" in name.lower() or ".txt" in name:
        data = CSV.encode()
    elif ".tsv" in name:
        data = b"customer_id\tcity\n1\tHangzhou\n"
    elif ".jsonl" in name or ".ndjson" in name:
        data = "\n".join(json.dumps(row) for row in ROWS).encode()
    elif ".json" in name:
        data = json.dumps(ROWS).encode()
    else:
        pq.write_table(table, path)
        return path
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "a.csv",
        "a.CSV",
        "a.csv.gz",
        "a.txt",
        "a.parquet",
        "a.pq",
        "a.json",
        "a.jsonl",
        "a.ndjson",
        "a.json.gz",
    ],
)
def test_a_file_is_read_by_its_ending(tmp_path: Path, name: str) -> None:
    found = engine()
    report = found.load("customers", write(tmp_path, name), columns=COLUMNS)
    assert (report.rows_read, report.rows_loaded, report.rows_skipped) == (3, 3, 0)
    assert loaded(found) == ROWS


def test_a_tsv_is_read_with_its_tabs(tmp_path: Path) -> None:
    found = engine()
    found.load("customers", str(write(tmp_path, "a.tsv")))
    assert found.table("customers", ["city"])["city"].to_pylist() == ["Hangzhou"]


def test_a_glob_takes_its_files_in_order_and_joins_columns_by_name(tmp_path: Path) -> None:
    for number, name in ((3, "city"), (1, "region"), (2, "city")):
        pq.write_table(customers(number, **{name: ["x"]}), tmp_path / f"part-{number}.parquet")
    found = engine()
    assert found.load("customers", str(tmp_path / "part-*.parquet")).rows_loaded == 3
    rows = found.table("customers", ["customer_id", "region", "city"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [(1, "x", None), (2, None, "x"), (3, None, "x")]


def test_a_glob_over_folders_is_read_too(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = tmp_path / f"day={number}"
        folder.mkdir()
        (folder / "a.csv").write_text(f"customer_id\n{number}\n")
    found = engine()
    assert found.load("customers", str(tmp_path / "**" / "*.csv")).rows_loaded == 2


def test_a_glob_of_two_formats_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.csv")
    write(tmp_path, "a.json")
    with pytest.raises(se.LoadError, match="different formats"):
        engine().load("customers", str(tmp_path / "a.*"))


def test_a_query_reads_the_files_that_it_names(tmp_path: Path) -> None:
    write(tmp_path, "a.parquet")
    write(tmp_path, "b.csv")
    found = engine()
    query = f"""
        -- a query may say what it likes about the files it names
        SELECT customer_id, city FROM '{tmp_path}/a.parquet' WHERE customer_id > 1
        UNION ALL SELECT 9, 'z' FROM read_csv('{tmp_path}/b.csv') LIMIT 3;
    """
    report = found.load("customers", query=query)
    assert (report.rows_read, report.rows_loaded) == (3, 3)
    assert set(found.segment("city = 'z'").ids().to_pylist()) == {9}


def test_a_query_needs_no_file() -> None:
    found = engine()
    report = found.load(
        "customers",
        query="SELECT range AS cid FROM range(5)",
        columns={"customer_id": "cid + 1"},
        where="cid <> 2",
    )
    assert report.rows_loaded == 4
    assert found.segment("customer_id >= 1").count() == 4


def arrow() -> pa.Table:
    return customers(5, 6, city=["x", None], tags=[["a", "b"], None])


def frames() -> list[Any]:
    table = arrow()
    nothing = pa.dictionary(pa.int8(), pa.string())
    return [
        table,
        table.to_batches()[0],
        pa.RecordBatchReader.from_batches(table.schema, table.to_batches()),
        table.set_column(1, "city", table["city"].cast(nothing)),
        table.set_column(1, "city", table["city"].cast(pa.large_string())),
        pa.concat_tables([table.slice(0, 1), table.slice(1)]),
    ]


@pytest.mark.parametrize("frame", frames(), ids=lambda frame: type(frame).__name__)
def test_arrow_data_is_taken_as_it_is(frame: Any) -> None:
    found = engine()
    assert found.load("customers", frame).rows_loaded == 2
    expected = [(5, "x", ["a", "b"]), (6, None, [])]
    rows = found.table("customers", ["customer_id", "city", "tags"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == expected


def test_a_polars_frame_is_taken() -> None:
    polars = pytest.importorskip("polars")
    found = engine()
    frame = polars.DataFrame({"customer_id": [5, 6], "city": ["x", None], "tags": [["a"], []]})
    assert found.load("customers", frame).rows_loaded == 2
    assert found.table("customers", ["tags"])["tags"].to_pylist() == [["a"], []]


def test_a_pandas_frame_is_taken_with_its_gaps() -> None:
    pandas = pytest.importorskip("pandas")
    found = engine()
    frame = pandas.DataFrame(
        {
            "customer_id": [5.0, 6.0],
            "city": ["x", None],
            "joined_at": pandas.to_datetime(["2024-01-05", None]),
            "member_level": [3.0, float("nan")],
        }
    )
    assert found.load("customers", frame).rows_loaded == 2
    rows = found.table("customers", ["customer_id", "city", "member_level"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [(5, "x", 3), (6, None, None)]
    assert found.table("customers", ["joined_at"])["joined_at"].null_count == 1


def test_a_duckdb_relation_is_taken() -> None:
    found = engine()
    relation = duckdb.sql("SELECT 5 AS customer_id, ['a'] AS tags, DATE '2000-02-29' AS birthday")
    assert found.load("customers", relation).rows_loaded == 1
    assert found.segment("list_contains(tags, 'a') AND month(birthday) = 2").count() == 1


@pytest.mark.parametrize("source", [[{"customer_id": 1}], 7, object()])
def test_what_speaks_no_arrow_is_refused_with_what_does(source: Any) -> None:
    with pytest.raises(se.LoadError, match="data that speaks Arrow"):
        engine().load("customers", source)


def test_a_source_with_one_name_twice_is_refused() -> None:
    twice = pa.table([pa.array([1]), pa.array(["x"]), pa.array(["y"])], ["customer_id", "a", "A"])
    with pytest.raises(se.LoadError, match="two columns of the same name"):
        engine().load("customers", twice)


@pytest.mark.parametrize("source", [pa.table({}), pa.table({}).to_reader()])
def test_a_source_without_columns_is_refused(source: Any) -> None:
    with pytest.raises(se.LoadError, match="the source has no columns"):
        engine().load("customers", source)
    with pytest.raises(se.LoadError, match="the source has no columns"):
        engine().append("behaviors", pa.table({}))


def test_a_source_or_a_query_is_given_not_both_nor_neither() -> None:
    for arguments in ({}, {"source": customers(1), "query": "SELECT 1"}):
        with pytest.raises(se.LoadError, match=r"either a source .* or `query`"):
            engine().load("customers", **arguments)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("missing.csv", "there is no file `missing.csv`; looked in"),
        ("missing-*.csv", "no file matches `missing-\\*.csv`"),
        ("folder", "is a folder; name its files, such as `folder/\\*.parquet`"),
        ("a.xlsx", "cannot tell the format from the name; known endings: .parquet"),
        ("a.zip", "cannot tell the format"),
        ("empty.csv", "empty.csv"),
        ("torn.parquet", "torn.parquet"),
        ("torn.csv.gz", "torn.csv.gz"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("a.xlsx", "a.zip", "torn.parquet", "torn.csv.gz"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 not what it says")
    (tmp_path / "empty.csv").touch()
    found = engine()
    with pytest.raises(se.LoadError, match=says):
        found.load("customers", path)
    assert found.data_version == 0


def test_a_bad_value_in_a_later_row_of_a_file_is_no_crash(tmp_path: Path) -> None:
    lines = ["customer_id,member_level", *(f"{i},{i % 7}" for i in range(30_000)), "30000,high"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    found = engine()
    report = found.load("customers", tmp_path / "a.csv", on_error="skip")
    assert (report.rows_loaded, report.rows_skipped) == (30_000, 1)
    assert report.problems[0].examples == ("high",)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS customer_id; SELECT 2 AS customer_id",
        "SELECT 1 AS customer_id; DROP TABLE source",
        "COPY (SELECT 1) TO '{out}'",
        "ATTACH '{out}' AS other",
        "CREATE TABLE t AS SELECT 1 AS customer_id",
        "PRAGMA version",
        "SET threads = 1",
        "INSTALL httpfs",
        "EXPLAIN SELECT 1",
        "",
        "SELECT",
        "SELECT * FROM json_execute_serialized_sql('{{}}')",
    ],
)
def test_a_query_is_one_select_and_nothing_else(tmp_path: Path, query: str) -> None:
    out = tmp_path / "out"
    found = engine()
    with pytest.raises(se.LoadError, match=r"`query`"):
        found.load("customers", query=query.format(out=out))
    assert not out.exists()
    assert found.data_version == 0


SECRET = "customer_id,secret\n1,hidden\n"
REACHING = (
    "(SELECT secret FROM '{other}')",
    "(SELECT secret FROM read_csv('{other}'))",
    "(SELECT content FROM read_text('{other}'))",
    "(SELECT any_value(file) FROM glob('{folder}/*'))",
    "(SELECT count(*) FROM read_csv('{folder}/*.csv'))",
    "getenv('HOME')",
)


@pytest.mark.parametrize("expression", REACHING)
def test_expressions_reach_no_other_file(tmp_path: Path, expression: str) -> None:
    (tmp_path / "own.csv").write_text("customer_id,city\n1,x\n")
    (tmp_path / "other.csv").write_text(SECRET)
    text = expression.format(other=tmp_path / "other.csv", folder=tmp_path)
    found = engine()
    for arguments in ({"columns": {"city": text}}, {"where": f"{text} IS NOT NULL"}):
        for source in (tmp_path / "own.csv", customers(1)):
            with pytest.raises(se.LoadError) as caught:
                found.load("customers", source, **arguments)
            assert "hidden" not in str(caught.value)
    assert found.data_version == 0


def test_expressions_see_no_variable_of_this_program() -> None:
    secret = customers(1, city=["hidden"])
    with pytest.raises(se.LoadError):
        engine().load("customers", query="SELECT * FROM secret")
    with pytest.raises(se.LoadError):
        engine().load("customers", customers(1), columns={"city": "(SELECT city FROM secret)"})
    del secret


@pytest.mark.parametrize(
    "text",
    [
        "1) AS c FROM source; COPY (SELECT 1) TO '{out}'; SELECT (1",
        "1), (SELECT 2",
        "1 -- ",
        "1 /*",
        "x'",
        "",
        ") FROM source WHERE (true",
    ],
)
def test_an_expression_cannot_become_a_statement(tmp_path: Path, text: str) -> None:
    out = tmp_path / "out"
    found = engine()
    for arguments in (
        {"columns": {"score": text.format(out=out)}},
        {"where": text.format(out=out)},
    ):
        try:
            found.load("customers", customers(1), **arguments)
        except se.LoadError:
            continue
    assert not out.exists()
    assert found.segment("true").count() <= 1


def test_a_relative_path_is_relative_to_the_store(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text("[load.customers]\nsource = 'a.csv'\n")
    (tmp_path / "a.csv").write_text("customer_id\n7\n")
    with se.Engine.open(tmp_path) as found:
        assert [report.rows_loaded for report in found.load_configured()] == [1]
        assert found.load("customers", "a.csv").rows_loaded == 1
        query = "SELECT customer_id + 1 AS customer_id FROM 'a.csv'"
        assert found.load("customers", query=query).rows_loaded == 1
        assert found.segment("true").ids().to_pylist() == [7, 8]


def test_progress_is_told_as_rows_are_read(tmp_path: Path) -> None:
    pq.write_table(customers(*range(10)), tmp_path / "a.parquet")
    told: list[tuple[int, int | None]] = []
    engine().load(
        "customers", tmp_path / "a.parquet", progress=lambda rows, of: told.append((rows, of))
    )
    assert told == [(10, 10)]


def test_an_interrupt_that_duckdb_wraps_is_an_interrupt() -> None:
    wrapped = duckdb.InvalidInputException(
        "Invalid Input Error: counting the rows of the object registered as 'source' failed: "
        "KeyboardInterrupt: "
    )
    with pytest.raises(KeyboardInterrupt):
        said(wrapped)
    assert said(duckdb.BinderException("Binder Error: no such column")) == (
        "Binder Error: no such column"
    )
