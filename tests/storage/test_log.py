"""What was acknowledged is there again, once; damage is named; a second writer is refused."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segengine as se
from segengine.errors import SegengineError
from segengine.ingest.report import LoadReport
from segengine.storage import log as log_module
from segengine.storage.log import ACKNOWLEDGED, FILE, FORMAT, Change, Log, read_log
from segengine.storage.remembered import Receipt
from segengine.storage.verify import verified
from tests.storage.test_snapshot import TABLES, store
from tests.traits.histories import Shop


def changes(*payloads: bytes) -> list[Change]:
    return [Change("append", 5, payload) for payload in payloads]


def payloads(folder: Path, after: int = 0) -> list[bytes]:
    return [each.payload for each in read_log(folder, after)]


def same(found: pa.Table, expected: pa.Table) -> bool:
    """Equal, but for answers: a question is there from the first time that one who stays was asked.

    Those that only a deleted buyer was asked are gone, and the others may stand in another order.
    """
    gone = [name for name in expected.column_names if name not in found.column_names]
    assert all(expected[name].null_count == len(expected) for name in gone)
    expected = expected.drop_columns(gone)
    assert sorted(found.column_names) == sorted(expected.column_names)
    return bool(found.select(expected.column_names).equals(expected))


def tables_of(engine: se.Engine) -> dict[str, pa.Table]:
    return {name: engine.table(name) for name in TABLES}


# The log by itself


def test_changes_are_read_in_the_order_written_and_numbered_without_a_gap(tmp_path: Path) -> None:
    log = Log.open(tmp_path)
    assert log.write(changes(b"a", b"b")) == 1
    assert log.write(changes(b"c")) == 3
    assert [each.number for each in read_log(tmp_path, 0)] == [1, 2, 3]
    assert payloads(tmp_path, after=1) == [b"b", b"c"]
    log.close()
    again = Log.open(tmp_path)
    assert again.last == 3
    assert again.write(changes(b"d")) == 4
    again.close()


def test_a_reader_sees_what_is_committed_while_another_writes(tmp_path: Path) -> None:
    log = Log.open(tmp_path)
    log.write(changes(b"a"))
    reading = read_log(tmp_path, 0)
    assert next(reading).payload == b"a"
    log.write(changes(b"b"))
    assert list(reading) == []
    assert payloads(tmp_path) == [b"a", b"b"]
    log.close()


def test_a_receipt_is_found_by_its_key(tmp_path: Path) -> None:
    log = Log.open(tmp_path)
    log.write([Change("append", 5, b"a", key="k1", receipt="one", sent="rows")])
    assert log.receipt("k1") == Receipt("one", "rows")
    assert log.receipt("k2") is None
    with pytest.raises(se.StoreError, match="nothing was taken in"):
        log.write([Change("append", 5, b"b", key="k2"), Change("append", 5, b"c", key="k1")])
    assert log.receipt("k2") is None
    assert payloads(tmp_path) == [b"a"]
    log.close()


def test_forgotten_changes_leave_no_byte_when_erased(tmp_path: Path) -> None:
    log = Log.open(tmp_path)
    log.write(changes(*[b"private-%d" % i for i in range(500)], b"kept"))
    log.forget_until(500, erase=True)
    log.close()
    assert payloads(tmp_path, after=500) == [b"kept"]
    assert all(b"private" not in each.read_bytes() for each in tmp_path.iterdir())


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Somebody is in the midst of reading the log."""
    connection = sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)
    cursor = connection.execute("SELECT payload FROM changes")
    cursor.fetchone()
    try:
        yield
    finally:
        cursor.close()
        connection.close()


def test_compact_says_so_where_a_reader_keeps_deleted_bytes_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_WAIT_SECONDS", 0.05)
    folder = store(tmp_path)

    def holding() -> list[str]:
        files = [each for each in folder.rglob("*") if each.is_file()]
        return [each.name for each in files if b"gone@mail" in each.read_bytes()]

    with se.Engine.open(folder) as engine:
        for name, city in (("a", "x"), ("b", "gone@mail")):
            engine.append("customers", pa.table({"customer_id": [name], "city": [city]}))
        engine.delete_customer("b")
        wait = r"another process reads the log; what was deleted is .*: compact again when"
        with reading(folder), pytest.raises(se.StoreError, match=wait):
            engine.compact()
        assert engine.segment("true").ids().to_pylist() == ["a"]
        engine.compact()
        assert holding() == []
        # What needs nothing erased goes on beside readers.
        engine.append("customers", pa.table({"customer_id": ["c"]}))
        with reading(folder):
            engine.snapshot(beside=False)


def test_a_full_disk_refuses_the_change_and_takes_the_next(tmp_path: Path) -> None:
    log = Log.open(tmp_path)
    log.write(changes(b"a"))
    pages = log._connection.execute("PRAGMA page_count").fetchone()[0]
    log._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(se.StoreError, match="full; nothing was taken in"):
        log.write(changes(b"x" * 1_000_000))
    log._connection.execute("PRAGMA max_page_count = 1000000")
    assert log.write(changes(b"b")) == 2
    assert payloads(tmp_path) == [b"a", b"b"]
    log.close()


def test_whatever_ends_a_write_the_next_one_can_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_: Any) -> Any:
        raise OverflowError("no error of SQLite's")

    log = Log.open(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(log_module, "write_sums", ended)
        with pytest.raises(OverflowError):
            log.write([Change("append", 5, b"a", key="k", receipt="one")])
        with pytest.raises(OverflowError):
            log.forget_until(0)
    assert log.write([Change("append", 5, b"b", key="k", receipt="two")]) == 1
    assert payloads(tmp_path) == [b"b"]
    assert log.receipt("k") == Receipt("two", "")
    log.close()


def test_a_change_that_is_too_large_is_refused_by_its_size(tmp_path: Path) -> None:
    log = Log.open(tmp_path)
    log._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100_000)
    with pytest.raises(se.StoreError, match=r"a change of 200,000 bytes is .* 99,000 bytes: noth"):
        log.write(changes(b"a", b"x" * 200_000))
    assert log.write(changes(b"x" * 99_000)) == 1
    log.close()


def written(folder: Path) -> tuple[Path, list[bytes]]:
    rng = Random(3)
    expected = [rng.randbytes(rng.choice((10, 300, 9000))) for _ in range(12)]
    log = Log.open(folder)
    for payload in expected:
        log.write(changes(payload))
    log.close()
    return folder, expected


@pytest.mark.parametrize("name", [FILE, ACKNOWLEDGED])
def test_a_flipped_bit_is_named_or_changes_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "good").mkdir()
    folder, expected = written(tmp_path / "good")
    data, rng, named = (folder / name).read_bytes(), Random(11), 0
    places = rng.choices(range(len(data)), k=120) + list(range(0, 120, 5))
    for place in places:
        copy = Path(shutil.copytree(folder, tmp_path / "flipped"))
        changed = bytearray(data)
        changed[place % len(data)] ^= 1 << rng.randrange(8)
        (copy / name).write_bytes(changed)
        found: list[bytes] | se.StoreError
        try:
            found = payloads(copy)
        except se.StoreError as error:
            found = error
        if isinstance(found, se.StoreError):
            named += 1
            assert str(copy / name) in str(found)
        else:
            assert found == expected
        shutil.rmtree(copy)
    # The side file has two slots: one that is damaged leaves the other.
    assert named > 20 if name == FILE else named == 0


def test_a_side_file_that_says_nothing_any_more_is_named(tmp_path: Path) -> None:
    folder, _ = written(tmp_path)
    path = folder / ACKNOWLEDGED
    path.write_bytes(b"\xff" * len(path.read_bytes()))
    with pytest.raises(se.StoreError, match=r"log.acknowledged` is damaged"):
        payloads(folder)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_log_that_lost_its_end_is_named(tmp_path: Path, kept: float) -> None:
    folder, _ = written(tmp_path)
    data = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(se.StoreError, match="restore the store from a backup"):
        payloads(folder)


@pytest.mark.parametrize("is_cut", [True, False])
@pytest.mark.parametrize("is_noted", [True, False])
def test_a_log_that_is_gone_or_empty_is_refused_where_there_was_one(
    tmp_path: Path, is_cut: bool, is_noted: bool
) -> None:
    folder = store(tmp_path)
    with se.Engine.open(folder) as engine:
        engine.append("customers", pa.table({"customer_id": [1]}), key="k")
        engine.delete_customer(1)
        engine.snapshot(beside=False)
    if is_cut:
        (folder / FILE).write_bytes(b"")
    else:
        (folder / FILE).unlink()
    if not is_noted:
        (folder / ACKNOWLEDGED).unlink()
    lost = r"log.sqlite` is empty or not there, and the store has changes up to 2: it is lost"
    with pytest.raises(se.StoreError, match=lost):
        se.Engine.open(folder)
    with pytest.raises(se.StoreError, match=lost):
        Log.open(folder, held=2)
    assert [each.file.name for each in verified(folder) if each.error] == [FILE]


def test_a_log_whose_process_ended_before_it_began_is_begun(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"")
    (tmp_path / ACKNOWLEDGED).write_bytes(b"")
    assert payloads(tmp_path) == []
    log = Log.open(tmp_path)
    assert log.write(changes(b"a")) == 1
    log.close()


def test_a_change_that_is_gone_from_the_middle_is_named(tmp_path: Path) -> None:
    folder, _ = written(tmp_path)
    with sqlite3.connect(folder / FILE) as connection:
        connection.execute("DELETE FROM changes WHERE number = 5")
    connection.close()
    with pytest.raises(se.StoreError, match="has no change 5"):
        payloads(folder)


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    folder, _ = written(tmp_path)
    with sqlite3.connect(folder / FILE) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()
    for opened in (payloads, Log.open):
        with pytest.raises(se.StoreError, match=f"has format {FORMAT + 1}, and this version reads"):
            opened(folder)


# A store with its log


@settings(max_examples=6)
@given(st.integers(0, 2**32))
def test_any_batches_and_deletions_are_there_after_the_process_is_gone(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    rng = Random(seed)
    shop = Shop.drawn(rng)
    folder = store(tmp_path_factory.mktemp("any"), as_of=shop.as_of.isoformat())
    engine = se.Engine.open(folder)
    for table in rng.choices(
        ["customers", "products", "orders", "order_lines", "behaviors", "messages"], k=8
    ):
        data = shop.batch(table).to_arrow()
        if rng.random() < 0.2:
            engine.load(table, data)
        elif rng.random() < 0.2 and (ids := engine.segment("true").ids().to_pylist()):
            engine.delete_customer(rng.choice(ids))
        else:
            engine.append(table, data, on_error="skip")
    # Nothing is closed: what another process finds is what was made lasting.
    with se.Engine.open(folder) as again:
        for each in (engine, again):
            with each.built_once():
                pass
        for name, expected in tables_of(engine).items():
            assert same(again.table(name), expected), name
    engine.close()


def test_a_second_writer_is_refused_and_a_stale_one_too(tmp_path: Path) -> None:
    folder = store(tmp_path)
    one, other = se.Engine.open(folder), se.Engine.open(folder)
    one.append("customers", pa.table({"customer_id": [1]}))
    with pytest.raises(se.StoreError, match="is in use by another process"):
        other.append("customers", pa.table({"customer_id": [2]}))
    assert other.segment("true").count() == 0
    one.close()
    with pytest.raises(se.StoreError, match=r"another process has written .* open it again"):
        other.append("customers", pa.table({"customer_id": [2]}))
    with se.Engine.open(folder) as third:
        third.append("customers", pa.table({"customer_id": [2]}))
        assert third.segment("true").ids().to_pylist() == [1, 2]


def test_a_refused_write_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise se.StoreError("cannot write: disk full", field="store")

    with se.Engine.open(store(tmp_path)) as engine:
        engine.append("customers", pa.table({"customer_id": [1]}))
        before, version = tables_of(engine), engine.data_version
        with monkeypatch.context() as patch:
            patch.setattr(Log, "write", full)
            with pytest.raises(SegengineError, match="disk full"):
                engine.append("customers", pa.table({"customer_id": [2]}))
            with pytest.raises(SegengineError, match="disk full"):
                engine.delete_customer(1)
        assert tables_of(engine) == before
        assert engine.data_version == version
        engine.append("customers", pa.table({"customer_id": [3]}))
        assert engine.segment("true").ids().to_pylist() == [1, 3]


NURSERY = r"""
import os, sys, pyarrow as pa, segengine as se

def say(what):
    # In one piece: two processes write here, and one of them is killed at any moment.
    os.write(1, f"{what}\n".encode())

def append(engine, number):
    engine.append("behaviors", pa.table({
        "customer_id": [number % 7, number % 5], "time": [engine.as_of] * 2,
        "kind": ["visit", "view"], "event_id": [f"{number}a", f"{number}b"]}))

def live():
    engine = se.Engine.open(sys.argv[1])
    first = 1 + len(engine.table("behaviors"))
    say("open")
    for number in range(first, first + 10_000):
        append(engine, number)
        say(number)

append(se.Engine(), 1)
while sys.stdin.readline():
    child = os.fork()
    if not child:
        live()
        os._exit(0)
    say(child)
    os.waitpid(child, 0)
    say("gone")
"""
"""Forks a writer a line: what takes long is to import, and to load kernels; that is done once."""


@contextmanager
def nursery(folder: Path) -> Iterator[subprocess.Popen[str]]:
    found = subprocess.Popen(
        [sys.executable, "-c", NURSERY, str(folder)], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with found:
        yield found
        assert found.stdin is not None
        found.stdin.close()


def killed_once(writers: subprocess.Popen[str], rng: Random) -> int:
    """Append until killed; the last number that was acknowledged."""
    assert writers.stdin is not None
    assert writers.stdout is not None
    writers.stdin.write("next\n")
    writers.stdin.flush()
    said = [writers.stdout.readline(), writers.stdout.readline()]
    said.remove("open\n")
    acknowledged = 0
    if rng.random() < 0.8:
        # However slow the machine is just now, something has been acknowledged.
        acknowledged = int(writers.stdout.readline())
    time.sleep(rng.random() * 0.2)
    os.kill(int(said[0]), signal.SIGKILL)
    while (line := writers.stdout.readline()) != "gone\n":
        acknowledged = int(line)
    return acknowledged


def check_after_kills(folder: Path, kills: int, seed: int) -> None:
    rng, acknowledged = Random(seed), 0
    with nursery(folder) as writers:
        for _ in range(kills):
            acknowledged = max(acknowledged, killed_once(writers, rng))
            check_killed(folder, acknowledged)
    assert acknowledged > kills


def check_killed(folder: Path, acknowledged: int) -> None:
    with se.Engine.open(folder) as engine:
        ids = engine.table("behaviors", ["event_id"])["event_id"].to_pylist()
        traits = engine.table("customers")
        with engine.built_once():
            pass
        assert engine.table("customers") == traits
    assert len(set(ids)) == len(ids)
    numbers = {int(each[:-1]) for each in ids}
    assert len(ids) == 2 * len(numbers)  # no half batch
    assert max(numbers, default=0) >= acknowledged


def test_what_was_acknowledged_before_a_kill_is_there_once(tmp_path: Path) -> None:
    check_after_kills(store(tmp_path), 6, 5)


@pytest.mark.prove
def test_200_kills_lose_nothing(tmp_path: Path) -> None:
    check_after_kills(store(tmp_path), 200, 6)


@pytest.mark.parametrize("durable", [True, False])
def test_the_same_key_again_takes_nothing_in_and_gives_the_first_report(
    tmp_path: Path, durable: bool
) -> None:
    folder = store(tmp_path)
    data = pa.table(
        {"customer_id": [1, 2, 3], "time": ["2024-02-01", "2024-02-02", "no time"],
         "kind": ["view"] * 3, "event_id": ["a", "a", "b"]}
    )  # fmt: skip
    engine = se.Engine.open(folder) if durable else se.Engine(as_of=se.Engine.open(folder).as_of)
    first = engine.append("behaviors", data, on_error="skip", key="k1")
    assert (first.rows_loaded, first.rows_skipped, first.rows_repeated) == (1, 1, 1)
    assert (first.offset is not None) is durable
    # What is kept in a file says what was bad, and has no examples: they may name a buyer.
    again = LoadReport.from_receipt(first.to_receipt()) if durable else first
    assert [(p.column, p.reason, p.rows) for p in again.problems] == [
        (p.column, p.reason, p.rows) for p in first.problems
    ]
    assert engine.append("behaviors", data, on_error="skip", key="k1") == again
    if durable:
        assert not any(p.examples for p in again.problems)
        engine.close()
        engine = se.Engine.open(folder)
        assert engine.append("behaviors", data, on_error="skip", key="k1") == again
    assert engine.table("behaviors").num_rows == 1
    other = engine.append("behaviors", data.drop(["event_id"]), on_error="skip", key="k2")
    assert other.rows_loaded == 2
    assert engine.table("behaviors").num_rows == 3
    engine.close()
