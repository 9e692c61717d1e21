"""What do more processes bring? GetPage by workers against an Echo of as many processes.

Both get the same load by turns, closed loop: the most that each answers. Beside it stand the
processor time of a request, all processes of the server together, which is what a larger machine is
planned with, and the memory that is a worker's own: the tables are not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load.h2load import Loaded
from benchmarks.load.processes import say
from benchmarks.load.served import echo_served, shop_served

CONNECTIONS = 32
"""More than of one process: the kernel deals them out by chance."""
_ROUNDS = 9
"""Turns of each, a third of `seconds` long: a machine that others use changes within seconds."""


def answered(loaded: Loaded) -> int:
    """Requests that got a page."""
    return loaded.ended["OK"] if loaded.ended else loaded.requests


def own_bytes(pid: int) -> int:
    """Memory that a process shares with nobody: what it costs beside the others."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kinds = ("Private_Clean", "Private_Dirty")
    return 1024 * sum(int(line.split()[1]) for line in lines if line.split(":")[0] in kinds)


def _ratio(one: Sequence[Loaded], other: Sequence[Loaded]) -> float:
    """The median of throughput against throughput, turn by turn."""
    return round(median(a.per_second / b.per_second for a, b in zip(one, other, strict=True)), 3)


def measure_workers(
    folder: Path, customers: int, modules: int, seconds: float, workers: int
) -> dict[str, Any]:
    """The figures of several processes; seconds: of each load, of which a turn is a third."""
    with (
        # What they answer at most is asked, closed loop: as of the Echo, nobody is refused.
        shop_served(folder, customers, modules, workers, refuse=False) as page,
        echo_served(page, workers) as echo,
        echo_served(page, workers, floor=True) as floor,
    ):
        servers = {"echo": echo, "floor": floor, "page": page}
        found: dict[str, list[Loaded]] = {name: [] for name in servers}
        for server in servers.values():
            server.load(1.0, connections=CONNECTIONS)
        for number in range(_ROUNDS):
            say(f"as many as are answered, round {number + 1} of {_ROUNDS}: the Echo, the floor, "
                "then GetPage")  # fmt: skip
            for name, server in servers.items():
                found[name].append(server.load(seconds / 3, connections=CONNECTIONS))
        own = [own_bytes(pid) for pid in page.pids[1:]]
    each = {
        name: {
            "per_second": round(median(one.per_second for one in loads)),
            "refused": sum(one.ended.get("RESOURCE_EXHAUSTED", 0) for one in loads),
            "p50_ms": round(median(one.ms(50) for one in loads), 3),
            "p99_ms": round(median(one.ms(99) for one in loads), 3),
            "cpu_us_per_request": round(
                median(1e6 * one.use.cpu_seconds / answered(one) for one in loads)
            ),
            "failed": sum(one.failed for one in loads),
        }
        for name, loads in found.items()
    }
    return {
        "customers": customers,
        "modules": modules,
        "workers": workers,
        **each,
        "throughput_against_echo": _ratio(found["page"], found["echo"]),
        "throughput_against_floor": _ratio(found["page"], found["floor"]),
        "table_megabytes": page.table_bytes >> 20,
        "own_megabytes_of_workers": [each >> 20 for each in own],
    }  # fmt: skip
