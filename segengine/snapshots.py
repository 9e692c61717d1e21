"""When does a running store have its next snapshot written, and how far is it?

Another process writes it (`snapshot_maker.py`), so that nobody waits. A load and `compact` write
theirs at once, and stop it: what it would hold is then no longer what is wanted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from segengine.schema.storage_settings import StorageSettings
from segengine.snapshot_maker import Asked, Maker, Progress
from segengine.storage.durable import Durable

_MINUTE = 60.0


class Snapshots:
    """The snapshots of one open store, beside those of its loads.

    files, writer: held while a snapshot is made, and while the store is changed.
    asked: what is to be in it, if it is made now; called with the writer held.
    today: the date that answers are true for.
    """

    def __init__(
        self,
        durable: Durable,
        settings: StorageSettings,
        files: AbstractContextManager[object],
        writer: AbstractContextManager[object],
        asked: Callable[[], Asked],
        today: Callable[[], int],
    ) -> None:
        self._durable, self._settings = durable, settings
        self._files, self._writer, self._asked = files, writer, asked
        self._today = today
        self.date: int | None = None
        """The date that the traits of the snapshot in use are true for; None before the first."""
        self._lock = threading.Lock()
        self._maker: Maker | None = None
        self._began = time.perf_counter()
        self.written: tuple[int, int] | None = None
        """Bytes written of the one in the making, and of how many; None: none is made."""

    def due(self) -> str | None:
        """Why the next one is to be written now; None while there is no reason."""
        tail, most = self._durable.tail_bytes, self._settings.snapshot_log_mb
        minutes = (time.perf_counter() - self._began) / _MINUTE
        is_of_today = self.date is None or self.date == self._today()
        if tail == 0 and is_of_today:
            return None
        if most and tail >= most << 20:
            return f"{tail / 1e6:,.0f} MB of changes since the last"
        if self._settings.snapshot_minutes and minutes >= self._settings.snapshot_minutes:
            return f"{minutes:,.0f} minutes since the last"
        return None

    def make(self, progress: Progress | None = None) -> int:
        """Write one now, and put it in use; the number of the newest change that it holds.

        Raises `StoreError` where it cannot be written, or was stopped by a load; the snapshot
        before is in use then.
        """

        def tell(done: int, total: int) -> None:
            self.written = (done, total)
            if progress is not None:
                progress(done, total)

        with self._files:
            self.begin_anew()
            with self._writer:
                target = self._durable.begin_snapshot()
                asked, tail, date = self._asked(), self._durable.tail_bytes, self._today()
            try:
                with self._lock:
                    self._maker = Maker(self._durable.folder, target, asked)
                checksum = self._maker.wait(tell)
            finally:
                with self._lock:
                    self._maker = None
                self.written = None
            with self._writer:
                kept = self._settings.snapshots
                self._durable.publish_snapshot(target, checksum, asked.last, keep=kept)
                self._durable.tail_bytes -= tail
                self.date = date
        return asked.last

    def begin_anew(self) -> None:
        """A snapshot was written, or tried: the time until the next begins."""
        self._began = time.perf_counter()

    def make_way(self) -> None:
        """Stop what is being made: whoever calls makes the next snapshot, or ends the store."""
        with self._lock:
            if self._maker is not None:
                self._maker.stop()
