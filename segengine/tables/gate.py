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
        # Two objects for all readers: a page asks for one, and a generator costs a microsecond.
        self._scans, self._lookups = _Readers(self, may_pass=False), _Readers(self, may_pass=True)
        self._writing = False
        self._waiting = 0
        self._queued = 0
        """Readers that wait."""
        self._owed = 0
        """How many of them were there when the last change ended: they go in before the next."""
        self._changes = 0
        self.longest_hold = 0.0
        """Seconds that the longest change kept readers out, since `forget_holds`."""

    def forget_holds(self) -> None:
        """Measure the longest hold anew."""
        self.longest_hold = 0.0

    def reading(self, *, urgent: bool = False) -> AbstractContextManager[None]:
        """Look at the tables; nothing changes inside."""
        return self._lookups if urgent else self._scans

    def _wait_to_read(self, *, may_pass: bool) -> None:
        """Wait until a reader may go in; called with the lock held."""
        asked = self._changes
        self._queued += 1
        try:
            while self._writing or not (
                asked != self._changes
                or self._waiting == 0
                or (may_pass and self._scans.inside > 0)
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
        if self._waiting and not (self._scans.inside or self._lookups.inside or self._owed):
            self._emptied.notify()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Change the tables; nobody looks inside."""
        with self._lock:
            self._waiting += 1
            try:
                while self._writing or self._scans.inside or self._lookups.inside or self._owed:
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


class _Readers:
    """All that read in one way. may_pass: they pass a writer who waits for scans."""

    __slots__ = ("_gate", "_may_pass", "inside")

    def __init__(self, gate: Gate, *, may_pass: bool) -> None:
        self._gate, self._may_pass = gate, may_pass
        self.inside = 0

    def __enter__(self) -> None:
        gate = self._gate
        with gate._lock:
            if gate._writing or (gate._waiting and not (self._may_pass and gate._scans.inside)):
                gate._wait_to_read(may_pass=self._may_pass)
            self.inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        gate = self._gate
        with gate._lock:
            self.inside -= 1
            if gate._waiting:
                gate._let_a_writer_in()
