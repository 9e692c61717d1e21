"""A store that is opened again answers as the one that was closed, whatever happened in between."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
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
from segengine import snapshot_maker, snapshots
from segengine.schema.store_config import read_config
from segengine.storage import durable, snapshot
from segengine.storage.verify import verified
from segengine.traits import build, depends
from segengine.traits.fits_written import fits_from_json, fits_to_json
from tests.ingest.samples import AS_OF, customers, orders
from tests.storage.older_writer import write_older
from tests.storage.test_log import same, tables_of
from tests.storage.test_snapshot import fill, state, store
from tests.traits.histories import Shop
from tests.traits.test_incremental import Life


class HereMaker:
    """Makes the snapshot in this process: the same code, without a second's start."""

    def __init__(self, store: Path, target: Path, asked: snapshot_maker.Asked) -> None:
        self.store, self.target = store, target
        self.asked: snapshot_maker.Asked = pickle.loads(pickle.dumps(asked))

    def wait(self, progress: Any = None) -> int:
        return snapshot_maker.make(
            self.store, self.target, self.asked, progress or (lambda *_: None), lambda _: None
        )

    def stop(self) -> None:
        pass


@pytest.fixture
def made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "Maker", HereMaker)


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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two snapshots and a tail, which nobody changes: tests copy it."""
    folder = store(tmp_path_factory.mktemp("made") / "store")
    with pytest.MonkeyPatch.context() as patch, se.Engine.open(folder) as engine:
        patch.setattr(snapshots, "Maker", HereMaker)
        with engine.built_once():
            fill(engine, (1, 2, 3))
        engine.append("orders", orders(4, amount=[40.0]))
        assert engine.snapshot() == 1
        engine.append("orders", orders(5, amount=[50.0]))
    return folder


@pytest.fixture
def used(made: Path, tmp_path: Path, made_here: None) -> Path:
    return Path(shutil.copytree(made, tmp_path / "used"))


def names_of(folder: Path) -> list[str]:
    return [each.name for each in snapshot.kept_snapshots(folder)]


def emptied(path: Path) -> None:
    """Another file in its place: one that is mapped is not to be cut short."""
    path.unlink()
    path.write_bytes(b"")


def the_state(folder: Path) -> dict[str, Any]:
    with se.Engine.open(folder, read_only=True) as found:
        return state(found)


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


# Several snapshots


def test_snapshots_are_kept_with_the_log_that_the_oldest_needs(used: Path, made_here: None) -> None:
    with se.Engine.open(used) as engine:
        for amount in (60.0, 70.0):
            engine.append("orders", orders(6, amount=[amount]))
            engine.snapshot()
        assert len(names_of(used)) == 2
        assert names_of(used) == sorted(
            (p.name for p in (used / "snapshots").iterdir() if p.is_dir()), reverse=True
        )
        expected = state(engine)
    shutil.rmtree(used / "snapshots" / names_of(used)[0])
    assert the_state(used) == expected


def test_a_damaged_snapshot_is_named_and_the_one_before_opened(
    used: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected, newest = the_state(used), names_of(used)[0]
    rng = Random(3)
    for path in sorted((used / "snapshots" / newest).iterdir()):
        data = path.read_bytes()
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert the_state(used) == expected
        assert f"`{path}` is damaged" in caplog.text
        if path.name in {"manifest.json", "orders.arrow"}:
            path.write_bytes(data[: len(data) // 2])
            assert the_state(used) == expected
            path.unlink()
            assert the_state(used) == expected
        path.write_bytes(data)
    with se.Engine.open(used) as engine:
        emptied(used / "snapshots" / newest / "orders.arrow")
        engine.append("orders", orders(9, amount=[90.0]))
    with se.Engine.open(used) as engine:
        assert engine.segment("amount_total = 90").ids().to_pylist() == [9]
        engine.snapshot()
        assert engine.segment("amount_total >= 40").ids().to_pylist() == [4, 5, 9]


def test_where_every_snapshot_is_damaged_the_newest_is_named(used: Path) -> None:
    for name in names_of(used):
        emptied(used / "snapshots" / name / "orders.arrow")
    with pytest.raises(se.StoreError, match=rf"{names_of(used)[0]}/orders.arrow` is damaged"):
        se.Engine.open(used)
    errors = [each.error for each in verified(used) if each.error is not None]
    assert len(errors) == 2


def test_a_damaged_list_of_snapshots_costs_nothing_while_the_newest_is_sound(used: Path) -> None:
    expected = the_state(used)
    path = used / "snapshots" / "KEPT"
    data = path.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x11
        path.write_bytes(changed)
        assert names_of(used) == [names_of(used)[0]]
        assert [each.error for each in verified(used) if each.file == path] != [None], place
    assert the_state(used) == expected


def test_an_older_snapshot_does_not_stand_in_for_one_with_a_load(used: Path) -> None:
    with se.Engine.open(used) as engine:
        engine.load("customers", customers(77))
    assert len(names_of(used)) == 1


def test_a_snapshot_that_was_stopped_leaves_the_one_before(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> int:
        raise se.StoreError("cannot write a snapshot: stopped", field="store")

    before = names_of(used)
    with se.Engine.open(used) as engine, monkeypatch.context() as patch:
        patch.setattr(HereMaker, "wait", stopped)
        with pytest.raises(se.StoreError, match="stopped"):
            engine.snapshot()
        assert names_of(used) == before
        assert engine.snapshot_written is None
        engine.append("orders", orders(8, amount=[80.0]))
    assert the_state(used)


def test_a_process_of_its_own_writes_it_and_ends_with_a_complaint_where_it_cannot(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "Maker", snapshot_maker.Maker)
    with se.Engine.open(used) as engine:
        told: list[tuple[int, int]] = []
        assert engine.snapshot(lambda *said: told.append(said)) == 2
        assert told
        assert told[-1][0] > 100
        expected = state(engine)
        (newest, before) = names_of(used)
        for name in (newest, before):
            emptied(used / "snapshots" / name / "orders.arrow")
        with pytest.raises(
            se.StoreError, match=rf"cannot write a snapshot .*{newest}/orders.arrow"
        ):
            engine.snapshot()
        assert sorted(p.name for p in (used / "snapshots").iterdir() if p.is_dir()) == [
            before, newest,
        ]  # fmt: skip
        assert state(engine) == expected


def test_settings_edited_for_the_next_start_are_in_no_snapshot_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "Maker", snapshot_maker.Maker)
    folder = store(tmp_path / "edited")
    ids = np.arange(60)
    bought = pa.table({
        "customer_id": ids, "time": [AS_OF] * 60, "amount": (ids * 7 % 50 + 1).astype(float),
    })  # fmt: skip
    edited = (folder / "store.toml").read_text() + (
        '[rfm]\nmode = "fixed"\nrecency = [10, 20, 30, 40]\norders = [2, 4, 6, 8]\n'
        "amount = [5, 10, 20, 30]\n"
    )
    with se.Engine.open(folder) as engine:
        engine.load("customers", pa.table({"customer_id": ids}))
        engine.load("orders", bought)
        engine.append("customers", pa.table({"customer_id": [60]}))
        (folder / "store.toml").write_text(edited)
        engine.snapshot()
        # What is half written there stops no snapshot either.
        (folder / "store.toml").write_text("[store")
        engine.append("customers", pa.table({"customer_id": [61]}))
        assert engine.snapshot() == 2
    (folder / "store.toml").write_text(edited)
    fresh = se.Engine(config=read_config(folder / "store.toml"))
    fresh.load("customers", pa.table({"customer_id": np.arange(62)}))
    fresh.load("orders", bought)
    with se.Engine.open(folder) as found:
        names = ["r_score", "f_score", "m_score"]
        scores = fresh.table("customers").select(names)
        assert found.table("customers").select(names) == scores
        assert set(scores["m_score"].to_pylist()) == {1, 2, 3, 4, 5, None}


def test_what_another_program_would_derive_the_owner_writes_itself(
    used: Path, made_here: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with se.Engine.open(used) as engine:
        engine.append("orders", orders(8, amount=[80.0]))
        expected = state(engine)
        with monkeypatch.context() as patch:
            # The program on disk is another by now.
            patch.setattr(snapshot_maker, "fingerprint", lambda _: "another")
            assert engine.snapshot() == 3
        assert "is another on disk than the one that runs" in caplog.text
        assert engine._lasting.durable.tail_bytes == 0  # type: ignore[union-attr]
    derived = json.loads((used / "snapshots" / names_of(used)[0] / "manifest.json").read_text())
    assert derived["derived"]["depends"] == depends.fingerprint(engine._current.settings)
    with se.Engine.open(used) as found:
        assert state(found) == expected


def test_a_process_says_that_it_is_another_program_by_its_status(
    used: Path, tmp_path: Path
) -> None:
    with se.Engine.open(used) as engine:
        asked = engine._lasting._asked()
        other = replace(asked, depends="another")
        (tmp_path / "target").mkdir()
        with pytest.raises(snapshot_maker.OtherProgramError, match="start it again"):
            snapshot_maker.Maker(used, tmp_path / "target", other).wait()
        assert not (tmp_path / "target").exists()


def test_a_snapshot_is_due_by_the_bytes_after_the_last_or_its_age(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_file = used / "store.toml"
    settings_file.write_text(
        settings_file.read_text() + "[storage]\nsnapshot_log_mb = 1\nsnapshot_minutes = 30\n"
    )
    with se.Engine.open(used) as engine:
        assert engine.snapshot_due() is None
        engine._lasting.durable.tail_bytes += 1 << 20  # type: ignore[union-attr]
        assert engine.snapshot_due() == "1 MB of changes since the last"
        engine._lasting.durable.tail_bytes -= 1 << 20  # type: ignore[union-attr]
        later = engine._lasting.snapshots._began + 31 * 60  # type: ignore[union-attr]
        monkeypatch.setattr("segengine.snapshots.time.perf_counter", lambda: later)
        assert engine.snapshot_due() == "31 minutes since the last"
        engine.snapshot()
        assert engine._lasting.durable.tail_bytes == 0  # type: ignore[union-attr]
        assert engine.snapshot_due() is None
    assert se.Engine().snapshot() is None


def test_a_manifest_that_was_rewritten_for_another_format_is_refused_by_name(used: Path) -> None:
    newest = names_of(used)[0]
    path = used / "snapshots" / newest / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    said = f"{newest} {zlib.crc32(path.read_bytes()):08x}"
    (used / "CURRENT").write_text(said + "\n")
    with pytest.raises(se.StoreError, match="has format 99, and this version reads up to 4"):
        se.Engine.open(used)


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
