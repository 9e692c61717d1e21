"""Is there room for one more page? Who would wait longer than is worth it is refused at once.

Pages are decided one after the other, and calls are taken as soon as they come: so it is known how
many wait, and by how long the last ones took, how long one more would. A burst is answered, though
the last of it wait for `BURST_SECONDS`. But where calls have waited longer than `wait_seconds` for
`PATIENCE_SECONDS` on end, more are asked for than can be decided, and all would wait longer and
longer, until nobody gets a page while they still want it. From then on whoever would wait longer is
refused (RESOURCE_EXHAUSTED, `BUSY`), unread, until nobody had to be for `CALM_SECONDS`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

PATIENCE_SECONDS = 0.1
BURST_SECONDS = 0.03
CALM_SECONDS = 0.5
_FIRST_SECONDS = 0.0002
_MOST_SECONDS = 0.005
_WEIGHT = 1 / 32
_SAY_SECONDS = 10.0

_log = logging.getLogger("segengine_server")


class Turnstile:
    """Lets calls in while they need not wait long.  clock: seconds"""

    def __init__(self, wait_seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._wait_seconds, self._clock = wait_seconds, clock
        self._seconds = _FIRST_SECONDS
        """What one takes, what else was done beside it included."""
        self._to_say = 0
        self._short_at = self._answered_at = self._said = clock()
        self._busy_until = self._short_at
        self._was_line = False

    def has(self, waiting: int) -> bool:
        """Whether there is room for a call behind so many."""
        waits = waiting * self._seconds
        now = self._clock()
        if waits <= self._wait_seconds:
            self._short_at = now
            return True
        if now >= self._busy_until:
            if now - self._short_at > PATIENCE_SECONDS:
                self._busy_until = now + CALM_SECONDS
            elif waits <= BURST_SECONDS:
                return True
        else:
            self._busy_until = now + CALM_SECONDS
        self._note(now)
        return False

    def answered(self, began: float, waiting: int) -> None:
        """One was answered, since `began`, and so many wait now."""
        now = self._clock()
        took = now - (self._answered_at if self._was_line else began)
        self._seconds += (min(took, _MOST_SECONDS) - self._seconds) * _WEIGHT
        self._answered_at, self._was_line = now, waiting > 0

    def _note(self, now: float) -> None:
        self._to_say += 1
        if now - self._said >= _SAY_SECONDS:
            _log.warning(
                "more pages are asked for than can be decided: %d calls were refused", self._to_say
            )
            self._said, self._to_say = now, 0
