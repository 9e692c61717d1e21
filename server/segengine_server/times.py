"""How long are rules at work, and how long do they wait for a thread? Told from those threads.

What a call took is both together, and the way there and back. Pages are decided where they arrive:
what their calls take is what their rules take.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from prometheus_client import CollectorRegistry, Histogram

from segengine_server.tally import SECONDS

_T = TypeVar("_T")


class Times:
    """Histograms of waiting and working, by what is done: `questions`, `changes`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._working = Histogram(
            "segengine_rule_seconds", "How long threads were at work on calls.", ("what",),
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._waiting = Histogram(
            "segengine_wait_seconds", "How long calls waited for a thread.", ("what",),
            buckets=SECONDS, registry=registry,
        )  # fmt: skip

    def timed(self, what: str, work: Callable[[], _T]) -> Callable[[], _T]:
        """`work`, timed from now until it begins, and until it ends."""
        asked = time.perf_counter()

        def run() -> _T:
            began = time.perf_counter()
            self._waiting.labels(what).observe(began - asked)
            try:
                return work()
            finally:
                self._working.labels(what).observe(time.perf_counter() - began)

        return run
