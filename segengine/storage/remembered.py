"""What does a log know for good: the keys that were used, and who was deleted?

Two tables beside the changes, which outlive them. Each row has a checksum; how many rows there are
and the XOR of their checksums are written with them, in the same transaction, so that a row that is
another or gone is noticed. Nobody can tell an id from the digest that stands for it.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from segengine.errors import StoreError

KEPT_KEYS = 1_000_000
"""The log forgets the keys of changes that are so many changes old."""
TABLES = """
CREATE TABLE receipts(
    key TEXT PRIMARY KEY, number INTEGER NOT NULL, receipt TEXT NOT NULL, crc INTEGER NOT NULL,
    sent TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE INDEX receipts_by_number ON receipts(number);
CREATE TABLE deletions(
    digest TEXT PRIMARY KEY, number INTEGER NOT NULL DEFAULT 0, crc INTEGER NOT NULL DEFAULT 0)
    WITHOUT ROWID;
CREATE TABLE about(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID
"""
_FROM_FORMAT_1 = (
    "ALTER TABLE receipts ADD COLUMN sent TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE deletions ADD COLUMN number INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE deletions ADD COLUMN crc INTEGER NOT NULL DEFAULT 0",
)
_SUMS = struct.Struct("<qIqI")
_SECRET_BYTES = 32
_RECEIPTS, _DELETIONS = "receipts of keys", "deletions"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was answered to a change with a key.

    sent: a digest of what the key was used for; empty in logs of before there was one.
    """

    text: str
    sent: str


@dataclass(frozen=True, slots=True)
class Deletions:
    """Who was deleted in a store: the secret of its digests, and the last change of each."""

    secret: bytes
    numbers: dict[str, int]
    """By digest: the number of the change; 0 in logs that did not keep it."""


class Sum(NamedTuple):
    """How many rows a table has, and the XOR of their checksums."""

    rows: int = 0
    crc: int = 0

    def over(self, crcs: Iterable[int], step: int = 1) -> Sum:
        """With rows more, or with `step` -1 fewer."""
        rows, crc = self
        for each in crcs:
            rows, crc = rows + step, crc ^ each
        return Sum(rows, crc)


class Sums(NamedTuple):
    """Of both tables."""

    receipts: Sum = Sum()
    deletions: Sum = Sum()

    def to_bytes(self, secret: bytes) -> bytes:
        """As it is kept, with a checksum over it and the secret."""
        packed = _SUMS.pack(*self.receipts, *self.deletions)
        return packed + struct.pack("<I", zlib.crc32(secret, zlib.crc32(packed)))


def digest_of(secret: bytes, customer_id: str) -> str:
    """What stands for the id of a deleted buyer: nobody can tell the id from it."""
    return hashlib.blake2b(customer_id.encode(), key=secret, digest_size=16).hexdigest()


def begin(connection: sqlite3.Connection) -> None:
    """Make the tables, empty, and draw the secret; within a transaction."""
    for each in TABLES.split(";"):
        connection.execute(each)
    (secret,) = connection.execute("SELECT randomblob(?)", (_SECRET_BYTES,)).fetchone()
    values = [("secret", secret), ("sums", Sums().to_bytes(secret))]
    connection.executemany("INSERT INTO about VALUES (?, ?)", values)


def bring_from_format_1(connection: sqlite3.Connection, path: Path) -> None:
    """Give the tables of format 1 what it did not have; within a transaction.

    Raises `StoreError` for a receipt that is not what was written; deletions had no checksums.
    """
    for each in _FROM_FORMAT_1:
        connection.execute(each)
    digests = [digest for (digest,) in connection.execute("SELECT digest FROM deletions")]
    connection.executemany(
        "UPDATE deletions SET crc = ? WHERE digest = ?",
        [(_deletion_checksum(digest, 0), digest) for digest in digests],
    )
    sums = Sums(_sum_of_receipts(connection, path), _sum_of_deletions(connection, path))
    secret = _about(connection, path, "secret")
    connection.execute("INSERT INTO about VALUES ('sums', ?)", (sums.to_bytes(secret),))


def write_receipts(
    connection: sqlite3.Connection, sums: Sums, rows: Iterable[tuple[str, int, str, str]]
) -> Sums:
    """Add receipts: key, number of the change, text, what was sent. The sums with them."""
    kept = [(*row[:3], receipt_checksum(*row), row[3]) for row in rows]
    connection.executemany("INSERT INTO receipts VALUES (?, ?, ?, ?, ?)", kept)
    return sums._replace(receipts=sums.receipts.over(row[3] for row in kept))


def write_deletion(connection: sqlite3.Connection, sums: Sums, digest: str, number: int) -> Sums:
    """Note who was deleted, by which change; the last one counts. The sums with it."""
    before = connection.execute("SELECT crc FROM deletions WHERE digest = ?", (digest,)).fetchall()
    crc = _deletion_checksum(digest, number)
    connection.execute("INSERT OR REPLACE INTO deletions VALUES (?, ?, ?)", (digest, number, crc))
    without = sums.deletions.over((each for (each,) in before), -1)
    return sums._replace(deletions=without.over([crc]))


def write_sums(connection: sqlite3.Connection, sums: Sums, secret: bytes) -> None:
    """Keep the sums of what the same transaction has written."""
    connection.execute("UPDATE about SET value = ? WHERE name = 'sums'", (sums.to_bytes(secret),))


def forget_receipts(connection: sqlite3.Connection, sums: Sums, number: int) -> Sums:
    """Drop the receipts of changes up to a number; the sums without them."""
    gone = connection.execute("DELETE FROM receipts WHERE number <= ? RETURNING crc", (number,))
    left = sums.receipts.over((crc for (crc,) in gone.fetchall()), -1)
    return sums._replace(receipts=left)


def find_receipt(connection: sqlite3.Connection, path: Path, key: str) -> Receipt | None:
    """The receipt of a key; None for a new one. `StoreError` where it is damaged."""
    row = connection.execute(
        "SELECT key, number, receipt, crc, sent FROM receipts WHERE key = ?", (key,)
    ).fetchone()
    if row is None:
        return None
    found, number, text, crc, sent = row
    if crc != receipt_checksum(found, number, text, sent):
        raise _damaged(path, _RECEIPTS)
    return Receipt(str(text), str(sent))


def checked_sums(connection: sqlite3.Connection, path: Path) -> tuple[Sums, bytes]:
    """The sums that are kept, and the secret, every row having been compared with its own.

    Within a transaction where others may write. Raises `StoreError` for what is damaged or gone.
    """
    kept, secret = _kept_sums(connection, path)
    if _sum_of_receipts(connection, path) != kept.receipts:
        raise _damaged(path, _RECEIPTS)
    if _sum_of_deletions(connection, path) != kept.deletions:
        raise _damaged(path, _DELETIONS)
    return kept, secret


def check_format_1(connection: sqlite3.Connection, path: Path) -> None:
    """Compare each receipt of a log of format 1 with its checksum; `StoreError` for a bad one."""
    rows = connection.execute("SELECT crc, key, number, receipt FROM receipts")
    _checked(rows, receipt_checksum, path, _RECEIPTS)


def deletions(connection: sqlite3.Connection, path: Path, version: int) -> Deletions:
    """Who was deleted, checked, whatever else is damaged; of a log of format 1 as it stands."""
    if version == 1:
        secret = _about(connection, path, "secret")
        return Deletions(secret, dict(connection.execute("SELECT digest, 0 FROM deletions")))
    kept, secret = _kept_sums(connection, path)
    if _sum_of_deletions(connection, path) != kept.deletions:
        raise _damaged(path, _DELETIONS)
    return Deletions(secret, dict(connection.execute("SELECT digest, number FROM deletions")))


def receipt_checksum(key: str, number: int, receipt: str, sent: str = "") -> int:
    """Of a row of receipts; without `sent` that of format 1."""
    return zlib.crc32(f"{len(key)} {key} {number} {receipt}{sent}".encode())


def _deletion_checksum(digest: str, number: int) -> int:
    return zlib.crc32(f"{digest} {number}".encode())


def _kept_sums(connection: sqlite3.Connection, path: Path) -> tuple[Sums, bytes]:
    """The sums that were written, and the secret."""
    secret, data = (_about(connection, path, name) for name in ("secret", "sums"))
    if len(data) == len(Sums().to_bytes(b"")):
        values = _SUMS.unpack_from(data)
        sums = Sums(Sum(*values[:2]), Sum(*values[2:]))
        if data == sums.to_bytes(secret):
            return sums, secret
    raise _damaged(path, "sums of receipts and deletions")


def _sum_of_receipts(connection: sqlite3.Connection, path: Path) -> Sum:
    """Of the rows that there are, each having been compared with its checksum."""
    rows = connection.execute("SELECT crc, key, number, receipt, sent FROM receipts")
    return _checked(rows, receipt_checksum, path, _RECEIPTS)


def _sum_of_deletions(connection: sqlite3.Connection, path: Path) -> Sum:
    rows = connection.execute("SELECT crc, digest, number FROM deletions")
    return _checked(rows, _deletion_checksum, path, _DELETIONS)


def _checked(
    rows: Iterable[tuple[Any, ...]], checksum: Callable[..., int], path: Path, where: str
) -> Sum:
    """The sum of rows that begin with their checksum; `StoreError` for one that has another."""

    def crcs() -> Iterator[int]:
        for crc, *row in rows:
            if crc != checksum(*row):
                raise _damaged(path, where)
            yield crc

    return Sum().over(crcs())


def _about(connection: sqlite3.Connection, path: Path, name: str) -> bytes:
    found = connection.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
    if found is None or not isinstance(found[0], bytes):
        raise _damaged(path, "sums of receipts and deletions")
    return found[0]


def _damaged(path: Path, where: str) -> StoreError:
    return StoreError(
        f"`{path}` is damaged among its {where}: they are not what was written; restore the store "
        "from a backup",
        field="store",
    )
