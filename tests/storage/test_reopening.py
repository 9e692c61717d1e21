"""A store that is opened again answers as the one that was closed, whatever happened in between."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.storage import durable, snapshot
from segengine.storage.verify import verified
from segengine.traits import build, depends
from segengine.traits.fits_written import fits_from_json, fits_to_json
from tests.ingest.samples import AS_OF, customers, orders
from tests.storage.kept import names_of, the_state
from tests.storage.older_writer import write_older
from tests.storage.test_log import same, tables_of
from tests.storage.test_snapshot import fill, state, store
from tests.traits.histories import Shop
from tests.traits.test_incremental import Life


class KeptLife(Life):
    """A shop's days in a directory: loads, appends, deletions, midnights, snapshots beside them."""

    def __init__(self, folder: Path, seed: int, *, steps: int, rows: int = 5) -> None:
        self.folder, self.rng = folder, Random(seed)
        self.shop = Shop.drawn(self.rng, buyers=6)
        self.apart = self.rng.random() < 0.5
        self.log, self.seen, self.config = [], set(), None
        self.write_settings()
        self.engine = se.Engine.open(folder)
        kinds = (self.load, self.append, self.advance, self.delete, self.snapshot)
        for _ in range(steps):
            self.rng.choices(kinds, (2, 6, 2, 1, 2))[0](rows)

    def write_settings(self) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "store.toml").write_text(
            f'[store]\ntimezone = "{self.shop.timezone}"\nas_of = {self.shop.as_of.isoformat()}\n'
            '[tables.tickets]\ntopic = "VARCHAR"\n'
        )

    def snapshot(self, rows: int) -> None:
        del rows
        before = tables_of(self.engine)
        self.engine.snapshot()
        assert tables_of(self.engine) == before

    def a_little_later(self) -> None:
        """Some minutes on, of the same date."""
        zone = self.engine._zone
        today = zone.day_of(self.engine._current.as_of)
        left = zone.start_of_day(today + 1) - 1 - self.engine._current.as_of
        self.shop.as_of += timedelta(microseconds=min(left, self.rng.randrange(600_000_000)))
        self.engine.advance(self.shop.as_of)


def affinities(engine: se.Engine) -> dict[str, Any]:
    tables = engine._tables
    return {
        kind: [tables.affinities.of(kind, row) for row in range(tables.customers.rows)]
        for kind in ("category", "brand")
    }


def check_reopened(folder: Path, seed: int, steps: int) -> None:
    life = KeptLife(folder, seed, steps=steps)
    # What was fitted last is in a snapshot, and a tail comes after it.
    life.snapshot(0)
    for _ in range(life.rng.randrange(4)):
        life.rng.choices((life.append, life.delete), (4, 1))[0](4)
        life.a_little_later()
    life.write_settings()
    with se.Engine.open(folder, read_only=True) as found:
        for name, expected in tables_of(life.engine).items():
            assert same(found.table(name), expected), name
        assert affinities(found) == affinities(life.engine)
        assert json.dumps(found._current.fits.shown) == json.dumps(life.engine._current.fits.shown)
        # And whatever comes next is the same for both.
        more = life.shop.batch("order_lines").to_arrow()
        life.engine.append("order_lines", more, on_error="skip")
        life.engine.close()
    with se.Engine.open(folder) as found:
        for name, expected in tables_of(life.engine).items():
            assert same(found.table(name), expected), name
        for engine in (found, life.engine):
            engine.advance(life.shop.as_of + timedelta(days=3))
        for name, expected in tables_of(life.engine).items():
            assert same(found.table(name), expected), name


@pytest.mark.usefixtures("made_here")
@settings(max_examples=4)
@given(st.integers(0, 2**32))
def test_a_reopened_store_has_every_trait_of_the_one_before(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    check_reopened(tmp_path_factory.mktemp("life") / "store", seed, 8)


@pytest.mark.prove
@pytest.mark.usefixtures("made_here")
@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_300_reopened_stores_have_every_trait_of_those_before(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    check_reopened(tmp_path_factory.mktemp("life") / "store", seed, 16)


# Nothing is derived again


def test_opening_derives_nothing_again(used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("all traits were built")

    with se.Engine.open(used) as found:
        found.snapshot()
    expected = the_state(used)
    engine = se.Engine(config=se.engine.read_config(used / "store.toml"))
    monkeypatch.setattr("segengine.current.build_all", never)
    monkeypatch.setattr("segengine.traits.build.SomeBuyers", never)
    engine._live_in(used, read_only=True)
    assert state(engine) == expected
    engine.close()


FEW_DAYS = "[lifecycle]\nnew_days = 1\nactive_days = 2\nsleeping_days = 3"
CUTS = "\n".join(f"{name} = [1, 2, 3, 4]" for name in ("recency", "orders", "amount"))


@pytest.mark.parametrize("section", [FEW_DAYS, f'[rfm]\nmode = "fixed"\n{CUTS}'])
def test_traits_that_were_kept_by_other_settings_are_built_anew(used: Path, section: str) -> None:
    settings_file = used / "store.toml"
    settings_file.write_text(settings_file.read_text() + section + "\n")
    with se.Engine.open(used, read_only=True) as found:
        first = tables_of(found)
        with found.built_once():
            pass
        assert tables_of(found) == first


def test_traits_that_other_code_has_made_are_built_anew(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[object] = []
    monkeypatch.setattr(depends, "_code", lambda: "another")
    real = build.build_all
    monkeypatch.setattr(
        "segengine.current.build_all", lambda *a, **k: built.append(a) or real(*a, **k)
    )
    with se.Engine.open(used, read_only=True) as found:
        assert len(built) == 2  # of the empty store, and of what was opened
        first = tables_of(found)
        with found.built_once():
            pass
        assert tables_of(found) == first


def test_another_timezone_has_another_calendar(used: Path) -> None:
    settings_file = used / "store.toml"
    settings_file.write_text(settings_file.read_text().replace("Asia/Shanghai", "America/New_York"))
    with se.Engine.open(used, read_only=True) as found:
        first = tables_of(found)
        with found.built_once():
            pass
        assert tables_of(found) == first


def test_messages_are_judged_by_the_goals_of_today(tmp_path: Path, made_here: None) -> None:
    folder = store(tmp_path / "goals")
    sent = AS_OF - timedelta(days=2)
    with se.Engine.open(folder) as engine:
        engine.load("messages", orders(1, kind=["sent"], campaign=["spring"], time=sent))
        engine.load("reviews", orders(1, rating=[5], time=sent + timedelta(days=1)))
        assert engine.table("customers", ["responses_count"])["responses_count"].to_pylist() == [0]
    toml = (folder / "store.toml").read_text()
    goal = '[campaigns.spring]\nsegment = "true"\ngoal = "reviews"\n'
    (folder / "store.toml").write_text(f"{toml}\n{goal}")
    with se.Engine.open(folder) as found:
        first = found.table("customers", ["responses_count"])["responses_count"].to_pylist()
        found.snapshot()
    assert first == [1]
    (folder / "store.toml").write_text(f"{toml}\n{goal.replace('reviews', 'points')}")
    with se.Engine.open(folder, read_only=True) as found:
        assert found.table("customers", ["responses_count"])["responses_count"].to_pylist() == [0]


def test_a_server_that_starts_the_next_day_is_asked_about_the_day_before_at_once(
    used: Path,
) -> None:
    settings_file = used / "store.toml"
    lines = settings_file.read_text().splitlines()
    settings_file.write_text("\n".join(line for line in lines if "as_of" not in line))
    with se.Engine.open(used, as_kept=True) as found:
        assert found._zone.day_of(found._current.as_of) == found._zone.day_of(AS_OF_MICROS)
        assert found.segment("amount_total = 50").ids().to_pylist() == [5]
        found.catch_up().join()
        assert found.as_of > AS_OF + timedelta(days=300)
    with se.Engine.open(used) as found:
        assert found.as_of > AS_OF + timedelta(days=300)


AS_OF_MICROS = int(AS_OF.timestamp() * 1e6)


def test_what_was_fitted_comes_back_to_the_last_bit(used: Path) -> None:
    with se.Engine.open(used, read_only=True) as found:
        said = json.dumps(fits_to_json(found._current.fits))
        assert json.dumps(fits_to_json(fits_from_json(json.loads(said)))) == said
        assert {"RFM", "price band"} <= found._current.fits.of.keys()


# Many rows: mapped, not copied


def test_scan_codes_are_kept_and_follow_what_comes_after(tmp_path: Path) -> None:
    folder, count = store(tmp_path), 20_000
    ids = np.arange(1, count + 1)
    with se.Engine.open(folder) as engine:
        engine.load("customers", pa.table({"customer_id": ids, "member_level": ids % 7}))
        engine.load("points", pa.table({
            "customer_id": ids, "time": pa.array([AS_OF] * count), "amount": ids % 1000,
            "kind": ["earn"] * count,
        }))  # fmt: skip
        rules = ("points_balance > 500", "member_level = 3", "points_balance = 999")
        expected = [engine.segment(rule).count() for rule in rules]
        made = str(folder / "snapshots" / names_of(folder)[0])
    before = {path: path.read_bytes() for path in Path(made).iterdir()}
    with se.Engine.open(folder) as found:
        traits = found._tables.customers.traits
        assert traits["points_balance"].has_codes
        maps = Path("/proc/self/maps")
        if maps.is_file():
            assert f"{made}/customers.traits.arrow" in maps.read_text()
        assert [found.segment(rule).count() for rule in rules] == expected
        found.append("points", orders(1, 2, count + 1, amount=[5000, 6000, 7000],
                                      kind=["earn"] * 3))  # fmt: skip
        found.append("customers", customers(1, member_level=[999]))
        assert found.segment("points_balance >= 5000").ids().to_pylist() == [1, 2, count + 1]
        assert found.segment("member_level = 999").ids().to_pylist() == [1]
        for table in ("customers", "points"):
            assert found._tables.table(table).capacity >= count + 1000  # there is room
    assert {path: path.read_bytes() for path in Path(made).iterdir()} == before
    with se.Engine.open(folder) as found:
        assert found.segment("points_balance >= 5000").ids().to_pylist() == [1, 2, count + 1]


# A log that cannot be shortened


class _Full:
    """The connection of a log whose disk has no room for a deletion of rows."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def execute(self, sql: str, *values: Any) -> Any:
        if sql.startswith(("DELETE", "VACUUM")):
            raise sqlite3.OperationalError("database or disk is full")
        return self.connection.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


@contextmanager
def without_room(engine: se.Engine) -> Iterator[None]:
    log = engine._lasting.durable._opened()  # type: ignore[union-attr]
    connection, log._connection = log._connection, _Full(log._connection)  # type: ignore[assignment]
    yield
    log._connection = connection


def test_a_load_is_kept_where_the_log_cannot_be_shortened(
    used: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with se.Engine.open(used) as engine:
        before = engine.table("behaviors").num_rows
        seen = pa.table({"customer_id": [8], "time": [AS_OF], "kind": ["view"]})
        with without_room(engine):
            engine.load("behaviors", seen)
        assert "cannot shorten" in caplog.text
        assert "the next snapshot tries it again" in caplog.text
        engine.append("customers", customers(20))
        expected = state(engine)
    with se.Engine.open(used) as engine:
        assert engine.table("behaviors").num_rows == before + 1
        assert state(engine) == expected
        engine.load("customers", customers(21))
        engine.load("customers", customers(22))
        log = engine._lasting.durable._opened()  # type: ignore[union-attr]
        assert log._connection.execute("SELECT count(*) FROM changes").fetchone() == (0,)


def test_compacting_says_where_the_log_still_has_who_was_deleted(used: Path) -> None:
    with se.Engine.open(used) as engine:
        engine.append("customers", customers(20, nickname=["gone for good"]))
        engine.delete_customer(20)
        with without_room(engine), pytest.raises(se.StoreError, match="still in the log"):
            engine.compact()
        engine.append("customers", customers(21))
        engine.compact()
        expected = the_state(used)
        assert not any(
            b"gone for good" in each.read_bytes() for each in used.rglob("*") if each.is_file()
        )
    with se.Engine.open(used) as engine:
        assert state(engine) == expected


def test_a_snapshot_in_use_stays_where_its_directory_cannot_be_synced(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsynced(folder: Path) -> None:
        if folder == used:
            raise OSError(5, "Input/output error")

    with se.Engine.open(used) as engine:
        expected = state(engine)
        with monkeypatch.context() as patch:
            patch.setattr(snapshot, "sync_folder", unsynced)
            with pytest.raises(se.StoreError, match="Input/output error"):
                engine.snapshot(beside=False)
    assert the_state(used) == expected


# Another process writes meanwhile


@pytest.mark.parametrize("turns", [1, 3])
def test_a_reader_has_a_load_of_meanwhile_with_what_came_after_or_neither(
    used: Path, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    with se.Engine.open(used) as engine, monkeypatch.context() as patch:
        read, seen = durable.read_log, []

        def loaded_meanwhile(folder: Path, after: int) -> Any:
            # Between the snapshot and the log.
            seen.append(after)
            if len(seen) <= turns:
                engine.load("customers", customers(20 + len(seen)))
                engine.append("customers", customers(30 + len(seen)))
            return read(folder, after)

        patch.setattr(durable, "read_log", loaded_meanwhile)
        if turns == 3:
            with pytest.raises(se.StoreError, match=r"loaded into .* open it again"):
                se.Engine.open(used, read_only=True)
        else:
            with se.Engine.open(used, read_only=True) as found:
                assert state(found) == state(engine)
        assert len(seen) == min(turns + 1, 3)


def test_a_reader_begins_again_where_the_log_it_needs_is_forgotten_meanwhile(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with se.Engine.open(used) as engine, monkeypatch.context() as patch:
        read, seen = durable.read_log, []

        def compacted_meanwhile(folder: Path, after: int) -> Any:
            seen.append(after)
            if len(seen) == 1:
                engine.append("customers", customers(20))
                engine.compact()
            return read(folder, after)

        patch.setattr(durable, "read_log", compacted_meanwhile)
        with se.Engine.open(used, read_only=True) as found:
            assert len(seen) == 2
            # Fitted anew, which the process that compacts is not.
            assert state(found) == the_state(used)
            assert found.segment("customer_id = 20").count() == 1


# Formats of before


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("ids", [(1, 2, 3), ("a", "b", "ç")])
def test_a_snapshot_of_an_older_format_is_read_and_goes_on_as_one_of_this(
    tmp_path: Path, made_here: None, number: int, ids: tuple[Any, Any, Any]
) -> None:
    with se.Engine.open(store(tmp_path / "new")) as engine:
        with engine.built_once():
            fill(engine, ids)
        expected = state(engine)
        folder = store(tmp_path / "old")
        write_older(engine._tables, folder, 0, number=number)
    with se.Engine.open(folder) as found:
        assert state(found) == expected
        found.append("orders", orders(ids[0], amount=[70.0]))
        found.append("orders", orders(ids[1], order_id=["o2"], amount=[7.0], event_id=["e4"]))
        found.snapshot()
        expected = state(found)
    assert names_of(folder)[0] == "000701"
    assert the_state(folder) == expected
    assert all(each.error is None for each in verified(folder))


def test_a_damaged_file_of_an_older_format_is_named(made: Path, tmp_path: Path) -> None:
    with se.Engine.open(made, read_only=True) as engine:
        folder = store(tmp_path / "old")
        write_older(engine._tables, folder, 0, number=3)
    path = folder / "snapshots" / "000700" / "order_lines.arrow"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with pytest.raises(se.StoreError, match=r"order_lines\.arrow` is damaged"):
        se.Engine.open(folder)
    assert [each.file for each in verified(folder) if each.error is not None] == [path]
