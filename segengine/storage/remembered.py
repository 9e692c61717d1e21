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
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

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


@dataclass(frozen=True, slots=True)
class Sums:
    """How many rows both tables have, and the XOR of their checksums."""

    receipts: int = 0
    receipts_crc: int = 0
    deletions: int = 0
    deletions_crc: int = 0

    def with_receipts(self, crcs: Iterable[int], step: int = 1) -> Self:
        """With rows more, or with `step` -1 fewer."""
        count, crc = self.receipts, self.receipts_crc
        for each in crcs:
            count, crc = count + step, crc ^ each
        return type(self)(count, crc, self.deletions, self.deletions_crc)

    def with_deletions(self, crcs: Iterable[int], step: int = 1) -> Self:
        """With rows more, or with `step` -1 fewer."""
        count, crc = self.deletions, self.deletions_crc
        for each in crcs:
            count, crc = count + step, crc ^ each
        return type(self)(self.receipts, self.receipts_crc, count, crc)

    def to_bytes(self, secret: bytes) -> bytes:
        """As it is kept, with a checksum over it and the secret."""
        packed = _SUMS.pack(self.receipts, self.receipts_crc, self.deletions, self.deletions_crc)
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
    sums = Sums(*_count_receipts(connection, path), *_count_deletions(connection, path))
    secret = _about(connection, path, "secret")
    connection.execute("INSERT INTO about VALUES ('sums', ?)", (sums.to_bytes(secret),))


def write_receipts(
    connection: sqlite3.Connection, sums: Sums, rows: Iterable[tuple[str, int, str, str]]
) -> Sums:
    """Add receipts: key, number of the change, text, what was sent. The sums with them."""
    kept = [(*row[:3], receipt_checksum(*row), row[3]) for row in rows]
    connection.executemany("INSERT INTO receipts VALUES (?, ?, ?, ?, ?)", kept)
    return sums.with_receipts(row[3] for row in kept)


def write_deletion(connection: sqlite3.Connection, sums: Sums, digest: str, number: int) -> Sums:
    """Note who was deleted, by which change; the last one counts. The sums with it."""
    before = connection.execute("SELECT crc FROM deletions WHERE digest = ?", (digest,)).fetchall()
    crc = _deletion_checksum(digest, number)
    connection.execute("INSERT OR REPLACE INTO deletions VALUES (?, ?, ?)", (digest, number, crc))
    return sums.with_deletions((each for (each,) in before), -1).with_deletions([crc])


def write_sums(connection: sqlite3.Connection, sums: Sums, secret: bytes) -> None:
    """Keep the sums of what the same transaction has written."""
    connection.execute("UPDATE about SET value = ? WHERE name = 'sums'", (sums.to_bytes(secret),))


def forget_receipts(connection: sqlite3.Connection, sums: Sums, number: int) -> Sums:
    """Drop the receipts of changes up to a number; the sums without them."""
    gone = connection.execute("DELETE FROM receipts WHERE number <= ? RETURNING crc", (number,))
    return sums.with_receipts((crc for (crc,) in gone.fetchall()), -1)


def find_receipt(connection: sqlite3.Connection, path: Path, key: str) -> Receipt | None:
    """The receipt of a key; None for a new one. `StoreError` where it is damaged."""
    row = connection.execute(
        "SELECT key, number, receipt, crc, sent FROM receipts WHERE key = ?", (key,)
    ).fetchone()
    if row is None:
        return None
    found, number, text, crc, sent = row
    if crc != receipt_checksum(found, number, text, sent):
        raise _damaged(path, "receipts of keys")
    return Receipt(str(text), str(sent))


def checked_sums(connection: sqlite3.Connection, path: Path) -> tuple[Sums, bytes]:
    """The sums that are kept, and the secret, every row having been compared with its own.

    Within a transaction where others may write. Raises `StoreError` for what is damaged or gone.
    """
    kept, secret = _kept_sums(connection, path)
    if _count_receipts(connection, path) != (kept.receipts, kept.receipts_crc):
        raise _damaged(path, "receipts of keys")
    if _count_deletions(connection, path) != (kept.deletions, kept.deletions_crc):
        raise _damaged(path, "deletions")
    return kept, secret


def check_format_1(connection: sqlite3.Connection, path: Path) -> None:
    """Compare each receipt of a log of format 1 with its checksum; `StoreError` for a bad one."""
    for key, number, text, crc in connection.execute(
        "SELECT key, number, receipt, crc FROM receipts"
    ):
        if crc != receipt_checksum(key, number, text):
            raise _damaged(path, "receipts of keys")


def deletions(connection: sqlite3.Connection, path: Path, version: int) -> Deletions:
    """Who was deleted, checked, whatever else is damaged; of a log of format 1 as it stands."""
    if version == 1:
        secret = _about(connection, path, "secret")
        return Deletions(secret, dict(connection.execute("SELECT digest, 0 FROM deletions")))
    kept, secret = _kept_sums(connection, path)
    if _count_deletions(connection, path) != (kept.deletions, kept.deletions_crc):
        raise _damaged(path, "deletions")
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
        sums = Sums(*_SUMS.unpack_from(data))
        if data == sums.to_bytes(secret):
            return sums, secret
    raise _damaged(path, "sums of receipts and deletions")


def _count_receipts(connection: sqlite3.Connection, path: Path) -> tuple[int, int]:
    """How many there are, and the XOR of their checksums, each having been compared."""
    count = total = 0
    for key, number, receipt, crc, sent in connection.execute(
        "SELECT key, number, receipt, crc, sent FROM receipts"
    ):
        if crc != receipt_checksum(key, number, receipt, sent):
            raise _damaged(path, "receipts of keys")
        count, total = count + 1, total ^ crc
    return count, total


def _count_deletions(connection: sqlite3.Connection, path: Path) -> tuple[int, int]:
    """The same of deletions."""
    count = total = 0
    for digest, number, crc in connection.execute("SELECT digest, number, crc FROM deletions"):
        if crc != _deletion_checksum(digest, number):
            raise _damaged(path, "deletions")
        count, total = count + 1, total ^ crc
    return count, total


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
