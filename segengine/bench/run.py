"""Times every engine on every case, answers checked first, in one run on one machine."""

from __future__ import annotations

import gc
import platform
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from segengine.bench.cases import CASES, EIGHT, Case
from segengine.bench.engines import Counting, DuckDB, Polars, Segengine
from segengine.bench.population import population
from segengine.kernels import jit

Say = Callable[[str], None]


def run(
    customers: int = 1_000_000,
    *,
    repeats: int = 9,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Milliseconds by case and engine (median), ratios to the fastest other, and the machine.

    Raises AssertionError when two engines answer differently: nothing is timed then.
    """
    say(f"making {customers:,} buyers")
    table = population(customers)
    engines: list[Counting] = []
    for kind in (Segengine, DuckDB, Polars):
        try:
            engine = kind(table)
        except ModuleNotFoundError as error:
            say(f"left out: {error.name} is not installed (pip install segengine[bench])")
            continue
        say(f"loaded into {engine.name}")
        engines.append(engine)
    del table
    gc.collect()
    for case in CASES:
        _agree(case, engines)
    say("all engines agree on every case")
    rows = []
    for case in CASES:
        say(f"timing {case.name}")
        rows.append(_timed(case, engines, repeats))
    ours = engines[0].name
    ratios = [row["speedup"] for row in rows if row["speedup"]]
    return {
        "customers": customers,
        "repeats": repeats,
        "machine": machine(),
        "engines": [engine.name for engine in engines],
        "ours": ours,
        "cases": rows,
        "geometric_mean_speedup": statistics.geometric_mean(ratios) if ratios else None,
        "eight_predicates_ms": next(r["ms"][ours] for r in rows if r["case"] == EIGHT),
        "read_bandwidth_gb_per_s": bandwidth(),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _agree(case: Case, engines: list[Counting]) -> None:
    for k in (0, 5):
        answers = {engine.name: engine.count(case, k) for engine in engines}
        if len(set(answers.values())) > 1:
            raise AssertionError(f"{case.name}: the engines disagree on {case.rule(k)}: {answers}")


def _timed(case: Case, engines: list[Counting], repeats: int) -> dict[str, Any]:
    """Medians over new rules; the engines take turns, so that drift meets all alike."""
    times: dict[str, list[float]] = {engine.name: [] for engine in engines}
    count = engines[0].count(case, 0)
    for k in range(1, repeats + 1):
        for engine in engines:
            started = time.perf_counter()
            engine.count(case, k)
            times[engine.name].append(1000 * (time.perf_counter() - started))
    medians = {name: statistics.median(each) for name, each in times.items()}
    ours, *others = [medians[engine.name] for engine in engines]
    return {
        "case": case.name,
        "rule": case.rule(0),
        "count": count,
        "ms": medians,
        "ms_min": {name: min(each) for name, each in times.items()},
        "speedup": min(others) / ours if others else None,
    }


def bandwidth(megabytes: int = 256) -> float:
    """GB/s at which both cores together read memory that no cache holds."""
    values = np.ones(megabytes * 2**17, np.float64)
    best = 0.0
    for _ in range(3):
        started = time.perf_counter()
        jit.over_ranges(lambda begin, end: values[begin:end].sum(), len(values))
        best = max(best, values.nbytes / (time.perf_counter() - started) / 1e9)
    return best


def machine() -> dict[str, Any]:
    """The processor, cores and Python that a result belongs to."""
    from llvmlite import binding  # noqa: PLC0415 - only for the name of the processor

    return {
        "processor": str(binding.get_host_cpu_name()),
        "cores": jit.THREADS,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
