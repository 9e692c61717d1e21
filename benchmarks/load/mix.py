"""What else does a server do meanwhile? Events arrive, audiences stream, a client looks closely.

`python -m benchmarks.load.mix ingest|streams|probe TARGET`, each a process of its own: it writes
one line of JSON when it begins, works until SIGTERM, and writes one more with what it saw.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from random import Random
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
from segengine_server import Client
from segengine_server.errors import ServerError

from benchmarks.load.processes import Started, started

TOKEN = "SEGENGINE_LOAD_TOKEN"
"""Whence the token is taken: a command line is read by others."""
GET_PAGE = "/segengine.v1.PageService/GetPage"
_KINDS = ("view", "cart", "search")
_READY = 100_000
"""Events that are made beforehand, and sent again from the front."""


@contextmanager
def beside(what: str, target: str, token: str, **options: object) -> Iterator[Started]:
    """One of the programs below, running while the block does; `told` is asked of it after."""
    words = [word for name, value in options.items()
             for word in (f"--{name.replace('_', '-')}", str(value))]  # fmt: skip
    os.environ[TOKEN] = token
    with started("benchmarks.load.mix", what, target, *words) as running:
        yield running


def told(running: Started) -> dict[str, Any]:
    """End a program of the mix; what it saw."""
    running.process.send_signal(signal.SIGTERM)
    assert running.process.stdout is not None
    line = running.process.stdout.readline()
    found: dict[str, Any] = json.loads(line) if line else {"failed": "it said nothing"}
    return found


def percentiles(seconds: list[float]) -> dict[str, float]:
    """In milliseconds; nothing for no call."""
    if not seconds:
        return {}
    half, most, worst = np.percentile(np.array(seconds) * 1000, (50, 99, 100))
    return {
        "p50_ms": round(float(half), 3),
        "p99_ms": round(float(most), 3),
        "worst_ms": round(float(worst), 3),
    }


def _say(said: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def _until_told() -> threading.Event:
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    return ended


def ingest(asked: argparse.Namespace) -> None:
    """Append batches of events at a rate; a late batch is sent at once, and said to be late.

    warm: events that are appended before it says that it has begun; one batch at least. seed:
    another one has events of other buyers.
    """
    ended, rng = _until_told(), Random(asked.seed)
    moment = datetime.fromisoformat(asked.as_of)
    gap = asked.batch / asked.rate
    taken: list[float] = []
    events, lag, failed = 0, 0.0, ""

    def rows() -> pa.Table:
        owners = [rng.randrange(1, asked.customers + 1) for _ in range(asked.batch)]
        return pa.table(
            {
                "customer_id": owners,
                "time": [moment] * asked.batch,
                "kind": [rng.choice(_KINDS) for _ in owners],
            }
        )

    with Client(asked.target, token=os.environ[TOKEN], timeout=30) as client:
        # Made beforehand: who makes rows while they are sent takes from what is measured.
        ready = [rows() for _ in range(_READY // asked.batch + 1)]
        for _ in range(max(1, asked.warm // asked.batch)):
            client.append("behaviors", rows())
        _say({"began": True})
        began = time.perf_counter()
        while not ended.is_set():
            due = began + len(taken) * gap
            ended.wait(max(0.0, due - time.perf_counter()))
            batch, sent = ready[len(taken) % len(ready)], time.perf_counter()
            lag = max(lag, sent - due)
            try:
                events += client.append("behaviors", batch).rows_loaded
            except ServerError as error:
                failed = str(error)
                break
            taken.append(time.perf_counter() - sent)
        spent = time.perf_counter() - began
    _say({"events_per_second": round(events / spent), "late_ms": round(1000 * lag, 1),
          "failed": failed, **percentiles(taken)})  # fmt: skip


def streams(asked: argparse.Namespace) -> None:
    """Stream an audience, wait, and again; what came is counted as often as it came."""
    ended = _until_told()
    taken: list[float] = []
    rows, failed = 0, ""
    with Client(asked.target, token=os.environ[TOKEN], timeout=60) as client:
        _say({"began": True})
        while not ended.wait(asked.every):
            sent = time.perf_counter()
            try:
                rows += client.stream(rule=asked.rule).num_rows
            except ServerError as error:
                failed = str(error)
                break
            taken.append(time.perf_counter() - sent)
    _say({"streams": len(taken), "rows": rows, "failed": failed, **percentiles(taken)})


def probe(asked: argparse.Namespace) -> None:
    """Ask for pages at a rate through one channel; times by the status they ended with.

    after: seconds until the first, in which a load begins.
    """

    async def asking() -> dict[str, Any]:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        message = base64.b64decode(asked.message)
        who = (("authorization", f"Bearer {os.environ[TOKEN]}"),)
        found: dict[str, list[float]] = {}
        rng, waiting = Random(11), set()
        async with grpc.aio.insecure_channel(asked.target) as channel:
            await channel.channel_ready()
            page = channel.unary_unary(GET_PAGE)

            async def one() -> None:
                sent, code = time.perf_counter(), "OK"
                try:
                    await page(message, metadata=who, timeout=10)
                except grpc.aio.AioRpcError as error:
                    code = error.code().name
                found.setdefault(code, []).append(time.perf_counter() - sent)

            _say({"began": True})
            await asyncio.sleep(asked.after)
            due = time.perf_counter()
            while not ended.is_set():
                due += rng.expovariate(asked.rate)
                left = due - time.perf_counter()
                if left > 0:
                    await asyncio.sleep(left)
                each = asyncio.ensure_future(one())
                waiting.add(each)
                each.add_done_callback(waiting.discard)
            await asyncio.gather(*waiting)
        return {code: {"calls": len(times), **percentiles(times)}
                for code, times in sorted(found.items())}  # fmt: skip

    _say(asyncio.run(asking()))


def main() -> None:
    """Work until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.mix")
    kinds = parser.add_subparsers(required=True)
    writer = kinds.add_parser("ingest")
    writer.add_argument("--rate", type=float, default=5_000)
    writer.add_argument("--batch", type=int, default=1_000)
    writer.add_argument("--warm", type=int, default=0)
    writer.add_argument("--seed", type=int, default=0)
    writer.add_argument("--customers", type=int, required=True)
    writer.add_argument("--as-of", required=True)
    writer.set_defaults(work=ingest)
    reader = kinds.add_parser("streams")
    reader.add_argument("--rule", default="order_count >= 1")
    reader.add_argument("--every", type=float, default=1.0)
    reader.set_defaults(work=streams)
    looker = kinds.add_parser("probe")
    looker.add_argument("--rate", type=float, default=100)
    looker.add_argument("--message", required=True)
    looker.add_argument("--after", type=float, default=0.0)
    looker.set_defaults(work=probe)
    for each in (writer, reader, looker):
        each.add_argument("target")
    asked = parser.parse_args()
    asked.work(asked)


if __name__ == "__main__":
    main()
