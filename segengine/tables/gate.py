"""Who may look while the one writer changes the tables?

Any number of readers, or the writer. A scan waits behind a writer that is waiting. A page lookup
may pass it while it waits for scans, which take milliseconds; it does not while the writer waits
for page lookups alone, or a busy page would keep the writer out for ever. Nor may a writer that
has one batch after another keep readers out: whoever waited while it was inside goes in before it
does so again. So a reader waits for one change at most.
"""

# ruff: noqa: SLF001 - who passes is part of the gate
from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType


class Gate:
    """A readers-writer lock in favour of the writer, but for urgent readers.

    A reader must not enter again while it is inside: a writer waiting in between would stop both.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened = threading.Condition(self._lock)
        """Readers wait for it."""
        self._emptied = threading.Condition(self._lock)
        """Writers wait for it."""
        self._scans = 0
        self._lookups = 0
        self._writing = False
        self._waiting = 0
        self._queued = 0
        """Readers that wait."""
        self._owed = 0
        """How many of them were there when the last change ended: they go in before the next."""
        self._changes = 0
        self._as_scan, self._as_lookup = _Scan(self), _Lookup(self)
        self.longest_hold = 0.0
        """Seconds that the longest change kept readers out, since `forget_holds`."""

    def forget_holds(self) -> None:
        """Measure the longest hold anew."""
        self.longest_hold = 0.0

    def reading(self, *, urgent: bool = False) -> AbstractContextManager[None]:
        """Look at the tables; nothing changes inside."""
        # Two objects for all readers: a page asks for one, and a generator costs a microsecond.
        return self._as_lookup if urgent else self._as_scan

    def _wait_to_read(self, *, urgent: bool) -> None:
        """Wait until a reader may go in; called with the lock held."""
        asked = self._changes
        self._queued += 1
        try:
            while self._writing or not (
                asked != self._changes or self._waiting == 0 or (urgent and self._scans > 0)
            ):
                self._opened.wait()
        except BaseException:
            self._leave_queue(asked)
            self._let_a_writer_in()
            raise
        self._leave_queue(asked)

    def _leave_queue(self, asked: int) -> None:
        self._queued -= 1
        if asked != self._changes:
            self._owed -= 1

    def _let_a_writer_in(self) -> None:
        if self._waiting and not (self._scans or self._lookups or self._owed):
            self._emptied.notify()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Change the tables; nobody looks inside."""
        with self._lock:
            self._waiting += 1
            try:
                while self._writing or self._scans or self._lookups or self._owed:
                    self._emptied.wait()
            except BaseException:
                self._waiting -= 1
                self._opened.notify_all()
                raise
            self._waiting -= 1
            self._writing = True
        began = time.perf_counter()
        try:
            yield
        finally:
            held = time.perf_counter() - began
            with self._lock:
                self.longest_hold = max(self.longest_hold, held)
                self._writing = False
                self._changes += 1
                self._owed = self._queued
                if self._queued:
                    self._opened.notify_all()
                self._let_a_writer_in()


class _Scan:
    """A reader that waits behind a waiting writer."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        gate = self._gate
        with gate._lock:
            if gate._writing or gate._waiting:
                gate._wait_to_read(urgent=False)
            gate._scans += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        gate = self._gate
        with gate._lock:
            gate._scans -= 1
            if gate._waiting:
                gate._let_a_writer_in()


class _Lookup(_Scan):
    """A reader that may pass a writer who waits for scans."""

    __slots__ = ()

    def __enter__(self) -> None:
        gate = self._gate
        with gate._lock:
            if gate._writing or (gate._waiting and not gate._scans):
                gate._wait_to_read(urgent=True)
            gate._lookups += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        gate = self._gate
        with gate._lock:
            gate._lookups -= 1
            if gate._waiting:
                gate._let_a_writer_in()
