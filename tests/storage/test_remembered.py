"""Keys and deletions are what was written, or the log is refused; one of format 1 is brought on."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import segengine as se
from segengine.storage import log as log_module
from segengine.storage.log import FILE, FORMAT, Change, Log, check_remembered, read_deletions
from segengine.storage.remembered import Receipt, digest_of
from segengine.storage.verify import verified
from tests.storage.test_snapshot import store

KEY = "key-0001-abcdef"


def written(folder: Path) -> Path:
    """A log with two receipts and two deletions, one of them of a buyer who came back."""
    log = Log.open(folder)
    log.write([Change("append", 5, b"a", key=KEY, receipt="{}", sent="rows")])
    log.write([Change("delete", 5, b"b", deletes='"bob"'), Change("delete", 5, b"c", deletes="7")])
    log.write([Change("append", 5, b"d", key="k2", receipt="{}")])
    log.write([Change("delete", 5, b"e", deletes="7")])
    log.close()
    return folder


def run(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / FILE)
    for each in statements:
        assert connection.execute(each).rowcount == 1
    connection.commit()
    connection.close()


def flip(folder: Path, text: bytes) -> None:
    """One bit of the file, where a text stands first."""
    data = bytearray((folder / FILE).read_bytes())
    data[data.index(text) + 3] ^= 1
    (folder / FILE).write_bytes(data)


def digest(folder: Path) -> bytes:
    found = read_deletions(folder)
    assert found is not None
    return digest_of(found.secret, '"bob"').encode()


def secret(folder: Path) -> bytes:
    found = read_deletions(folder)
    assert found is not None
    return found.secret


DAMAGE: dict[str, Callable[[Path], None]] = {
    "a key": lambda folder: flip(folder, KEY.encode()),
    "a digest": lambda folder: flip(folder, digest(folder)),
    "the secret": lambda folder: flip(folder, secret(folder)),
    "a lost receipt": lambda folder: run(folder, "DELETE FROM receipts WHERE key = 'k2'"),
    "a lost deletion": lambda folder: run(folder, "DELETE FROM deletions WHERE number = 2"),
    "another number": lambda folder: run(
        folder, "UPDATE deletions SET number = 1 WHERE number = 2"
    ),
    "lost sums": lambda folder: run(folder, "DELETE FROM about WHERE name = 'sums'"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_of_receipts_and_deletions_is_named(tmp_path: Path, what: str) -> None:
    folder = written(tmp_path)
    check_remembered(folder)
    DAMAGE[what](folder)
    for each in (check_remembered, Log.open, read_deletions):
        if each is read_deletions and what in ("a key", "a lost receipt"):
            # Where these are damaged, a backup is put back: less whoever was deleted since.
            found = read_deletions(folder)
            assert found is not None
            assert sorted(found.numbers.values()) == [2, 5]
            continue
        with pytest.raises(se.StoreError, match=rf"{FILE}` is damaged .* from a backup"):
            each(folder)


def test_sums_follow_what_is_forgotten_and_who_is_deleted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path)
    monkeypatch.setattr(log_module, "KEPT_KEYS", 2)
    log = Log.open(folder)
    log.forget_until(5, erase=True)
    assert log.receipt(KEY) is None
    assert log.receipt("k2") == Receipt("{}", "")
    with pytest.raises(se.StoreError):
        log.write([Change("delete", 5, b"x", deletes="8"), Change("append", 5, b"y", key="k2")])
    assert log.write([Change("delete", 5, b"x", deletes="9")]) == 6
    log.close()
    check_remembered(folder)
    found = read_deletions(folder)
    assert found is not None
    ids = {digest_of(found.secret, each): each for each in ('"bob"', "7", "8", "9")}
    assert {ids[each]: number for each, number in found.numbers.items()} == {
        '"bob"': 2, "7": 5, "9": 6,
    }  # fmt: skip


@pytest.fixture
def format_1(tmp_path: Path) -> Path:
    """A log as version 1 of the format wrote it, with a receipt and a deletion."""
    folder = tmp_path / "older"
    folder.mkdir()
    connection = sqlite3.connect(folder / FILE, isolation_level=None)
    connection.executescript("""
        PRAGMA journal_mode = WAL;
        CREATE TABLE changes(
            number INTEGER PRIMARY KEY, kind TEXT NOT NULL, as_of INTEGER NOT NULL,
            payload BLOB NOT NULL, crc INTEGER NOT NULL);
        CREATE TABLE receipts(
            key TEXT PRIMARY KEY, number INTEGER NOT NULL, receipt TEXT NOT NULL,
            crc INTEGER NOT NULL) WITHOUT ROWID;
        CREATE INDEX receipts_by_number ON receipts(number);
        CREATE TABLE deletions(digest TEXT PRIMARY KEY) WITHOUT ROWID;
        CREATE TABLE about(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
        PRAGMA application_id = 0x5E69E061;
        PRAGMA user_version = 1;
    """)
    secret = bytes(range(32))
    connection.execute("INSERT INTO about VALUES ('secret', ?)", (secret,))
    connection.execute("INSERT INTO deletions VALUES (?)", (digest_of(secret, "7"),))
    change = (1, "append", 5, b"a", zlib.crc32(b"a", zlib.crc32(b"1 append 5 ")))
    connection.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", change)
    receipt = (KEY, 1, "{}", zlib.crc32(f"{len(KEY)} {KEY} 1 {{}}".encode()))
    connection.execute("INSERT INTO receipts VALUES (?, ?, ?, ?)", receipt)
    connection.close()
    return folder


def test_a_log_of_format_1_is_read_as_it_stands_and_brought_on_by_the_first_write(
    format_1: Path,
) -> None:
    def deleted() -> dict[str, int]:
        found = read_deletions(format_1)
        assert found is not None
        return found.numbers

    check_remembered(format_1)
    gone = digest_of(bytes(range(32)), "7")
    assert deleted() == {gone: 0}
    log = Log.open(format_1)
    assert log.receipt(KEY) == Receipt("{}", "")
    assert log.write([Change("delete", 5, b"b", deletes="7")]) == 2
    log.close()
    assert deleted() == {gone: 2}
    connection = sqlite3.connect(format_1 / FILE)
    assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    connection.close()
    flip(format_1, KEY.encode())
    with pytest.raises(se.StoreError, match="is damaged"):
        Log.open(format_1)


def test_a_damaged_log_of_format_1_is_named_and_left_as_it_is(format_1: Path) -> None:
    flip(format_1, KEY.encode())
    before = (format_1 / FILE).read_bytes()
    for each in (check_remembered, Log.open):
        with pytest.raises(se.StoreError, match="is damaged among its receipts"):
            each(format_1)
    assert (format_1 / FILE).read_bytes() == before


def test_verify_names_the_log_with_a_flipped_key(tmp_path: Path) -> None:
    folder = store(tmp_path)
    with se.Engine.open(folder) as engine:
        engine.append("customers", pa.table({"customer_id": [1]}), key=KEY)
    assert not [each.error for each in verified(folder) if each.error]
    flip(folder, KEY.encode())
    assert [each.file.name for each in verified(folder) if each.error] == [FILE]
    with (
        se.Engine.open(folder) as engine,
        pytest.raises(se.StoreError, match=f"{FILE}` is damaged"),
    ):
        engine.append("customers", pa.table({"customer_id": [1]}), key=KEY)
