"""Which answers have still to read something from the columns, before a buyer goes?

An answer is frozen when it is given, and lists its buyers when it is asked. A buyer who is deleted
in between is read before, so that the answer stays what it was.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Protocol
from weakref import WeakSet


class Reading(Protocol):
    """An answer of which something is still to be read."""

    def read(self) -> None:
        """Read it; whoever calls holds the store still."""
        ...


@dataclass(frozen=True, slots=True)
class Unread:
    """Those answers that somebody still holds."""

    _answers: WeakSet[Reading] = field(default_factory=WeakSet)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, answer: Reading) -> None:
        """An answer was given."""
        with self._lock:
            self._answers.add(answer)

    def discard(self, answer: Reading) -> None:
        """It has been read."""
        with self._lock:
            self._answers.discard(answer)

    def read(self) -> None:
        """Let every answer read what it needs."""
        with self._lock:
            waiting = list(self._answers)
        for answer in waiting:
            answer.read()
