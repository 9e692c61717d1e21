"""Who has a served store's next snapshot written, and when is that said?

A thread looks every few seconds whether one is due; another process writes it. What it does is
logged: why it begins, how far it is every quarter of the way, and how long it took. One that cannot
be written is tried again after some minutes; until then the log grows, and nothing is lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from segengine.errors import SegengineError

LOOK_SECONDS = 5.0
AGAIN_SECONDS = 300.0
_QUARTER = 0.25
_log = logging.getLogger(__name__)


class Kept(Protocol):
    """A store whose snapshots are written beside its answers."""

    def snapshot_due(self) -> str | None:
        """Why the next one is to be written now."""
        ...

    def snapshot(self, progress: Callable[[int, int], None] | None = None, /) -> int | None:
        """Write it; the number of the newest change that it holds."""
        ...

    def stop_snapshot(self) -> None:
        """Give up the one that is being made."""
        ...


@contextmanager
def snapshots_written(
    store: Kept, look_seconds: float = LOOK_SECONDS, again_seconds: float = AGAIN_SECONDS
) -> Iterator[None]:
    """Have snapshots written as they are due, until the end; one in the making is given up then."""
    ended = threading.Event()

    def look() -> None:
        pause = look_seconds
        while not ended.wait(pause):
            why, began = store.snapshot_due(), time.perf_counter()
            is_written = why is None or _write(store, why, ended)
            # Half of the time at most: the disk and the processors are for those who ask.
            took = time.perf_counter() - began
            pause = max(look_seconds, took) if is_written else again_seconds

    thread = threading.Thread(target=look, name="snapshots")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        while thread.is_alive():
            # It may be about to begin one.
            store.stop_snapshot()
            thread.join(0.1)


def _write(store: Kept, why: str, ended: threading.Event) -> bool:
    """Whether a snapshot was written; what came of it is logged."""
    _log.info("writing a snapshot: %s", why)
    began, said = time.perf_counter(), 0.0

    def tell(done: int, total: int) -> None:
        nonlocal said
        share = done / max(1, total)
        if said + _QUARTER <= share < 1:
            said = share
            _log.info("writing a snapshot: %.0f %% of %.1f MB", 100 * share, total / 1e6)

    try:
        held = store.snapshot(tell)
    except SegengineError as error:
        if not ended.is_set():
            _log.warning("no snapshot was written: %s", error)
        return False
    except Exception:
        _log.exception("no snapshot was written")
        return False
    took = time.perf_counter() - began
    _log.info("a snapshot holds the changes up to %s; it took %.1f s", held, took)
    return True
