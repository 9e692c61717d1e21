from __future__ import annotations

import json

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from segengine_server.summed import Summed, samples_of


def counting(calls: int, took: float) -> CollectorRegistry:
    """A process that has answered some calls."""
    registry = CollectorRegistry()
    of = Counter("calls", "Calls.", ("code",), registry=registry)
    times = Histogram("seconds", "Times.", buckets=(1.0, 10.0), registry=registry)
    Gauge("now_in_flight", "Now.", registry=registry).set(2)
    for _ in range(calls):
        of.labels("OK").inc()
        times.observe(took)
    return registry


def told(registry: CollectorRegistry) -> list[list[object]]:
    """As it comes through a pipe."""
    found: list[list[object]] = json.loads(json.dumps(samples_of(registry)))
    return found


def lines(summed: Summed) -> dict[str, float]:
    outer = CollectorRegistry()
    outer.register(summed)
    rows = (line.rpartition(" ") for line in generate_latest(outer).decode().splitlines())
    return {name: float(value) for name, _, value in rows if not name.startswith("#")}


def test_what_processes_counted_is_added_up() -> None:
    summed = Summed(counting(1, 0.5))
    for number in (1, 2):
        summed.begins(number)
        summed.answers(number)
        summed.take(number, told(counting(10 * number, 5.0)))
    found = lines(summed)
    assert found['calls_total{code="OK"}'] == 31
    assert found["seconds_count"] == 31
    assert found['seconds_bucket{le="1.0"}'] == 1
    assert found['seconds_bucket{le="10.0"}'] == 31
    assert found["seconds_sum"] == 150.5
    assert found["now_in_flight"] == 6


def test_what_only_a_worker_has_seen_is_there_too() -> None:
    summed = Summed(counting(0, 0.0))
    summed.begins(1)
    summed.take(1, told(counting(3, 1.0)))
    assert lines(summed)['calls_total{code="OK"}'] == 3


def test_no_counter_falls_when_a_worker_ends() -> None:
    summed = Summed(counting(0, 0.0))
    summed.begins(1)
    summed.answers(1)
    summed.take(1, told(counting(4, 1.0)))
    summed.ended(1)
    found = lines(summed)
    assert found['calls_total{code="OK"}'] == 4
    # Its calls in flight are no more.
    assert found["now_in_flight"] == 2
    assert found['segengine_worker_up{worker="1"}'] == 0
    summed.begins(1)
    summed.answers(1)
    summed.take(1, told(counting(1, 1.0)))
    found = lines(summed)
    assert found['calls_total{code="OK"}'] == 5
    assert found['segengine_worker_starts{worker="1"}'] == 2
    assert found['segengine_worker_up{worker="1"}'] == 1
