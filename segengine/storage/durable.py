"""Where is what a store has acknowledged, and who may write there?

A directory holds a snapshot and the log of what came after it. Anybody may read; the first write
claims the directory for this process, and finds out whether another has written since it was read.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from segengine.errors import StoreError
from segengine.storage.deleted_elsewhere import deleted_since
from segengine.storage.log import (
    Change,
    Log,
    Numbered,
    log_bytes,
    read_log,
)
from segengine.storage.remembered import Receipt, digest_of
from segengine.storage.snapshot import (
    CURRENT,
    Derived,
    Kept,
    Opened,
    begin_snapshot,
    current_name,
    kept_snapshots,
    publish_snapshot,
    read_snapshot,
    write_snapshot,
)
from segengine.tables.tables import Tables

LOCK = "lock"
_LOG = logging.getLogger(__name__)


class MovedOnError(StoreError):
    """A store that another process wrote to while it was read: what was read is of no moment."""


class NotErasedError(StoreError):
    """A snapshot is in use, and the log still has what was to be erased."""


class Durable:
    """The files of one open store. Its owner writes from one thread at a time."""

    def __init__(
        self,
        folder: Path,
        *,
        sync: str = "full",
        read_only: bool = False,
        claimed: Callable[[], None] = lambda: None,
    ) -> None:
        """claimed: called when this process becomes the one that writes; may still refuse that."""
        self.folder = folder
        self._sync = sync
        self._read_only = read_only
        self._claimed = claimed
        self._lock = -1
        self._log: Log | None = None
        self._snapshot: str | None = None
        self._held = self._loads = 0
        self.tail_bytes = 0
        """Bytes of the changes that the snapshot in use does not hold."""
        self.last = 0
        """The number of the newest change that is in the tables."""

    def read(
        self, tables: Tables, take: Callable[[Numbered], None], depends: str = ""
    ) -> Opened | None:
        """Fill new tables from the snapshot, then take the changes after it, in order.

        depends: what traits depend on; see `read_snapshot`. None where nothing was there. Raises
        `StoreError` for what is damaged or missing, and `MovedOnError` where another process has
        put other snapshots in use meanwhile: new tables may be filled then.
        """
        # Before the snapshot: one that another process writes meanwhile holds more, not less.
        self._snapshot = current_name(self.folder)
        try:
            found = read_snapshot(tables, self.folder, depends)
            for each in () if found is None else found.passed_over:
                _LOG.warning("%s; an older snapshot and the log were opened in its place", each)
            if found is not None:
                self._held, self._loads = found.last, found.loads
            self.last = self._held
            for change in self._after_no_load(read_log(self.folder, self.last)):
                take(change)
                self.last = change.number
                self.tail_bytes += len(change.payload)
        except StoreError as error:
            if isinstance(error, MovedOnError) or current_name(self.folder) == self._snapshot:
                raise
            raise self._moved_on() from error
        return Opened(0, 0, None) if found is None and self.last > 0 else found

    def _after_no_load(self, changes: Iterator[Numbered]) -> Iterator[Numbered]:
        """These changes, if they are of the snapshot that was read: a load is in no log.

        With the first, what the log has is fixed: none is after a load that comes later.
        """
        first = next(changes, None)
        if first is None:
            return
        if current_name(self.folder) != self._snapshot:
            kept = kept_snapshots(self.folder)
            if not kept or kept[0].loads != self._loads:
                raise self._moved_on()
        yield first
        yield from changes

    def _moved_on(self) -> MovedOnError:
        return MovedOnError(
            f"another process loaded into `{self.folder}`, or compacted it, while it was opened "
            "here; open it again",
            field="store",
        )

    def claim(self) -> None:
        """Make this process the one that writes.

        Raises `StoreError` where another one is, or has been since the store was read.
        """
        if self._lock >= 0:
            return
        if self._read_only:
            raise StoreError(
                f"`{self.folder}` was opened to be read alone; open it without `read_only` to "
                "change it",
                field="store",
            )
        path = self.folder / LOCK
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(
                f"`{path}` cannot be opened: {error.strerror}", field="store"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock = lock
            self._nothing_new()
            self._claimed()
        except BlockingIOError:
            os.close(lock)
            raise StoreError(
                f"`{self.folder}` is in use by another process, which writes to it; end that one, "
                "or ask it",
                field="store",
            ) from None
        except BaseException:
            self._lock = lock
            self.close()
            raise

    def _nothing_new(self) -> None:
        # Before the first load too: what digests of deletions are made with is in every backup.
        log = Log.open(self.folder, sync=self._sync, held=self._held)
        last = max(log.last, self._held)
        if current_name(self.folder) != self._snapshot or last != self.last:
            log.close()
            raise StoreError(
                f"another process has written to `{self.folder}` since it was opened here; open "
                "it again",
                field="store",
            )
        log.begin_after(self.last)
        self._log = log

    def keep(self, change: Change) -> int:
        """Make a change lasting before it is made; its number. `StoreError` where it cannot be."""
        return self.keep_all([change])

    def keep_all(self, changes: Sequence[Change]) -> int:
        """Make changes lasting, all or none, with one sync; the number of the first."""
        first = self._opened().write(changes)
        self.last = first + len(changes) - 1
        self.tail_bytes += sum(len(change.payload) for change in changes)
        return first

    def next_number(self) -> int:
        """The number that the next change will have."""
        return self.last + 1

    def receipt(self, key: str) -> Receipt | None:
        """The answer that was given to a change with this key; None for a new key."""
        return self._opened().receipt(key)

    def _opened(self) -> Log:
        self.claim()
        assert self._log is not None
        return self._log

    def is_deleted(self, ids: Sequence[str], elsewhere: Path) -> list[bool]:
        """Which of these ids, as text, were deleted in another copy since this one was made.

        Raises `StoreError` where the other directory is no copy of this store.
        """
        self._opened()
        new = deleted_since(self.folder, elsewhere)
        return [digest_of(new.secret, each) in new.numbers for each in ids]

    def write_snapshot(
        self,
        tables: Tables,
        last: int,
        *,
        derived: Derived | None = None,
        loads: int = 0,
        erase: bool = False,
        keep: int = 1,
        writer: AbstractContextManager[object] | None = None,
    ) -> None:
        """Write these tables, which hold the changes up to a number, as the snapshot in use.

        loads: how many changes they hold that are in no log, since the snapshot before.
        keep: how many snapshots there may be.
        erase: what the log and the snapshots before held is in no file afterwards.
        writer: held while the log is changed, where others may write to it meanwhile.
        Raises `StoreError` where it cannot be written, and `NotErasedError` where it is in use.
        """
        self.claim()
        tail = self.tail_bytes
        kept = write_snapshot(
            tables, self.folder, last, derived=derived, loads=self._loads + loads,
            keep=1 if erase else keep,
        )  # fmt: skip
        with nullcontext() if writer is None else writer:
            self.tail_bytes -= tail
            self._follow(kept, erase=erase)

    def begin_snapshot(self) -> Path:
        """A new folder for a snapshot that another process writes; see `publish_snapshot`."""
        self.claim()
        return begin_snapshot(self.folder)

    def publish_snapshot(self, target: Path, checksum: int, last: int, *, keep: int) -> None:
        """Put a snapshot in use that is the one before and the log up to a number.

        Raises `StoreError` where that cannot be; the one before stays in use then.
        """
        try:
            new = Kept(target.name, checksum, self._loads, last)
            kept = publish_snapshot(self.folder, new, keep=keep)
        except OSError as error:
            raise StoreError(
                f"cannot put the snapshot `{target}` in use: {error.strerror or error}",
                field="store",
            ) from error
        self._follow(kept)

    @property
    def loads(self) -> int:
        """How many changes that are in no log the snapshot in use holds."""
        return self._loads

    def _follow(self, kept: tuple[Kept, ...], *, erase: bool = False) -> None:
        """A snapshot is in use: let go of the log that nobody needs any more.

        Where that cannot be, as on a full disk, the snapshot is in use all the same, and the next
        one tries it again. Raises `NotErasedError` then where it was to `erase`.
        """
        oldest = min(each.last for each in kept)
        # Whoever is reading the snapshot before still finds what came after it.
        until = oldest if erase else min(oldest, self._held)
        new = kept[0]
        self._snapshot, self._held, self._loads = new.name, new.last, new.loads
        try:
            self._opened().forget_until(until, erase=erase)
        except StoreError as error:
            if erase:
                raise NotErasedError(
                    f"{error}; what was deleted is in no snapshot, and still in the log: compact "
                    "again when there is room and nobody reads it",
                    field=error.field,
                ) from error
            _LOG.warning("%s; the next snapshot tries it again", error)

    def vitals(self) -> tuple[float | None, int]:
        """When the snapshot in use was written, in seconds since 1970, and the bytes of the log."""
        try:
            written: float | None = (self.folder / CURRENT).stat().st_mtime
        except OSError:
            written = None
        return written, log_bytes(self.folder)

    def close(self) -> None:
        """Let go of the files, and of the right to write."""
        if self._log is not None:
            self._log.close()
            self._log = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
