"""Does anybody still wait for this answer? Work that nobody waits for ends.

Whoever asks in the name of somebody who may leave, a caller with a deadline, asks within
`waited_for(stop)` and sets `stop` from another thread. Scans look between blocks of rows, and end
with `StoppedError`; what is kept between questions is then as if it had not been asked. Only
questions are asked so: a change that was begun has to come to its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from segengine.errors import SegengineError


class StoppedError(SegengineError):
    """Nobody waits for the answer any more."""

    reason = "STOPPED"


class Stop:
    """Whether somebody has left; `set` may be called from any thread, and more than once."""

    __slots__ = ("_ends", "_lock", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._lock = threading.Lock()
        self._ends: list[Callable[[], object]] = []

    def set(self) -> None:
        """They have left: what is at work for them is told to end."""
        with self._lock:
            self.is_set = True
            ends, self._ends = self._ends, []
        for end in ends:
            end()

    @contextmanager
    def telling(self, end: Callable[[], object]) -> Iterator[None]:
        """Call `end` when it is set within the block; at once where it is set already."""
        with self._lock:
            is_late = self.is_set
            if not is_late:
                self._ends.append(end)
        if is_late:
            end()
        try:
            yield
        finally:
            with self._lock:
                if end in self._ends:
                    self._ends.remove(end)


_asked: ContextVar[Stop | None] = ContextVar("stop", default=None)


def current() -> Stop | None:
    """Who is waited for by this thread's work; None: it goes on to its end."""
    return _asked.get()


def go_on() -> None:
    """StoppedError where nobody waits any more."""
    stop = _asked.get()
    if stop is not None and stop.is_set:
        raise StoppedError("nobody waits for the answer any more")


@contextmanager
def waited_for(stop: Stop | None) -> Iterator[None]:
    """What is asked within ends when `stop` is set."""
    before = _asked.set(stop)
    try:
        yield
    finally:
        _asked.reset(before)


@contextmanager
def ending(end: Callable[[], object]) -> Iterator[None]:
    """Call `end`, from another thread, when nobody waits any more for what is done within."""
    stop = _asked.get()
    if stop is None:
        yield
        return
    with stop.telling(end):
        yield
