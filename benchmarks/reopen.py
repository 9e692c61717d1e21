"""How long does a store of so many buyers take to open, and the first page after it?

`python -m benchmarks.reopen --buyers 200000` makes a shop in a directory of its own, with a page of
1,000 modules, and opens it in new processes: with its files in the machine's memory, with its files
on the disk alone, and with a tail of changes after the snapshot. Every process checks that it
answers as the one that made the store did. Seconds, and MB of memory that belong to the process
alone, are printed as a table. At the end `segengine serve` opens it, from its start until it is
ready, and is asked for a page, over the wire. A folder that holds such a shop already is used as it
is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from segengine_server import Client

from segengine.bench import page_rules
from segengine.demo import generate
from segengine.engine import Engine

ANSWERS = "reopen.json"
RULES = (
    "amount_total > 500",
    "r_score = 5 AND NOT low_response",
    "lifecycle_stage = 'at_risk'",
    "preferred_category = 'lips' OR affinity('category', 'lips') > 0.3",
    "count(order_lines) FILTER (WHERE category = 'lips' AND time >= now() - INTERVAL 30 DAY) >= 1",
)
VISITORS = (1, 2, 77, 1000, -5)


def made(folder: Path, buyers: int, tables: list[str]) -> None:
    """Make the shop, and note what it answers."""
    if (folder / ANSWERS).exists():
        return
    store = generate(buyers)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "store.toml").write_text(_toml(store.config))
    with Engine.open(folder) as engine:
        with engine.built_once():
            for table in tables or store.tables:
                engine.load(table, store.reader(table))
        (page,) = page_rules.pages(1, 1_000, engine.as_of)
        engine.define_page(page)
        (folder / ANSWERS).write_text(json.dumps(answers(engine)))


def _toml(config: dict[str, Any]) -> str:
    """The store and its segments as a file says them."""
    store = {
        name: value.isoformat() if isinstance(value, datetime) else json.dumps(value)
        for name, value in config["store"].items()
    }
    segments = {
        name: json.dumps(said if isinstance(said, str) else said["rule"])
        for name, said in config["segments"].items()
    }
    sections = {"store": store, "segments": segments}
    return "\n".join(
        line
        for title, section in sections.items()
        for line in (f"[{title}]", *(f"{name} = {value}" for name, value in section.items()))
    )


def answers(engine: Engine) -> dict[str, Any]:
    """Some of what is asked of a store, of every kind of trait."""
    counts = {rule: engine.segment(rule).count() for rule in RULES}
    sums = engine.table("customers", ["amount_total", "recency_days", "p_alive", "views_30d"])
    totals = {name: str(pc.sum(sums[name]).as_py()) for name in sums.column_names}
    return {"counts": counts, "totals": totals, "pages": pages_of(engine)}


def pages_of(engine: Engine) -> list[str]:
    """What some visitors see."""
    name = next(iter(engine.pages))
    return [str(engine.page(name, each, {}).placements) for each in VISITORS]


def opened(folder: Path) -> None:
    """Open the shop in this process, and print what that took as JSON."""
    began = time.perf_counter()
    with Engine.open(folder) as engine:
        took = time.perf_counter() - began
        memory = own_memory()
        if not engine.pages:
            (page,) = page_rules.pages(1, 1_000, engine.as_of)
            engine.define_page(page)
        began = time.perf_counter()
        engine.page(next(iter(engine.pages)), VISITORS[1], {})
        page_took = time.perf_counter() - began
        began = time.perf_counter()
        found = answers(engine)
        all_took = time.perf_counter() - began
        expected = json.loads((folder / ANSWERS).read_text())
        is_same = json.loads(json.dumps(found)) == expected
        said = {"open": took, "page": page_took, "all": all_took, "MB": memory, "same": is_same}
    print(json.dumps(said))


def own_memory(pid: int | str = "self") -> float:
    """MB that are a process's alone: not those of files that are mapped."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return float("nan")


def in_new_process(folder: Path) -> dict[str, Any]:
    """What `opened` says of a process that does nothing else."""
    command = [sys.executable, "-m", "benchmarks.reopen", "--open", str(folder)]
    began = time.perf_counter()
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found | {"process": time.perf_counter() - began}


def served(folder: Path) -> dict[str, Any]:
    """The same of a server: until it is ready, and its first page over the wire."""
    expected = json.loads((folder / ANSWERS).read_text())
    with Engine.open(folder) as engine:
        (name, *_) = engine.pages
        told = str(engine.page(name, VISITORS[1], {}).placements)
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "segengine.cli", "serve", "--store", str(folder), "--port", "0",
         "--insecure", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as server:  # fmt: skip
        try:
            assert server.stdout is not None
            ready = json.loads(server.stdout.readline())
            took = time.perf_counter() - began
            with Client(f"127.0.0.1:{ready['port']}", timeout=60) as client:
                begun = time.perf_counter()
                shown = client.page(name, VISITORS[1], {})
                page_took = time.perf_counter() - begun
                begun = time.perf_counter()
                counts = {rule: client.count(rule=rule).count for rule in RULES}
                all_took = time.perf_counter() - begun
                memory = own_memory(server.pid)
        finally:
            server.terminate()
    is_same = counts == expected["counts"] and all(
        placed.module is None or placed.module in told for placed in shown.placements
    )
    return {"open": took, "page": page_took, "all": all_took, "MB": memory, "same": is_same,
            "process": took}  # fmt: skip


def forget_files(folder: Path) -> None:
    """Let the machine's memory let go of the files of a store."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def append_tail(folder: Path, events: int, buyers: int) -> None:
    """Append so many visits, 1,000 at a time, and note what is answered now."""
    with Engine.open(folder) as engine:
        for begin in range(0, events, 1_000):
            ids = pa.array([1 + (7919 * (begin + k)) % buyers for k in range(1_000)])
            times = pa.array([engine.as_of] * 1_000, pa.timestamp("us", "UTC"))
            engine.append(
                "behaviors",
                pa.table({"customer_id": ids, "time": times, "kind": ["view"] * 1_000}),
            )
        (folder / ANSWERS).write_text(json.dumps(answers(engine)))


@contextmanager
def _directory(given: str | None) -> Iterator[Path]:
    if given is not None:
        yield Path(given)
        return
    with tempfile.TemporaryDirectory(prefix="reopen-") as folder:
        yield Path(folder) / "shop"


def main() -> None:
    """Make the shop where there is none, open it, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--buyers", type=int, default=200_000)
    parser.add_argument(
        "--tables",
        nargs="*",
        default=["products", "customers", "orders", "order_lines"],
        help="which tables are loaded; without a name: all",
    )
    parser.add_argument("--folder", help="where the shop is, or is made; by default for this once")
    parser.add_argument("--tail", type=int, default=50_000, help="events after the snapshot")
    parser.add_argument("--open", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.open:
        opened(Path(asked.open))
        return
    with _directory(asked.folder) as folder:
        began = time.perf_counter()
        made(folder, asked.buyers, asked.tables)
        print(f"made in {time.perf_counter() - began:.1f} s", flush=True)
        size = sum(p.stat().st_size for p in (folder / "snapshots").rglob("*") if p.is_file())
        print(f"{asked.buyers:,} buyers, {size / 1e9:.2f} GB of snapshots", flush=True)
        rows = {"files in memory": in_new_process(folder)}
        forget_files(folder)
        rows["files on the disk"] = in_new_process(folder)
        if asked.tail:
            append_tail(folder, asked.tail, asked.buyers)
            rows[f"and {asked.tail:,} events"] = in_new_process(folder)
        rows["as a server"] = served(folder)
        print(f"{'':24}  open s  page s   all s  own MB  process s  same")
        for name, row in rows.items():
            print(
                f"{name:24}{row['open']:8.2f}{row['page']:8.3f}{row['all']:8.2f}"
                f"{row['MB']:8.0f}{row['process']:11.2f}  {row['same']}"
            )


if __name__ == "__main__":
    main()
