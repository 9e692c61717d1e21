"""How many calls ended how, and how long did they take? Counted where they are answered.

A page is answered in microseconds, so that counting it takes part of one: whole numbers that one
thread alone writes, made into metrics when somebody asks for them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

# From a page in process to a census of millions.
SECONDS = (
    0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0,
)  # fmt: skip
"""Upper bounds of the histogram's buckets."""
_LABELS = ("method", "code")


class Ended:
    """Calls of one method that ended one way: by bucket, and their seconds in all."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(SECONDS) + 1)
        self.seconds = 0.0

    def count(self, seconds: float) -> None:
        """One more, which took so long."""
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.seconds += seconds


class Part:
    """What one thread has counted."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.of: dict[tuple[str, str], Ended] = {}

    def ended(self, method: str, code: str, seconds: float) -> None:
        """Count a call of `method` that ended with `code` after so long."""
        self.of_end(method, code).count(seconds)

    def of_end(self, method: str, code: str) -> Ended:
        """What counts calls of `method` that end with `code`."""
        found = self.of.get((method, code))
        if found is None:
            found = self.of[method, code] = Ended()
        return found


class Tally(Collector):
    """Calls in flight, and those that ended. Each thread counts in a part; any may collect."""

    def __init__(self) -> None:
        self._parts: list[Part] = []

    def part(self) -> Part:
        """One more part, for a thread of its own."""
        self._parts.append(Part())
        return self._parts[-1]

    def collect(self) -> Iterator[Metric]:
        """Counts, times and calls in flight, as they are now."""
        calls = CounterMetricFamily(
            "segengine_calls", "Calls by method and how they ended.", labels=_LABELS
        )
        times = HistogramMetricFamily(
            "segengine_call_seconds", "How long calls took, by method and how they ended.",
            labels=_LABELS,
        )  # fmt: skip
        for labels, some in self._by_labels().items():
            held, running = [], 0
            counts = map(sum, zip(*(each.buckets[:] for each in some), strict=True))
            for bound, count in zip((*SECONDS, "+Inf"), counts, strict=True):
                running += count
                held.append((str(bound), float(running)))
            calls.add_metric(labels, running)
            times.add_metric(labels, held, sum(each.seconds for each in some))
        yield calls
        yield times
        yield GaugeMetricFamily(
            "segengine_calls_in_flight", "Calls that are being answered.",
            value=sum(each.in_flight for each in self._parts),
        )  # fmt: skip

    def _by_labels(self) -> dict[tuple[str, str], list[Ended]]:
        found: dict[tuple[str, str], list[Ended]] = {}
        for part in self._parts:
            for labels, ended in list(part.of.items()):
                found.setdefault(labels, []).append(ended)
        return found
