"""Who may look while the one writer changes the tables?

Any number of readers, or the writer. A scan waits behind a writer that is waiting. A page lookup
may pass it while it waits for scans, which take milliseconds; it does not while the writer waits
for page lookups alone, or a busy page would keep the writer out for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """A readers-writer lock in favour of the writer, but for urgent readers.

    A reader must not enter again while it is inside: a writer waiting in between would stop both.
    """

    def __init__(self) -> None:
        self._state = threading.Condition()
        self._scans = 0
        self._lookups = 0
        self._writing = False
        self._waiting = 0

    def _may_read(self, *, urgent: bool) -> bool:
        if self._writing:
            return False
        return self._waiting == 0 or (urgent and self._scans > 0)

    @contextmanager
    def reading(self, *, urgent: bool = False) -> Iterator[None]:
        """Look at the tables; nothing changes inside."""
        with self._state:
            while not self._may_read(urgent=urgent):
                self._state.wait()
            if urgent:
                self._lookups += 1
            else:
                self._scans += 1
        try:
            yield
        finally:
            with self._state:
                if urgent:
                    self._lookups -= 1
                else:
                    self._scans -= 1
                if self._waiting:
                    self._state.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Change the tables; nobody looks inside."""
        with self._state:
            self._waiting += 1
            try:
                while self._writing or self._scans or self._lookups:
                    self._state.wait()
            finally:
                self._waiting -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._state:
                self._writing = False
                self._state.notify_all()
