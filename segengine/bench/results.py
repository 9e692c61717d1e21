"""On what was it measured? The machine, the versions and the memory that a result belongs to."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from segengine.engine import Engine
from segengine.kernels import jit

PACKAGES = (
    "segengine", "numpy", "numba", "pyarrow", "duckdb", "polars", "datafusion", "chdb",
    "chdb-core", "growthbook", "common-expression-language", "zen-engine", "rule-engine",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """The processor, cores, memory and Python that a result belongs to."""
    from llvmlite import binding  # noqa: PLC0415 - only for the name of the processor

    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor() or str(binding.get_host_cpu_name()),
        "architecture": str(binding.get_host_cpu_name()),
        "cores": jit.THREADS,
        "memory_gb": round(pages / 2**30, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    """The name the processor gives itself, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")


def versions() -> dict[str, str]:
    """The version of every package that is compared, of those that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def bandwidth(megabytes: int = 256) -> float:
    """GB/s at which all cores together read memory that no cache holds."""
    values = np.ones(megabytes * 2**17, np.float64)
    best = 0.0
    for _ in range(3):
        started = time.perf_counter()
        jit.over_ranges(lambda begin, end: values[begin:end].sum(), len(values))
        best = max(best, values.nbytes / (time.perf_counter() - started) / 1e9)
    return best


def memory_of(engine: Engine, table: str, rows: int) -> dict[str, Any]:
    """Bytes a row of a table, and how many of them are scan codes."""
    held = engine.memory()
    held = held.filter(pc.equal(held["table"], table))
    total, codes = (pc.sum(held[c]).as_py() or 0 for c in ("total_bytes", "scan_codes_bytes"))
    return {
        "table": table,
        "bytes_per_row": round(total / rows, 1),
        "scan_code_bytes_per_row": round(codes / rows, 1),
    }


def peak_memory_mb() -> float:
    """The most memory the process has held, with every engine in it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
