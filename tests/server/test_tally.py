"""What is counted is what a monitor reads: every call once, in the bucket of its time."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from segengine_server.tally import SECONDS, Tally


def read(tally: Tally) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(tally)
    lines = generate_latest(registry).decode().splitlines()
    found = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in found}


def test_each_call_is_in_the_buckets_from_its_time_on() -> None:
    tally = Tally()
    part = tally.part()
    times = [0.0, SECONDS[0], 0.003, 0.005, 7.0, 3_600.0]
    for seconds in times:
        part.ended("S/M", "OK", seconds)
    found = read(tally)
    for bound in SECONDS:
        name = f'segengine_call_seconds_bucket{{code="OK",le="{bound}",method="S/M"}}'
        assert found[name] == sum(seconds <= bound for seconds in times), bound
    assert found['segengine_call_seconds_bucket{code="OK",le="+Inf",method="S/M"}'] == 6
    assert found['segengine_call_seconds_count{code="OK",method="S/M"}'] == 6
    assert abs(found['segengine_call_seconds_sum{code="OK",method="S/M"}'] - sum(times)) < 1e-9
    assert found['segengine_calls_total{code="OK",method="S/M"}'] == 6


def test_calls_are_told_apart_by_method_and_end_and_those_in_flight_are_shown() -> None:
    tally = Tally()
    part = tally.part()
    part.ended("S/M", "OK", 0.1)
    part.ended("S/M", "NOT_FOUND", 0.1)
    part.ended("S/N", "OK", 0.1)
    part.in_flight = 2
    found = read(tally)
    for method, code in (("S/M", "OK"), ("S/M", "NOT_FOUND"), ("S/N", "OK")):
        assert found[f'segengine_calls_total{{code="{code}",method="{method}"}}'] == 1
    assert found["segengine_calls_in_flight"] == 2


def test_before_any_call_nothing_is_counted() -> None:
    assert read(Tally()) == {"segengine_calls_in_flight": 0}


def test_what_several_threads_have_counted_is_added() -> None:
    tally = Tally()
    for number in range(3):
        part = tally.part()
        part.in_flight = number
        for _ in range(number):
            part.ended("S/M", "OK", 0.5)
    found = read(tally)
    assert found["segengine_calls_in_flight"] == 3
    assert found['segengine_calls_total{code="OK",method="S/M"}'] == 3
    assert found['segengine_call_seconds_bucket{code="OK",le="0.2",method="S/M"}'] == 0
    assert found['segengine_call_seconds_bucket{code="OK",le="0.5",method="S/M"}'] == 3
    assert found['segengine_call_seconds_sum{code="OK",method="S/M"}'] == 1.5
