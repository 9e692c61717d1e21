"""What has been acknowledged, in order, since the snapshot?

A SQLite file with one row for each change: its number, its bytes, and a checksum over both, for
SQLite checks no page; what it knows for good stands beside them. Numbers have no gap. The last one
that was acknowledged stands in a small file of its own, so that a log which lost its end is
noticed. One process writes; what it committed is there after `kill -9`, and with sync "full" after
a loss of power.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from segengine.errors import StoreError
from segengine.storage.acknowledged import Acknowledged, last_acknowledged
from segengine.storage.lasting import sync_folder, write_synced
from segengine.storage.remembered import (
    KEPT_KEYS,
    Deletions,
    Receipt,
    Sums,
    begin,
    bring_from_format_1,
    check_format_1,
    checked_sums,
    deletions,
    digest_of,
    find_receipt,
    forget_receipts,
    write_deletion,
    write_receipts,
    write_sums,
)

FORMAT = 2
"""2: keys know what they were used for; receipts and deletions have sums. 1 is brought to it."""
FILE, ACKNOWLEDGED = "log.sqlite", "log.acknowledged"
_APPLICATION = 0x5E69E061
_SYNC = {"full": "FULL", "normal": "NORMAL"}
_ROW_BYTES = 1_000
"""What a row has beside what it is about, at most."""
_WAIT_SECONDS = 5.0
"""How long to wait for those who read the log, where it is to be emptied."""
_CHANGES = """
CREATE TABLE changes(
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, as_of INTEGER NOT NULL,
    payload BLOB NOT NULL, crc INTEGER NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One change as it is written: what it is, the moment it was made at, its bytes.

    key, receipt: the caller's own name for it, and the answer to whoever sends it again.
    sent: a digest of what they sent, by which it is told from something else under its key.
    deletes: the id of a buyer whom it deletes, as text; kept as a digest, for good.
    """

    kind: str
    as_of: int
    payload: bytes
    key: str | None = None
    receipt: str = ""
    sent: str = ""
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
        self._sums, self._secret = Sums(), b""
        self.last = 0
        """The number of the newest change, 0 before the first."""

    @classmethod
    def open(cls, folder: Path, *, sync: str = "full", held: int = 0) -> Self:
        """The log in a directory, made there if there has been none.

        held: the last change that a snapshot holds. Raises `StoreError` for one that is damaged, of
        a newer version, short of its end, or gone.
        """
        path = folder / FILE
        is_new = not path.exists()
        if is_new:
            _refuse_lost(folder, held)
        try:
            connection = sqlite3.connect(
                path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                if _version(connection, path) == 0:
                    # It was created, and its process ended; or it was cut to nothing.
                    _refuse_lost(folder, held)
                _prepare(connection, path, sync=sync)
            except BaseException:
                connection.close()
                raise
            log = cls(folder, connection, sync=sync)
            try:
                log._find_end(is_new=is_new)
            except BaseException:
                log.close()
                raise
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
        self._sums, self._secret = checked_sums(self._connection, self._folder / FILE)
        if is_new:
            sync_folder(self._folder)
        if row[0] is not None and row[0] < acknowledged:
            raise _lost(self._folder, acknowledged)

    def write(self, changes: Sequence[Change]) -> int:
        """Make these changes lasting, all or none; the number of the first.

        Raises `StoreError` where that cannot be, such as on a full disk.
        """
        self._refuse_too_large(changes)
        first = self.last + 1
        rows, receipts = [], []
        for number, change in enumerate(changes, first):
            crc = _checksum(number, change.kind, change.as_of, change.payload)
            rows.append((number, change.kind, change.as_of, change.payload, crc))
            if change.key is not None:
                receipts.append((change.key, number, change.receipt, change.sent))
        try:
            with _all_or_none(self._connection):
                self._connection.executemany("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", rows)
                sums = self._sums
                if receipts:
                    sums = write_receipts(self._connection, sums, receipts)
                for number, change in enumerate(changes, first):
                    if change.deletes:
                        digest = digest_of(self._secret, change.deletes)
                        sums = write_deletion(self._connection, sums, digest, number)
                if sums is not self._sums:
                    write_sums(self._connection, sums, self._secret)
        except sqlite3.Error as error:
            raise StoreError(
                f"cannot write to `{self._folder / FILE}`: {error}; nothing was taken in",
                field="store",
            ) from error
        self.last, self._sums = first + len(rows) - 1, sums
        self._acknowledged.note(self.last)
        return first

    def _refuse_too_large(self, changes: Sequence[Change]) -> None:
        """Raise for a change that is no row of SQLite."""
        most = self._connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) - _ROW_BYTES
        for each in changes:
            size = max(len(each.payload), len(each.receipt.encode()))
            if size > most:
                raise StoreError(
                    f"a change of {size:,} bytes is more than `{self._folder / FILE}` takes at "
                    f"once, {most:,} bytes: nothing was taken in; send the rows in smaller "
                    "batches, or load them",
                    field="store",
                )

    def receipt(self, key: str) -> Receipt | None:
        """The receipt of a change that was written under this key; None for a new key."""
        path = self._folder / FILE
        try:
            return find_receipt(self._connection, path, key)
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error

    def secret(self) -> bytes:
        """What digests of deleted ids are made with; drawn once a store, and in its backups too."""
        return self._secret

    def forget_until(self, number: int, *, erase: bool = False) -> None:
        """Drop the changes up to a number, which a snapshot holds by now.

        erase: leave nothing of them in the files either, byte by byte; they are written anew.
        Raises `StoreError` where that cannot be, such as on a full disk, or to `erase` while
        another process reads.
        """
        try:
            if erase:
                self._connection.execute("PRAGMA secure_delete = ON")
            self._forget(number)
            if erase:
                self._connection.execute("VACUUM")
            # Whoever is reading keeps it from that: SQLite waits for them, some seconds.
            emptied = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise StoreError(
                f"cannot shorten `{self._folder / FILE}`: {error}", field="store"
            ) from error
        if erase and emptied[0]:
            raise StoreError(
                f"cannot empty `{self._folder / FILE}-wal`: another process reads the log",
                field="store",
            )

    def _forget(self, number: int) -> None:
        with _all_or_none(self._connection):
            self._connection.execute("DELETE FROM changes WHERE number <= ?", (number,))
            sums = forget_receipts(self._connection, self._sums, number - KEPT_KEYS)
            write_sums(self._connection, sums, self._secret)
        self._sums = sums

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
        _refuse_lost(folder, after)
        return
    expected = after + 1
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
        try:
            begun = _version(connection, path) > 0
            if not begun:
                _refuse_lost(folder, after)
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


def log_bytes(folder: Path) -> int:
    """Bytes of a store's log on disk."""
    files = (folder / f"{FILE}{end}" for end in ("", "-wal"))
    return sum(each.stat().st_size for each in files if each.exists())


def read_deletions(folder: Path) -> Deletions | None:
    """All buyers who were ever deleted in a store; None where it has no log."""
    path = folder / FILE
    if not path.exists():
        return None
    with _reading(path) as (connection, version):
        return deletions(connection, path, version) if version else None


def check_remembered(folder: Path) -> None:
    """Compare receipts and deletions with what was written; another process may be writing.

    Raises `StoreError` for what is damaged or gone.
    """
    path = folder / FILE
    if not path.exists():
        return
    with _reading(path) as (connection, version):
        if version == 1:
            check_format_1(connection, path)
        elif version:
            checked_sums(connection, path)


@contextmanager
def _reading(path: Path) -> Iterator[tuple[sqlite3.Connection, int]]:
    """A log as it is at one moment, and its format: 0 for one that has not begun."""
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None
        )
        try:
            connection.execute("BEGIN")
            yield connection, _version(connection, path)
        finally:
            connection.close()
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error


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


def _refuse_lost(folder: Path, held: int) -> None:
    """Raise where there must have been a log: something was acknowledged, or a snapshot names it.

    Changes may be in the snapshot all the same; keys and deletions are in the log alone.
    """
    last = max(last_acknowledged(folder / ACKNOWLEDGED), held)
    if last:
        raise StoreError(
            f"`{folder / FILE}` is empty or not there, and the store has changes up to {last}: it "
            "is lost, with the keys of batches and who was deleted; restore the store from a "
            "backup",
            field="store",
        )


def _prepare(connection: sqlite3.Connection, path: Path, *, sync: str) -> None:
    version = _version(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {_SYNC[sync]}")
    if version == FORMAT:
        return
    # At once: a process that ends in between leaves a log that has not begun, or that of before.
    with _all_or_none(connection):
        if version == 0:
            connection.execute(_CHANGES)
            begin(connection)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        else:
            bring_from_format_1(connection, path)
        connection.execute(f"PRAGMA user_version = {FORMAT}")


@contextmanager
def _all_or_none(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction; whatever ends it, the next one can begin."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The format of the log in a file; 0 for a file that was created, and nothing more.

    Raises `StoreError` for a file of another kind or format.
    """
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if (owner, version, tables) == (0, 0, 0):
        return 0
    if owner != _APPLICATION:
        raise StoreError(f"`{path}` is damaged, or not the log of a store", field="store")
    if version not in (1, FORMAT):
        raise StoreError(
            f"`{path}` has format {version}, and this version reads {FORMAT}; open it with the "
            "version of segengine that wrote it",
            field="store",
        )
    return int(version)


def _unreadable(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"`{path}` cannot be read ({error}): it is damaged; restore the store from a backup",
        field="store",
    )


def _checksum(number: int, kind: str, as_of: int, payload: bytes) -> int:
    head = f"{number} {kind} {as_of} ".encode()
    return zlib.crc32(payload, zlib.crc32(head))
