"""A table becomes a file, whole or not at all."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import ask


def test_segment_writes_every_row_as_parquet_with_exact_types(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.parquet"
    columns = ("--columns", "amount_total,tags,last_order_at")
    asked = ask("segment", "TRUE", "--limit", "1", *columns, "--out", file, "--store", shop)
    assert asked.status == 0
    assert "wrote 100 rows" in asked.err
    table = pq.read_table(file)
    assert table.column_names == ["customer_id", "amount_total", "tags", "last_order_at"]
    assert table.num_rows == 100
    assert str(table.schema.field("amount_total").type).startswith("decimal128")


def test_segment_writes_csv_with_lists_as_json(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "ALL.CSV"
    asked = ask("segment", "TRUE", "--columns", "tags,amount_total", "--out", file, "--store", shop)
    assert asked.status == 0
    with file.open(encoding="utf-8", newline="") as reading:
        rows = {row["customer_id"]: row for row in csv.DictReader(reading)}
    assert len(rows) == 100
    assert rows["25"]["tags"] == '["complained"]'
    assert rows["24"]["tags"] == "[]"
    assert rows["2"]["amount_total"] == "4.2000"


def test_audience_writes_the_targeted_with_their_variants(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "spring.parquet"
    arguments = ("audience", "spring", "--columns", "region", "--out", file, "--store", shop)
    found = ask(*arguments, "--json").json
    table = pq.read_table(file)
    assert table.column_names == ["customer_id", "variant", "region"]
    assert table.num_rows == found["count"]
    assert set(table["variant"].to_pylist()) == {"a", "b"}


@pytest.mark.parametrize("name", ["traits.csv", "traits.parquet"])
def test_traits_are_a_table_too(tmp_path: Path, name: str) -> None:
    assert ask("traits", "--out", tmp_path / name).status == 0
    assert (tmp_path / name).stat().st_size > 1_000


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "ids.csv"
    file.write_text("old", encoding="utf-8")
    assert ask("segment", "customer_id = 1", "--out", file, "--store", shop).status == 0
    assert file.read_text(encoding="utf-8").splitlines() == ['"customer_id"', "1"]
    assert list(tmp_path.iterdir()) == [file]


def test_a_failed_question_leaves_the_file_as_it_was(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "ids.csv"
    file.write_text("old", encoding="utf-8")
    assert ask("segment", "regoin = 'x'", "--out", file, "--store", shop).status == 2
    assert file.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [file]
