"""Who may look while the one writer changes the tables?

Any number of readers, or the writer. A scan waits behind a writer that is waiting; a page
lookup may pass it, so that a page never waits for more than one change.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """A readers-writer lock in favour of the writer, but for urgent readers."""

    def __init__(self) -> None:
        self._state = threading.Condition()
        self._readers = 0
        self._writing = False
        self._waiting = 0

    @contextmanager
    def reading(self, *, urgent: bool = False) -> Iterator[None]:
        """Look at the tables; nothing changes inside."""
        with self._state:
            while self._writing or (self._waiting and not urgent):
                self._state.wait()
            self._readers += 1
        try:
            yield
        finally:
            with self._state:
                self._readers -= 1
                if self._readers == 0:
                    self._state.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Change the tables; nobody looks inside."""
        with self._state:
            self._waiting += 1
            while self._writing or self._readers:
                self._state.wait()
            self._waiting -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._state:
                self._writing = False
                self._state.notify_all()
