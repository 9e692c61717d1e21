"""Where is what a store has taken in, once its process is gone?

In its directory, if it has one: a batch and a deletion are in the log before anybody sees them, a
load is in the snapshot that is written at its end, and a running store has the next one written
beside it. A store without a directory remembers the reports of changes with a key, and no more.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from segengine.appending import Ready
from segengine.current import Current
from segengine.errors import StoreError
from segengine.ingest.report import LoadReport
from segengine.reopening import APPEND, Tail, derived_of, replay
from segengine.schema.storage_settings import StorageSettings
from segengine.snapshot_maker import Asked, OtherProgramError, Progress
from segengine.snapshots import Snapshots
from segengine.storage.batch_bytes import batch_to_bytes
from segengine.storage.durable import Durable, NotErasedError
from segengine.storage.log import Change
from segengine.tables.compact import compacted
from segengine.traits.build import built_anew
from segengine.traits.depends import fingerprint
from segengine.traits.fits_written import texts_of_codes

_MOST_RECEIPTS = 100_000
_LOG = logging.getLogger(__name__)


class Lasting:
    """The files of a store, if it has any, as it writes them.

    writer: the right to change the store, which a thread may nest
    """

    def __init__(
        self, current: Current, settings: StorageSettings, writer: AbstractContextManager[object]
    ) -> None:
        self._current, self._settings, self._writer = current, settings, writer
        self._files = threading.RLock()
        """Held while a snapshot is made; whoever wants both takes it before the writer."""
        self.durable: Durable | None = None
        self.snapshots: Snapshots | None = None
        self._unkept = 0
        """How many loads are in memory and in no file: there was no room for their snapshot."""
        self._receipts: dict[str, tuple[LoadReport, str]] = {}
        """Of changes with a key, while there is no directory to keep them in."""

    @property
    def folder(self) -> Path | None:
        """The store's directory."""
        return None if self.durable is None else self.durable.folder

    def live_in(
        self, folder: Path, claimed: Callable[[], None], *, read_only: bool, as_kept: bool
    ) -> None:
        """Keep what is taken in in a directory, beginning with what is there.

        claimed: called when this process becomes the one that writes; may refuse that
        as_kept: stay on the date of the snapshot.
        """
        current, tables = self._current, self._current.tables
        self.durable = Durable(
            folder, sync=self._settings.sync, read_only=read_only, claimed=claimed
        )
        self.snapshots = Snapshots(
            self.durable, self._settings, self._files, self._writer, self._asked,
            lambda: current.date,
        )  # fmt: skip
        tail = Tail()
        found = self.durable.read(
            tables,
            lambda change: replay(tables, tail, change, folder),
            fingerprint(current.settings),
        )
        if found is not None:
            if found.derived is not None:
                self.snapshots.date = current.settings.zone.day_of(tables.as_of)
            current.begin(found.derived, tail, as_kept=as_kept)
            current.make_codes()

    def claim(self) -> None:
        """Make this process the one that writes, until `close`; the first write does it.

        Raises `StoreError` where another process writes, or has written since the store was opened.
        """
        if self.durable is not None:
            self.durable.claim()

    def close(self) -> None:
        """Let go of the files."""
        if self.durable is not None:
            self.durable.close()

    # --- changes ----------------------------------------------------------------------------

    def keep(self, kind: str, payload: bytes, **told: Any) -> int | None:
        """Make a change lasting before it is made; its number. None where there is no directory."""
        if self.durable is None:
            return None
        self._refuse_on_unkept()
        return self.durable.keep(Change(kind, self._current.as_of, payload, **told))

    def keep_all(self, group: Sequence[Ready]) -> list[LoadReport]:
        """Make checked batches lasting, all or none; their reports, with their places in the log.

        Those with a key are remembered.
        """
        if self.durable is None:
            for each in group:
                if each.key is not None:
                    self._receipts[each.key] = each.report, each.sent
            while len(self._receipts) > _MOST_RECEIPTS:
                del self._receipts[next(iter(self._receipts))]
            return [each.report for each in group]
        self._refuse_on_unkept()
        first = self.durable.next_number()
        reports = [replace(each.report, offset=first + k) for k, each in enumerate(group)]
        self.durable.keep_all([
            Change(
                APPEND, self._current.as_of, batch_to_bytes(each.batch), key=each.key,
                receipt="" if each.key is None else report.to_receipt(), sent=each.sent,
            )
            for each, report in zip(group, reports, strict=True)
        ])  # fmt: skip
        return reports

    def _refuse_on_unkept(self) -> None:
        """Raise where what was loaded is not lasting yet.

        A change after it may rest on it, such as an event that a load has brought already: once
        the process is gone, the log would have the one without the other.
        """
        if self._unkept:
            raise StoreError(
                "nothing was taken in: what was loaded before is in no file yet; make room, then "
                "write a snapshot with `Engine.snapshot`, which keeps it, and send this again",
                field="store",
            )

    def receipt(self, key: str) -> tuple[LoadReport, str] | None:
        """The report of the change that had this key, and a digest of what was sent under it.

        None for a new key; the digest is empty where an older version kept none.
        """
        if self.durable is None:
            return self._receipts.get(key)
        found = self.durable.receipt(key)
        return None if found is None else (LoadReport.from_receipt(found.text), found.sent)

    def deleted_elsewhere(self, ids: Sequence[int | str], elsewhere: Path) -> list[int | str]:
        """Those of these buyers who were deleted in another copy of this directory."""
        if self.durable is None:
            return []
        gone = self.durable.is_deleted([json.dumps(each) for each in ids], elsewhere)
        return [each for each, is_gone in zip(ids, gone, strict=True) if is_gone]

    # --- snapshots --------------------------------------------------------------------------

    @contextmanager
    def with_files(self) -> Iterator[None]:
        """Hold the files: a snapshot that is being made by another process gives way."""
        self.make_way()
        with self._files:
            yield

    def make_way(self) -> None:
        """Give up the snapshot that is being made, if one is."""
        if self.snapshots is not None:
            self.snapshots.make_way()

    def snapshot(self, progress: Progress | None = None, *, beside: bool = True) -> int | None:
        """Write a snapshot, `beside` by another process; the number of the newest change in it.

        None where there is no directory. Where another process would derive other traits than this
        one, as after an upgrade before the restart, this one writes it: the log has to get shorter.
        """
        if self.durable is None or self.snapshots is None:
            return None
        if beside and not self._unkept:
            try:
                return self.snapshots.make(progress)
            except OtherProgramError as error:
                _LOG.warning("%s; until then this process writes it, and changes wait", error)
        with self.with_files(), self._writer:
            self.claim()
            self.write_snapshot(loads=0)
            return self.durable.last

    def _asked(self) -> Asked:
        """What the next snapshot is to hold; called with the writer held."""
        durable, current = self.durable, self._current
        assert durable is not None
        derived, settings = current.derived(), current.settings
        return Asked(
            durable.last, current.as_of, durable.loads, settings.zone.name, settings.config,
            derived.depends, derived.said, texts_of_codes(current.fits, current.tables),
        )  # fmt: skip

    def write_snapshot(self, loads: int = 1) -> None:
        """Write one here and now; whoever calls holds the files and the writer.

        loads: how many are in no log, so that the snapshots before it are no longer enough. Where
        they cannot be kept (`StoreError`), the next snapshot does; until then changes are refused.
        """
        if self.durable is None or self.snapshots is None:
            return
        self._current.make_codes()
        derived = self._current.derived()
        self._unkept += loads
        try:
            self.durable.write_snapshot(
                self._current.tables, self.durable.last, derived=derived, loads=self._unkept,
                keep=self._settings.snapshots,
            )  # fmt: skip
        except StoreError as error:
            if not self._unkept:
                raise
            raise StoreError(
                f"{error}; what was loaded is in no file, and in this process alone, which answers "
                "with it and takes in no other change: make room, then write a snapshot with "
                "`Engine.snapshot`, which keeps it; or open the store again, which is without it "
                "then, and load it again",
                field=error.field,
            ) from error
        self._unkept = 0
        self.snapshots.begin_anew()
        self.snapshots.date = self._current.date

    def compact(self) -> int | None:
        """Write a snapshot without those who are deleted, and take them out of the log.

        The writer is held while the tables are copied, and again while the log is changed.
        """
        if self.durable is None:
            return None
        with self.with_files():
            with self._writer:
                self.claim()
                fresh, last = compacted(self._current.tables), self.durable.last
                settings = self._current.settings
            fits = built_anew(fresh, settings)
            derived = derived_of(settings, fits, current=True)
            try:
                self.durable.write_snapshot(
                    fresh, last, derived=derived, loads=self._unkept, erase=True,
                    writer=self._writer,
                )  # fmt: skip
            except NotErasedError:
                self._unkept = 0
                raise
            self._unkept = 0
        return last
