"""What has been acknowledged, in order, since the snapshot?

A SQLite file with one row for each change: its number, its bytes, and a checksum over both, for
SQLite checks no page. Numbers have no gap. The last one that was acknowledged stands in a small
file of its own, so that a log which lost its end is noticed. One process writes; what it committed
is there after `kill -9`, and with sync "full" after a loss of power.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from segengine.errors import StoreError
from segengine.storage.acknowledged import Acknowledged, last_acknowledged
from segengine.storage.lasting import sync_folder, write_synced

FORMAT = 1
FILE, ACKNOWLEDGED = "log.sqlite", "log.acknowledged"
_APPLICATION = 0x5E69E061
_SYNC = {"full": "FULL", "normal": "NORMAL"}
_KEPT_KEYS = 1_000_000
_TABLES = """
CREATE TABLE IF NOT EXISTS changes(
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, as_of INTEGER NOT NULL,
    payload BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS receipts(
    key TEXT PRIMARY KEY, number INTEGER NOT NULL, receipt TEXT NOT NULL, crc INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS receipts_by_number ON receipts(number);
CREATE TABLE IF NOT EXISTS deletions(digest TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS about(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One change as it is written: what it is, the moment it was made at, its bytes.

    key, receipt: the caller's own name for it, and the answer to whoever sends it again.
    deletes: the id of a buyer whom it deletes, as text; kept as a digest, for good.
    """

    kind: str
    as_of: int
    payload: bytes
    key: str | None = None
    receipt: str = ""
    deletes: str = ""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A change that was read back, with its place in the log."""

    number: int
    kind: str
    as_of: int
    payload: bytes


class Log:
    """The open log of a store. Its owner calls it from one thread at a time.

    After a failed write it holds what it held before, and may be written to again.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection, *, sync: str) -> None:
        self._folder = folder
        self._connection = connection
        self._acknowledged = Acknowledged(folder / ACKNOWLEDGED, synced=sync == "full")
        self.last = 0
        """The number of the newest change, 0 before the first."""

    @classmethod
    def open(cls, folder: Path, *, sync: str = "full") -> Self:
        """The log in a directory, made there if there is none.

        Raises `StoreError` for one that is damaged, of a newer version, or short of its end.
        """
        path = folder / FILE
        is_new = not path.exists()
        if is_new and last_acknowledged(folder / ACKNOWLEDGED) > 0:
            raise _lost(folder, last_acknowledged(folder / ACKNOWLEDGED))
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection, path, sync=sync)
            except BaseException:
                connection.close()
                raise
            log = cls(folder, connection, sync=sync)
            log._find_end(is_new=is_new)
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error
        except OSError as error:
            raise StoreError(
                f"`{path}` cannot be opened: {error.strerror}", field="store"
            ) from error
        return log

    def _find_end(self, *, is_new: bool) -> None:
        row = self._connection.execute("SELECT max(number) FROM changes").fetchone()
        acknowledged = self._acknowledged.read(self._folder / ACKNOWLEDGED)
        self.last = max(row[0] or 0, acknowledged if row[0] is None else 0)
        if is_new:
            sync_folder(self._folder)
        if row[0] is not None and row[0] < acknowledged:
            raise _lost(self._folder, acknowledged)

    def write(self, changes: Sequence[Change]) -> int:
        """Make these changes lasting, all or none; the number of the first.

        Raises `StoreError` where that cannot be, such as on a full disk.
        """
        first = self.last + 1
        rows, receipts = [], []
        for number, change in enumerate(changes, first):
            crc = _checksum(number, change.kind, change.as_of, change.payload)
            rows.append((number, change.kind, change.as_of, change.payload, crc))
            if change.key is not None:
                crc = _receipt_checksum(change.key, number, change.receipt)
                receipts.append((change.key, number, change.receipt, crc))
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", rows)
            gone = [(digest_of(self.secret(), c.deletes),) for c in changes if c.deletes]
            if gone:
                self._connection.executemany("INSERT OR IGNORE INTO deletions VALUES (?)", gone)
            if receipts:
                self._connection.executemany("INSERT INTO receipts VALUES (?, ?, ?, ?)", receipts)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise StoreError(
                f"cannot write to `{self._folder / FILE}`: {error}; nothing was taken in",
                field="store",
            ) from error
        self.last = first + len(rows) - 1
        self._acknowledged.note(self.last)
        return first

    def receipt(self, key: str) -> str | None:
        """The receipt of a change that was written under this key; None for a new key."""
        path = self._folder / FILE
        try:
            found = self._connection.execute(
                "SELECT key, number, receipt, crc FROM receipts WHERE key = ?", (key,)
            ).fetchone()
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error
        if found is None:
            return None
        if found[3] != _receipt_checksum(*found[:3]):
            raise StoreError(f"`{path}` is damaged at the receipt of `{key}`", field="store")
        return str(found[2])

    def secret(self) -> bytes:
        """What digests of deleted ids are made with; drawn once a store, and in its backups too."""
        found = self._connection.execute("SELECT value FROM about WHERE name = 'secret'").fetchone()
        return bytes(found[0])

    def forget_until(self, number: int, *, erase: bool = False) -> None:
        """Drop the changes up to a number, which a snapshot holds by now.

        erase: leave nothing of them in the file either, byte by byte; it is written anew.
        """
        try:
            if erase:
                self._connection.execute("PRAGMA secure_delete = ON")
            self._connection.execute("DELETE FROM changes WHERE number <= ?", (number,))
            self._connection.execute(
                "DELETE FROM receipts WHERE number <= ?", (number - _KEPT_KEYS,)
            )
            if erase:
                self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise _unreadable(self._folder / FILE, error) from error

    def begin_after(self, number: int) -> None:
        """Go on from the change that a snapshot names: an empty log has no number of its own."""
        self.last = max(self.last, number)

    def close(self) -> None:
        """Let go of the files."""
        self._connection.close()
        self._acknowledged.close()


def read_log(folder: Path, after: int) -> Iterator[Numbered]:
    """The changes after a number, in order, each checked; none where there is no log.

    Another process may be writing: what it has committed by now is read. Raises `StoreError` that
    names what is damaged, missing, or of a newer version.
    """
    path = folder / FILE
    acknowledged = last_acknowledged(folder / ACKNOWLEDGED)
    if not path.exists():
        if acknowledged > after:
            raise _lost(folder, acknowledged)
        return
    expected = after + 1
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
        try:
            begun = _is_begun(connection, path)
            found = (
                connection.execute(
                    "SELECT number, kind, as_of, payload, crc FROM changes WHERE number > ? "
                    "ORDER BY number",
                    (after,),
                )
                if begun
                else ()
            )
            for number, kind, as_of, payload, crc in found:
                if number != expected:
                    raise StoreError(
                        f"`{path}` has no change {expected}, but one numbered {number}: it is "
                        "damaged; restore the store from a backup",
                        field="store",
                    )
                if crc != _checksum(number, kind, as_of, payload):
                    raise StoreError(
                        f"`{path}` is damaged at change {number}: it is not what was written; "
                        "restore the store from a backup",
                        field="store",
                    )
                expected += 1
                yield Numbered(number, kind, as_of, payload)
        finally:
            connection.close()
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error
    if expected <= acknowledged:
        raise _lost(folder, acknowledged)


def digest_of(secret: bytes, customer_id: str) -> str:
    """What stands for the id of a deleted buyer: nobody can tell the id from it."""
    return hashlib.blake2b(customer_id.encode(), key=secret, digest_size=16).hexdigest()


def log_bytes(folder: Path) -> int:
    """Bytes of a store's log on disk."""
    files = (folder / f"{FILE}{end}" for end in ("", "-wal"))
    return sum(each.stat().st_size for each in files if each.exists())


def read_deletions(folder: Path) -> tuple[bytes, frozenset[str]]:
    """The secret of a store and the digests of all buyers who were ever deleted in it."""
    path = folder / FILE
    if not path.exists():
        return b"", frozenset()
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
        try:
            if not _is_begun(connection, path):
                return b"", frozenset()
            secret = connection.execute("SELECT value FROM about WHERE name = 'secret'").fetchone()
            found = connection.execute("SELECT digest FROM deletions").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error
    return bytes(secret[0]), frozenset(digest for (digest,) in found)


def copy_log(folder: Path, target: Path) -> None:
    """The log as it is now, with the number of its last change, in another directory.

    Another process may go on writing.
    """
    path = folder / FILE
    # Before the log: it may then hold more than was acknowledged, never less.
    acknowledged = folder / ACKNOWLEDGED
    data = acknowledged.read_bytes() if acknowledged.exists() else None
    if not path.exists():
        return
    try:
        source = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
        copy = sqlite3.connect(target / FILE)
        try:
            source.backup(copy)
        finally:
            copy.close()
            source.close()
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error
    if data is not None:
        write_synced(target / ACKNOWLEDGED, data)


def _lost(folder: Path, acknowledged: int) -> StoreError:
    return StoreError(
        f"`{folder / FILE}` ends before change {acknowledged}, which was acknowledged "
        f"(`{folder / ACKNOWLEDGED}`): its end is lost; restore the store from a backup",
        field="store",
    )


def _prepare(connection: sqlite3.Connection, path: Path, *, sync: str) -> None:
    begun = _is_begun(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {_SYNC[sync]}")
    if not begun:
        # At once: a process that ends in between leaves a log that has not begun.
        connection.executescript(
            f"BEGIN; {_TABLES} INSERT INTO about VALUES ('secret', randomblob(32)); "
            f"PRAGMA application_id = {_APPLICATION}; "
            f"PRAGMA user_version = {FORMAT}; COMMIT;"
        )


def _is_begun(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a log stands in a file, and not one that was created and nothing more.

    Raises `StoreError` for a file of another kind or format.
    """
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if (owner, version, tables) == (0, 0, 0):
        return False
    if owner != _APPLICATION:
        raise StoreError(f"`{path}` is damaged, or not the log of a store", field="store")
    if version != FORMAT:
        raise StoreError(
            f"`{path}` has format {version}, and this version reads {FORMAT}; open it with the "
            "version of segengine that wrote it",
            field="store",
        )
    return True


def _unreadable(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"`{path}` cannot be read ({error}): it is damaged; restore the store from a backup",
        field="store",
    )


def _checksum(number: int, kind: str, as_of: int, payload: bytes) -> int:
    head = f"{number} {kind} {as_of} ".encode()
    return zlib.crc32(payload, zlib.crc32(head))


def _receipt_checksum(key: str, number: int, receipt: str) -> int:
    return zlib.crc32(f"{len(key)} {key} {number} {receipt}".encode())
