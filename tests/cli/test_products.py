"""Products on the command line: those a rule holds for, and why one is among them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import ask

STORE = """
[store]
timezone = "Asia/Shanghai"
as_of = 2025-06-30T20:00:00+08:00

[load.products]
source = "products.csv"
"""


@pytest.fixture
def range_(tmp_path: Path) -> Path:
    (tmp_path / "store.toml").write_text(STORE)
    rows = ["product_id,category,price,cost,stock"]
    rows += [f"{n},tea,{n}0.50,{n}.00,{n % 3}" for n in range(1, 31)]
    (tmp_path / "products.csv").write_text("\n".join(rows))
    assert ask("load", "--store", tmp_path).status == 0
    return tmp_path


def test_products_shows_some_and_says_how_many_are_left(range_: Path) -> None:
    asked = ask("products", "stock > 0", "--columns", "price,margin", "--store", range_)
    assert asked.status == 0
    assert "20 products, as of 2025-06-30 20:00 Asia/Shanghai" in asked.out
    assert "10.50" in asked.out
    asked = ask("products", "stock > 0", "--limit", "3", "--store", range_)
    assert "20 products, 17 of them not shown" in asked.out
    assert len(asked.out.splitlines()) == 2 + 3 + 1
    assert "1 product," in ask("products", "product_id = 7", "--store", range_).out


def test_products_as_json_and_as_a_file(range_: Path) -> None:
    file = range_ / "some.parquet"
    asked = ask(
        "products", "price_level = 'high'", "--columns", "price", "--limit", "1", "--out", file,
        "--json", "--store", range_,
    )  # fmt: skip
    assert asked.json["count"] == 10
    assert asked.json["rows"] == [{"product_id": 21, "price": "210.5000"}]
    assert asked.json["as_of"] == "2025-06-30T12:00:00Z"
    assert pq.read_table(file).num_rows == 10


def test_products_says_why_for_one(range_: Path) -> None:
    asked = ask("products", "stock > 0 AND price < 50", "--explain", "3", "--store", range_)
    assert asked.status == 0
    assert asked.out.splitlines() == [
        "no  all of", "no    stock > 0   (stock is 0)", "yes   price < 50   (price is 30.5)",
        "nearest: stock > 0 (stock is 0)",
    ]  # fmt: skip
    found = ask(
        "products", "stock > 0 AND price < 50", "--explain", "4", "--json", "--store", range_
    ).json
    assert (found["product_id"], found["holds"], found["nearest"]) == (4, True, [])
    assert [part["holds"] for part in found["reason"]["parts"]] == [True, True]
    missing = ask("products", "stock > 0", "--explain", "99", "--store", range_)
    assert missing.status != 0
    assert "there is no product `99`" in missing.err
    both = ask("products", "stock > 0", "--explain", "3", "--columns", "price", "--store", range_)
    assert both.status == 2
    assert "`--explain` is about one product" in both.err


def test_a_rule_over_products_with_a_mistake_says_so(range_: Path) -> None:
    asked = ask("products", "stok > 0", "--store", range_)
    assert asked.status != 0
    assert "did you mean `stock`" in asked.err
