"""What does a page cost over the wire? GetPage against an Echo, idle and while events arrive.

1. The most that GetPage does is found, closed loop, of a server that refuses nobody.
2. The servers get the same load by turns, light and open loop: p50 against p50. Beside GetPage and
   the Echo stands the floor (`echo.py`): what is over it is the price of deciding.
3. At half of that, open loop: p99 with nothing beside it, then while events arrive and audiences
   stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load.h2load import Loaded
from benchmarks.load.mix import beside, told
from benchmarks.load.processes import Started, say
from benchmarks.load.served import copy_of, echo_served, peak_of, shop_served

LIGHT_PER_SECOND = 320.0
"""20 a second of each of 16 connections: hardly two requests meet."""
_ROUNDS = 9
"""Turns of each, a fourth of `seconds` long: a machine that others use changes within seconds."""
_WARM = 100_000
"""Events before the first turn with ingest: memory that is read for the first time takes longer."""
_PAIRS = 5
"""Turns with and without ingest, half as long as `seconds`."""


def measure_pages(
    folder: Path,
    customers: int,
    modules: int,
    seconds: float,
    events: float,
    batch: int,
    workers: int = 0,
) -> dict[str, Any]:
    """The figures of GetPage; seconds: of a load, of which a turn of what is compared is a part.

    workers: processes that decide beside the one that writes, and as many of the Echo; 0: one does
    all.
    """
    peak = peak_of(folder, customers, modules, seconds, workers)
    with (
        copy_of(folder) as copied,
        shop_served(copied, customers, modules, workers) as page,
        echo_served(page, workers or 1) as echo,
        echo_served(page, workers or 1, floor=True) as floor,
    ):
        servers = {"echo": echo, "floor": floor, "page": page}
        found: dict[str, list[Loaded]] = {name: [] for name in servers}
        for server in servers.values():
            server.load(1.0)
        for number in range(_ROUNDS):
            say(f"light load, round {number + 1} of {_ROUNDS}: the Echo, the floor, then GetPage")
            for name, server in servers.items():
                found[name].append(server.load(seconds / 4, LIGHT_PER_SECOND))
        light = {name: _summary(loads) for name, loads in found.items()}
        rate = peak / 2
        alone: list[Loaded] = []
        busy: list[Loaded] = []
        written: list[dict[str, Any]] = []

        def ingest(seed: int, **more: object) -> AbstractContextManager[Started]:
            return beside("ingest", page.target, page.token, rate=events, batch=batch, seed=seed,
                          customers=customers, as_of=page.as_of, **more)  # fmt: skip

        say(f"{_WARM:,} events, that the server is as it is after hours")
        with ingest(0, warm=_WARM) as writer:
            told(writer)
        for number in range(_PAIRS):
            say(f"half of the peak, {rate:,.0f} a second, round {number + 1} of {_PAIRS}: nothing "
                f"beside it, then {events:,.0f} events a second")  # fmt: skip
            alone.append(page.load(seconds / 2, rate))
            with ingest(number + 1) as writer:
                busy.append(page.load(seconds / 2, rate))
                written.append(told(writer))
        say("the same with audiences streaming too")
        with ingest(_PAIRS + 1) as writer, beside("streams", page.target, page.token) as reader:
            mixed = page.load(seconds, rate)
            read, written_too = told(reader), told(writer)
    return {
        "customers": customers,
        "modules": modules,
        "workers": workers,
        "light": {"per_second": LIGHT_PER_SECOND, **light},
        "p50_against_echo": _p50_ratio(found["page"], found["echo"]),
        "p50_against_floor": _p50_ratio(found["page"], found["floor"]),
        "peak_per_second": round(peak),
        "half_of_peak_per_second": round(rate),
        "alone": _summary(alone),
        "under_ingest": {**_summary(busy), "ingest": written},
        "p99_under_ingest_against_alone": round(
            median(b.ms(99) / a.ms(99) for b, a in zip(busy, alone, strict=True)), 3
        ),
        "under_ingest_and_streams": {**_summary([mixed]), "ingest": written_too, "streams": read},
        "p99_mixed_against_alone": round(mixed.ms(99) / median(each.ms(99) for each in alone), 3),
    }


def _p50_ratio(one: Sequence[Loaded], other: Sequence[Loaded]) -> float:
    """The median of p50 against p50, turn by turn."""
    return round(median(a.ms(50) / b.ms(50) for a, b in zip(one, other, strict=True)), 3)


def _summary(loads: Sequence[Loaded]) -> dict[str, float]:
    """The medians of several loads of one kind; failures in all."""
    return {
        "p50_ms": round(median(each.ms(50) for each in loads), 3),
        "p99_ms": round(median(each.ms(99) for each in loads), 3),
        "per_second": round(median(each.per_second for each in loads)),
        "cpu_us_per_request": round(median(each.cpu_us for each in loads)),
        "failed": sum(each.failed for each in loads),
        "refused": sum(each.ended.get("RESOURCE_EXHAUSTED", 0) for each in loads),
        "untaken": sum(each.untaken for each in loads),
    }
