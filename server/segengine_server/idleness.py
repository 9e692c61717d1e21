"""When had the event loop last nothing to do? A loop that knows, because its selector tells it.

Calls that wait to be taken wait within gRPC, where nobody can count them. But while some wait the
loop is never idle for long; so for how long it has not been idle is the most that a call it takes
now can have waited.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from weakref import WeakKeyDictionary

IDLE_SECONDS = 0.000_25
"""A shorter pause may be gRPC's own, between two calls that both wait."""


class Idle(selectors.DefaultSelector):
    """A selector that notes when it last waited for something to happen."""

    def __init__(self) -> None:
        super().__init__()
        self.at = time.perf_counter()
        """When the loop was last idle, by `time.perf_counter`."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready, waited for at most so long."""
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        began = time.perf_counter()
        found = super().select(timeout)
        now = time.perf_counter()
        if now - began >= IDLE_SECONDS:
            self.at = now
        return found


_KNOWN: WeakKeyDictionary[asyncio.AbstractEventLoop, Idle] = WeakKeyDictionary()


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose idleness is known; for `asyncio.Runner(loop_factory=new_loop)`."""
    idle = Idle()
    loop = asyncio.SelectorEventLoop(idle)
    _KNOWN[loop] = idle
    return loop


def idle_of(loop: asyncio.AbstractEventLoop) -> Idle | None:
    """How idle a loop is; None for one that `new_loop` has not made."""
    return _KNOWN.get(loop)
