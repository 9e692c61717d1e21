"""What do more processes bring? GetPage by workers against an Echo of as many processes.

Both get the same load by turns, closed loop: the most that each answers. Beside it stand the
processor time of a request, all processes of the server together, which is what a larger machine is
planned with, and the memory that is a worker's own: the tables are not in it.
"""

from __future__ import annotations

import base64
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load.h2load import Loaded, load
from benchmarks.load.mix import GET_PAGE
from benchmarks.load.outcomes import calls_by_end, since
from benchmarks.load.pages import Server, check_pages, replies_of
from benchmarks.load.processes import say, started
from benchmarks.load.serving import token_in

CONNECTIONS = 32
"""More than of one process: the kernel deals them out by chance."""
_ROUNDS = 9
"""Turns of each, a third of `seconds` long: a machine that others use changes within seconds."""


@dataclass(frozen=True, slots=True)
class Crewed:
    """A server of several processes. pids: of all of them; table_bytes: of the store."""

    server: Server
    pids: list[int]
    table_bytes: int = 0

    def load(self, seconds: float) -> Loaded:
        """As many as are answered; h2load takes a refusal for an answer, the server does not."""
        metrics = self.server.metrics_port
        before = self._ended()
        found = load(
            self.server.target, GET_PAGE, self.server.messages, self.pids, seconds=seconds,
            token=self.server.token, connections=CONNECTIONS,
        )  # fmt: skip
        return replace(found, ended=since(before, self._ended())) if metrics else found

    def _ended(self) -> dict[str, int]:
        # Workers say every second what they counted.
        time.sleep(1.5 if self.server.metrics_port else 0.0)
        return calls_by_end(self.server.metrics_port)


def answered(loaded: Loaded) -> int:
    """Requests that got a page."""
    return loaded.ended["OK"] if loaded.ended else loaded.requests


@contextmanager
def crewed(folder: Path, customers: int, modules: int, workers: int) -> Iterator[Crewed]:
    """A server with workers over the shop in `folder`, its answers checked; 0: one process."""
    with tempfile.TemporaryDirectory(prefix="segengine-load-") as name:
        token, file = token_in(Path(name))
        say(f"starting a server of {workers} workers over {customers:,} buyers")
        with started(
            "benchmarks.load.serving", "store", "--folder", str(folder), "--tokens", str(file),
            "--customers", str(customers), "--modules", str(modules), "--workers", str(workers),
        ) as running:  # fmt: skip
            visits = [(base64.b64decode(m), placed) for m, placed in running.said["visits"]]
            server = Server(
                f"127.0.0.1:{running.said['port']}", running.pid, token,
                [message for message, _ in visits], running.said["as_of"],
                running.said["metrics_port"],
            )  # fmt: skip
            for _ in range(2 * workers or 1):
                # A channel of its own each time: another worker may have it.
                check_pages(server, [placed for _, placed in visits])
            found = subprocess.run(
                ["/usr/bin/ps", "--ppid", str(running.pid), "-o", "pid="],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            pids = [running.pid, *map(int, found.stdout.split())]
            yield Crewed(server, pids, running.said["table_bytes"])


@contextmanager
def echoes(like: Server, count: int) -> Iterator[Crewed]:
    """An Echo of several processes that share a port."""
    sizes = sorted(replies_of(like), key=len)
    with tempfile.TemporaryDirectory(prefix="segengine-load-") as name, ExitStack() as stack:
        token, file = token_in(Path(name))
        reply = Path(name) / "reply"
        reply.write_bytes(sizes[len(sizes) // 2])
        pids, port = [], 0
        for _ in range(count):
            running = stack.enter_context(started(
                "benchmarks.load.serving", "echo", "--tokens", str(file), "--reply", str(reply),
                "--port", str(port), "--reuse-port",
            ))  # fmt: skip
            port = running.said["port"]
            pids.append(running.pid)
        yield Crewed(Server(f"127.0.0.1:{port}", pids[0], token, like.messages), pids)


def own_bytes(pid: int) -> int:
    """Memory that a process shares with nobody: what it costs beside the others."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kinds = ("Private_Clean", "Private_Dirty")
    return 1024 * sum(int(line.split()[1]) for line in lines if line.split(":")[0] in kinds)


def measure_workers(
    folder: Path, customers: int, modules: int, seconds: float, workers: int
) -> dict[str, Any]:
    """The figures of several processes; seconds: of each load, of which a turn is a third."""
    with (
        crewed(folder, customers, modules, workers) as page,
        echoes(page.server, workers) as echo,
    ):
        page.load(1.0)
        echo.load(1.0)
        found: dict[str, list[Loaded]] = {"echo": [], "page": []}
        for number in range(_ROUNDS):
            say(f"as many as are answered, round {number + 1} of {_ROUNDS}: the Echo, then GetPage")
            found["echo"].append(echo.load(seconds / 3))
            found["page"].append(page.load(seconds / 3))
        own = [own_bytes(pid) for pid in page.pids[1:]]
    each = {
        name: {
            "per_second": round(median(one.per_second for one in loads)),
            "refused": sum(one.requests - answered(one) for one in loads),
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
        "throughput_against_echo": round(
            median(
                p.per_second / e.per_second
                for p, e in zip(found["page"], found["echo"], strict=True)
            ), 3
        ),
        "table_megabytes": page.table_bytes >> 20,
        "own_megabytes_of_workers": [each >> 20 for each in own],
    }  # fmt: skip
