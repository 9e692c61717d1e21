"""A real shop's year through the command line, against figures made by plain SQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import ask

PROJECT = Path(__file__).parents[2]
EXAMPLE = PROJECT / "examples" / "online-retail"
DATA = PROJECT.parent / "shared" / "data" / "online_retail" / "online_retail.parquet"

pytestmark = pytest.mark.skipif(
    not DATA.is_file(), reason="../shared/data/online_retail/online_retail.parquet is not here"
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("online-retail")
    settings = (EXAMPLE / "store.toml").read_text(encoding="utf-8")
    written = settings.replace('"online_retail.parquet"', f'"{DATA}"')
    assert written != settings
    (folder / "store.toml").write_text(written, encoding="utf-8")
    found = ask("load", "--store", folder, "--json").json
    assert found["loads"][0]["rows_loaded"] == 397_884
    return folder


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        ("TRUE", 4_338),
        ("recency_days <= 30", 1_628),
        ("in_last_days(last_order_at, 30)", 1_571),
        ("order_count >= 2", 2_845),
        ("order_count >= 6", 872),
    ],
)
def test_counts_are_the_published_ones(store: Path, rule: str, count: int) -> None:
    assert ask("count", rule, "--store", store, "--json").json["count"] == count


@pytest.mark.parametrize(
    ("customer_id", "facts"),
    [
        (12347, (3, 7, "4310.0000")),
        (14646, (2, 73, "280206.0200")),
        (17850, (373, 34, "5391.2100")),
    ],
)
def test_buyers_are_the_published_ones(
    store: Path, customer_id: int, facts: tuple[int, int, str]
) -> None:
    columns = ("recency_days", "order_count", "amount_total")
    rule = f"customer_id = {customer_id}"
    asked = ask("segment", rule, "--columns", ",".join(columns), "--store", store, "--json")
    assert tuple(asked.json["rows"][0][name] for name in columns) == facts


def test_the_examples_definitions_are_sound_and_none_is_empty(store: Path) -> None:
    assert ask("check", "--store", store).status == 0
    for name in (
        *("best_customers", "wholesalers", "first_time_buyers", "slipping_away"),
        "lapsed_big_spenders",
    ):
        assert ask("count", f"segment('{name}')", "--store", store, "--json").json["count"] > 20
    found = ask("audience", "win_back", "--store", store, "--json").json
    limit, holdout = found["ledger"][-2:]
    assert limit["remaining"] == 300
    assert 0 < holdout["dropped"] < 60


def test_the_demo_reads_the_file_and_writes_nothing() -> None:
    before = sorted(EXAMPLE.iterdir())
    asked = ask("demo", "--store", EXAMPLE, "--source", DATA, "--json")
    assert asked.status == 0, asked.err
    assert asked.json["customers"] == 4_338
    assert asked.json["purchases"] == 18_532
    assert len(asked.json["segments"]) == 5
    assert len(asked.json["page"]["placements"]) == 3
    assert sorted(EXAMPLE.iterdir()) == before
