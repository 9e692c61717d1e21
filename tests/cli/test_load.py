"""Files get in through the shell: from where one stands, with a report of every row."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

import segengine.cli.load_progress as load_progress
from tests.cli.conftest import ask

BAD = "customer_id,order_id,time,amount\n5,50,2026-01-01,3\n6,51,never,4\n7,52,2026-01-02,much\n"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    assert ask("init", "--store", folder).status == 0
    return folder


def test_a_source_is_looked_for_where_the_shell_stands(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in (1, 2):
        (tmp_path / f"part-{part}.csv").write_text(f"id,town\n{part},x\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    arguments = ("--column", "customer_id=id", "--column", "city = upper(town)")
    asked = ask("load", "customers", "part-*.csv", *arguments, "--store", "store", "--json")
    assert asked.status == 0, asked.err
    assert asked.json["loads"][0]["rows_loaded"] == 2
    assert ask("count", "city = 'X'", "--store", "store", "--json").json["count"] == 2


def test_where_takes_some_rows(store: Path, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("customer_id\n1\n2\n3\n", encoding="utf-8")
    where = ("--where", "customer_id > 1")
    found = ask("load", "customers", tmp_path / "c.csv", *where, "--store", store, "--json").json
    assert (found["loads"][0]["rows_read"], found["loads"][0]["rows_loaded"]) == (2, 2)


def test_bad_rows_are_refused_and_nothing_is_loaded(store: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(BAD, encoding="utf-8")
    asked = ask("load", "orders", tmp_path / "bad.csv", "--store", store)
    assert asked.status == 2
    assert "cannot be read as a time in 1 row, for example `never`" in asked.err
    assert "--on-error skip" in asked.err
    assert ask("count", "TRUE", "--store", store, "--json").json["count"] == 0


def test_for_a_configured_source_the_remedy_stands_in_store_toml(tmp_path: Path) -> None:
    (tmp_path / "store.toml").write_text('[load.orders]\nsource = "bad.csv"\n', encoding="utf-8")
    (tmp_path / "bad.csv").write_text(BAD, encoding="utf-8")
    asked = ask("load", "--store", tmp_path)
    assert asked.status == 2
    assert '`on_error = "skip"` under `[load.orders]`' in asked.err


def test_bad_rows_are_left_out_and_told_when_asked(store: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(BAD, encoding="utf-8")
    arguments = ("load", "orders", tmp_path / "bad.csv", "--on-error", "skip", "--store", store)
    asked = ask(*arguments)
    assert asked.status == 0
    assert "cannot be read as an amount of money in 1 row, for example `much`" in asked.out
    report = ask(*arguments, "--json").json["loads"][0]
    assert (report["rows_read"], report["rows_loaded"], report["rows_skipped"]) == (3, 1, 2)
    assert {p["column"]: p["examples"] for p in report["problems"]} == {
        "time": ["never"],
        "amount": ["much"],
    }


def test_columns_that_nothing_took_are_named(shop: Path) -> None:
    found = ask("load", "orders", shop / "orders-0.csv", "--store", shop, "--json")
    assert found.json["loads"][0]["ignored_columns"] == ["note"]
    assert found.err == "", "a row with a known order_id replaces it"


def test_a_second_load_of_the_same_events_is_pointed_out(store: Path, tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("customer_id,time,kind\n1,2025-01-01,view\n", encoding="utf-8")
    arguments = ("load", "behaviors", tmp_path / "b.csv", "--store", store)
    assert ask(*arguments).err == ""
    assert "`behaviors` had 1 rows and has 2" in ask(*arguments).err.replace("1 row ", "1 rows ")


def test_without_arguments_everything_in_store_toml_is_loaded(shop: Path, tmp_path: Path) -> None:
    settings = (shop / "store.toml").read_text(encoding="utf-8")
    settings = settings.replace('source = "', f'source = "{shop}/')
    (tmp_path / "store.toml").write_text(settings, encoding="utf-8")
    found = ask("load", "--store", tmp_path, "--json").json
    assert [(r["table"], r["rows_loaded"]) for r in found["loads"]] == [
        ("customers", 100),
        ("orders", 150),
    ]
    one = ask("load", "customers", "--store", tmp_path, "--json").json
    assert [r["table"] for r in one["loads"]] == ["customers"]


def test_a_bar_shows_only_once_a_load_has_lasted(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        load_progress,
        "console",
        lambda **_: Console(file=screen, force_terminal=True, width=100, color_system=None),
    )
    monkeypatch.setattr(load_progress, "PATIENCE_SECONDS", 0.2)
    with load_progress.loading("orders") as told:
        assert told.rows is not None
        told.rows(10, 100)
    assert screen.getvalue() == ""
    with load_progress.loading("orders") as told:
        assert told.rows is not None
        assert told.building is not None
        told.rows(10, 100)
        time.sleep(0.6)
        told.rows(60, 100)
        time.sleep(0.3)
        told.building("life cycle", 3, 20)
        time.sleep(0.3)
    assert "loading orders" in screen.getvalue()
    assert "60 rows" in screen.getvalue()
    assert "building traits: life cycle" in screen.getvalue()
    assert "3 steps" in screen.getvalue()
    assert not [t for t in threading.enumerate() if isinstance(t, threading.Timer)]
