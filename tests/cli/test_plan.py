"""A plan on the command line says what the engine says, side by side."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segengine as se
from tests.cli.conftest import ask

CONFIG = """
[store]
as_of = 2024-03-01T12:00:00Z
[[caps]]
limit = 1
days = 7
[campaigns.spring]
segment = "spent <= 30"
priority = 2
variants = { a = 0.5, b = 0.5 }
[campaigns.news]
segment = "TRUE"
ends_at = 2024-01-01T00:00:00Z
value = "spent"
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "store.toml").write_text(CONFIG, encoding="utf-8")
    with se.Engine.open(tmp_path) as engine:
        table = pa.table({"customer_id": list(range(1, 9)), "spent": [10 * n for n in range(1, 9)]})
        engine.load("customers", table, columns={"spent": "spent"})
    return tmp_path


def test_ledgers_stand_side_by_side_and_losses_below(shop: Path) -> None:
    found = ask("plan", "news", "spring", "--store", shop)
    assert found.status == 0, found.err
    lines = found.out.splitlines()
    assert lines[0].split() == ["remaining", "spring", "news"]
    assert ["arbitration", "3", "-3", "5"] in [line.split() for line in lines]
    assert "news: 3 buyers lost; caps used up by spring: 3" in found.out
    assert "8 messages in all, by priority" in found.out
    assert "`news` is outside its window now" in found.out


def test_a_plan_as_json_has_what_programs_ask(shop: Path) -> None:
    found = ask("plan", "news", "spring", "--by", "value", "--store", shop, "--json").json
    assert (found["by"], found["order"]) == ("value", ["spring", "news"])
    assert {name: c["count"] for name, c in found["campaigns"].items()} == {"spring": 0, "news": 8}
    spring = found["campaigns"]["spring"]
    assert spring["variants"] == {"a": 0, "b": 0}
    assert [row["step"] for row in spring["ledger"]][7] == "arbitration"
    assert (spring["active"], found["campaigns"]["news"]["active"]) == (True, False)


def test_a_plan_is_written_as_a_table(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan.parquet"
    assert ask("plan", "news", "spring", "--store", shop, "--out", out).status == 0
    table = pq.read_table(out)
    assert table.num_rows == 20
    assert table.column_names[0] == "campaign"


def test_names_that_cannot_be_planned_are_bad_input(shop: Path) -> None:
    found = ask("plan", "spring", "spring", "nwes", "--store", shop)
    assert found.status == 2
    assert "`spring` is named twice" in found.err
    assert "did you mean `news`" in found.err
