"""What was ever defined, version by version, and is it as it was written?

A SQLite file with one row for each version of a definition: its number, its text, and a checksum
over all of it, for SQLite checks no page. Numbers have no gap, and the last one stands in a row of
its own and in a side file, so that rows that are lost are noticed. What is written together is
there together or not at all, also after `kill -9`, and with sync "full" after a loss of power.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from segengine.errors import StoreError
from segengine.storage.acknowledged import Acknowledged, last_acknowledged
from segengine.storage.lasting import sync_folder, write_synced

FORMAT = 1
FILE, ACKNOWLEDGED = "catalogue.sqlite", "catalogue.acknowledged"
_APPLICATION = 0x5E69E0CA
_NEW = f"{FILE}.new"
# A journal that is rolled back, where the log has one that is carried forward: once a change is
# committed, all of it is in the one file, and a damaged journal cannot take it back unnoticed.
_SYNC = {"full": "EXTRA", "normal": "NORMAL"}
_WAIT_SECONDS = 10.0
_BEGIN = f"""
BEGIN;
CREATE TABLE versions(
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
    definition TEXT, source TEXT NOT NULL, as_of INTEGER NOT NULL, data_version INTEGER NOT NULL,
    crc INTEGER NOT NULL);
CREATE TABLE newest(number INTEGER NOT NULL, crc INTEGER NOT NULL);
INSERT INTO newest VALUES (0, {zlib.crc32(b"0")});
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {FORMAT};
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """One version of a definition as it is written.

    definition: its text; None where it was deleted. source: who made it. as_of: microseconds since
    1970.
    """

    kind: str
    name: str
    version: int
    definition: str | None
    source: str
    as_of: int
    data_version: int


class CatalogueFile:
    """The open catalogue of a store; only the process that writes to the store has one."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, *, sync: str) -> None:
        self._path = folder / FILE
        self._connection = connection
        self._acknowledged = Acknowledged(folder / ACKNOWLEDGED, synced=sync == "full")
        self.last = 0
        """The number of the newest version, 0 before the first."""

    @classmethod
    def open(cls, folder: Path, *, sync: str = "full") -> Self:
        """The catalogue in a directory, made there if there is none.

        Raises `StoreError` for one that is damaged, of a newer version, or that lost rows.
        """
        read_catalogue(folder)
        path = folder / FILE
        try:
            if not path.exists():
                _begin(folder)
            connection = sqlite3.connect(
                path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                connection.execute("PRAGMA journal_mode = DELETE")
                connection.execute(f"PRAGMA synchronous = {_SYNC[sync]}")
                opened = cls(folder, connection, sync=sync)
                opened.last = _newest(connection, path)
                opened._acknowledged.read(folder / ACKNOWLEDGED)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error
        except OSError as error:
            raise StoreError(
                f"`{path}` cannot be opened: {error.strerror}", field="store"
            ) from error
        return opened

    def write(self, versions: Sequence[Kept]) -> None:
        """Make these versions lasting, all or none.

        Raises `StoreError` where that cannot be, such as on a full disk; it holds then what it
        held before.
        """
        rows = [
            (number, *_fields(each), _checksum(number, each))
            for number, each in enumerate(versions, self.last + 1)
        ]
        last = self.last + len(rows)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
            )
            self._connection.execute(
                "UPDATE newest SET number = ?, crc = ?", (last, zlib.crc32(str(last).encode()))
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise StoreError(
                f"cannot write to `{self._path}`: {error}; nothing was defined", field="store"
            ) from error
        self.last = last
        self._acknowledged.note(last)

    def close(self) -> None:
        """Let go of the files."""
        self._connection.close()
        self._acknowledged.close()


def read_catalogue(folder: Path, after: int = 0) -> list[Kept]:
    """The versions after a number, in the order made, each checked; none where there is no file.

    Another process may be writing: what it has committed by now is read. Raises `StoreError` that
    names what is damaged, missing, or of a newer version.
    """
    path = folder / FILE
    acknowledged = last_acknowledged(folder / ACKNOWLEDGED)
    if not path.exists():
        if acknowledged:
            raise _lost(folder, acknowledged)
        return []
    found = []
    try:
        with closing(_reading(path)) as connection:
            _refuse_other(connection, path)
            connection.execute("BEGIN")
            newest = _newest(connection, path)
            rows = connection.execute(
                "SELECT number, kind, name, version, definition, source, as_of, data_version, crc "
                "FROM versions WHERE number > ? ORDER BY number", (after,),
            )  # fmt: skip
            for expected, (number, *fields, crc) in enumerate(rows, after + 1):
                each = Kept(*fields)
                if number != expected or crc != _checksum(number, each):
                    raise _damaged(path, expected)
                found.append(each)
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error
    if after + len(found) != max(newest, after):
        raise _damaged(path, after + len(found) + 1)
    if newest < acknowledged:
        raise _lost(folder, acknowledged)
    return found


def copy_catalogue(folder: Path, target: Path) -> None:
    """The catalogue as it is now, in another directory; another process may go on writing."""
    path = folder / FILE
    # Before the file it counts: that may hold more then, never less.
    beside = folder / ACKNOWLEDGED
    data = beside.read_bytes() if beside.exists() else None
    if not path.exists():
        return
    try:
        with closing(_reading(path)) as source, closing(sqlite3.connect(target / FILE)) as copy:
            source.backup(copy)
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error
    if data is not None:
        write_synced(target / ACKNOWLEDGED, data)


def _begin(folder: Path) -> None:
    """An empty catalogue, whole or not there at all: one without a byte is a damaged one."""
    new = folder / _NEW
    new.unlink(missing_ok=True)
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.executescript(_BEGIN)
    descriptor = os.open(new, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.rename(folder / FILE)
    sync_folder(folder)


def _reading(path: Path) -> sqlite3.Connection:
    """A connection that reads.

    Where a process was killed amid a change, whoever comes next takes it back: that is a write.
    """
    mode = "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"
    where = f"file:{quote(str(path))}?mode={mode}"
    return sqlite3.connect(where, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)


def _refuse_other(connection: sqlite3.Connection, path: Path) -> None:
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if owner != _APPLICATION:
        raise StoreError(
            f"`{path}` is damaged, or not the catalogue of a store; restore it from a backup",
            field="store",
        )
    if version != FORMAT:
        raise StoreError(
            f"`{path}` has format {version}, and this version reads {FORMAT}; open it with the "
            "version of segengine that wrote it",
            field="store",
        )


def _newest(connection: sqlite3.Connection, path: Path) -> int:
    rows = connection.execute("SELECT number, crc FROM newest").fetchall()
    if len(rows) != 1 or rows[0][1] != zlib.crc32(str(rows[0][0]).encode()):
        raise StoreError(
            f"`{path}` is damaged: it does not say how many versions it holds; restore it from a "
            "backup",
            field="store",
        )
    return int(rows[0][0])


def _fields(each: Kept) -> tuple[Any, ...]:
    return (
        each.kind, each.name, each.version, each.definition, each.source, each.as_of,
        each.data_version,
    )  # fmt: skip


def _checksum(number: int, each: Kept) -> int:
    """Over everything that a row says, its types among it."""
    return zlib.crc32(json.dumps([number, *_fields(each)]).encode())


def _damaged(path: Path, number: int) -> StoreError:
    return StoreError(
        f"`{path}` is damaged at version {number} of all: it is not what was written; restore it "
        "from a backup",
        field="store",
    )


def _lost(folder: Path, acknowledged: int) -> StoreError:
    return StoreError(
        f"`{folder / FILE}` does not hold version {acknowledged} of all, which was acknowledged "
        f"(`{folder / ACKNOWLEDGED}`): definitions are lost; restore the store from a backup",
        field="store",
    )


def _unreadable(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"`{path}` cannot be read ({error}): it is damaged; restore it from a backup",
        field="store",
    )
