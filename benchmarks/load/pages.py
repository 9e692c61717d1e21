"""What does a page cost over the wire? GetPage against an Echo, idle and while events arrive.

1. Both servers get the same load by turns, light and open loop: p50 against p50.
2. The most that GetPage does is found, closed loop.
3. At half of that, open loop: p99 with nothing beside it, then while events arrive and audiences
   stream.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import grpc

from benchmarks.load.h2load import Loaded, load
from benchmarks.load.mix import GET_PAGE, beside, told
from benchmarks.load.outcomes import calls_by_end, since
from benchmarks.load.processes import say, started
from benchmarks.load.serving import token_in
from benchmarks.load.shop import placed_in

LIGHT_PER_SECOND = 320.0
"""20 a second of each of 16 connections: hardly two requests meet."""
_ROUNDS = 9
"""Turns of each, a fourth of `seconds` long: a machine that others use changes within seconds."""
_PAIRS = 5
"""Turns with and without ingest, half as long as `seconds`."""


class WrongPageError(Exception):
    """The server's page is not the one that the engine decides on."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load: where it is, who may ask it, and what it is asked."""

    target: str
    pid: int
    token: str
    messages: list[bytes]
    as_of: str = ""
    metrics_port: int = 0

    def load(self, seconds: float, rate: float | None = None) -> Loaded:
        """Ask it for so long; rate: requests a second, None for as many as it answers."""
        before = calls_by_end(self.metrics_port)
        found = load(self.target, GET_PAGE, self.messages, [self.pid], seconds=seconds, rate=rate,
                     token=self.token)  # fmt: skip
        return replace(found, ended=since(before, calls_by_end(self.metrics_port)))


@contextmanager
def shop_served(folder: Path, customers: int, modules: int) -> Iterator[Server]:
    """A server over the shop in `folder`, its answers checked; modules: 0 for a bare shop."""
    with tempfile.TemporaryDirectory(prefix="segengine-load-") as name:
        token, file = token_in(Path(name))
        say(f"starting a server over {customers:,} buyers, a page of {modules:,} modules")
        with started(
            "benchmarks.load.serving", "store", "--folder", str(folder), "--tokens", str(file),
            "--customers", str(customers), "--modules", str(modules),
        ) as running:  # fmt: skip
            visits = [(base64.b64decode(m), placed) for m, placed in running.said["visits"]]
            server = Server(
                f"127.0.0.1:{running.said['port']}", running.pid, token,
                [message for message, _ in visits], running.said["as_of"],
                running.said["metrics_port"],
            )  # fmt: skip
            check_pages(server, [placed for _, placed in visits])
            say(f"{len(visits)} pages over the wire are those decided in process")
            yield server


@contextmanager
def echo_served(like: Server) -> Iterator[Server]:
    """An Echo that answers with a page of `like`'s, the one of median size."""
    sizes = sorted(replies_of(like), key=len)
    with tempfile.TemporaryDirectory(prefix="segengine-load-") as name:
        token, file = token_in(Path(name))
        reply = Path(name) / "reply"
        reply.write_bytes(sizes[len(sizes) // 2])
        with started(
            "benchmarks.load.serving", "echo", "--tokens", str(file), "--reply", str(reply)
        ) as running:
            echo = Server(f"127.0.0.1:{running.said['port']}", running.pid, token, like.messages)
            if set(replies_of(echo)) != {reply.read_bytes()}:
                raise WrongPageError("the Echo does not answer with what it was given")
            say(f"an Echo beside it: requests of {len(like.messages[0])} bytes or so, replies of "
                f"{len(reply.read_bytes())}")  # fmt: skip
            yield echo


def check_pages(server: Server, expected: Sequence[list[list[str]]]) -> None:
    """`WrongPageError` unless each of the server's messages is answered as expected."""
    for number, reply in enumerate(replies_of(server)):
        if placed_in(reply) != expected[number]:
            raise WrongPageError(
                f"visit {number}: the server says {placed_in(reply)}, the engine {expected[number]}"
            )


def replies_of(server: Server) -> list[bytes]:
    """The reply to each message of a server."""
    who = (("authorization", f"Bearer {server.token}"),)
    with grpc.insecure_channel(server.target) as channel:
        ask = channel.unary_unary(GET_PAGE)
        return [ask(message, metadata=who, timeout=10) for message in server.messages]


def measure_pages(
    folder: Path, customers: int, modules: int, seconds: float, events: float, batch: int
) -> dict[str, Any]:
    """The figures of GetPage; seconds: of a load, of which a turn of what is compared is a part."""
    with shop_served(folder, customers, modules) as page, echo_served(page) as echo:
        page.load(1.0)
        echo.load(1.0)
        found: dict[str, list[Loaded]] = {"echo": [], "page": []}
        for number in range(_ROUNDS):
            say(f"light load, round {number + 1} of {_ROUNDS}: the Echo, then GetPage")
            found["echo"].append(echo.load(seconds / 4, LIGHT_PER_SECOND))
            found["page"].append(page.load(seconds / 4, LIGHT_PER_SECOND))
        light = {name: _summary(loads) for name, loads in found.items()}
        ratios = [p.ms(50) / e.ms(50) for p, e in zip(found["page"], found["echo"], strict=True)]
        say("as many as each answers, 16 connections")
        most = {"echo": echo.load(seconds), "page": page.load(seconds)}
        peak = most["page"].answered_per_second
        rate = peak / 2
        alone: list[Loaded] = []
        busy: list[Loaded] = []
        written: list[dict[str, Any]] = []
        for number in range(_PAIRS):
            say(f"half of the peak, {rate:,.0f} a second, round {number + 1} of {_PAIRS}: nothing "
                f"beside it, then {events:,.0f} events a second")  # fmt: skip
            alone.append(page.load(seconds / 2, rate))
            with beside("ingest", page.target, page.token, rate=events, batch=batch,
                        customers=customers, as_of=page.as_of) as writer:  # fmt: skip
                busy.append(page.load(seconds / 2, rate))
                written.append(told(writer))
        say("the same with audiences streaming too")
        with (
            beside("ingest", page.target, page.token, rate=events, batch=batch,
                   customers=customers, as_of=page.as_of) as writer,
            beside("streams", page.target, page.token) as reader,
        ):  # fmt: skip
            mixed = page.load(seconds, rate)
            read, written_too = told(reader), told(writer)
    return {
        "customers": customers,
        "modules": modules,
        "light": {"per_second": LIGHT_PER_SECOND, **light},
        "p50_against_echo": round(median(ratios), 3),
        "peak": {name: _summary([each]) for name, each in most.items()},
        "half_of_peak_per_second": round(rate),
        "alone": _summary(alone),
        "under_ingest": {**_summary(busy), "ingest": written},
        "p99_under_ingest_against_alone": round(
            median(b.ms(99) / a.ms(99) for b, a in zip(busy, alone, strict=True)), 3
        ),
        "under_ingest_and_streams": {**_summary([mixed]), "ingest": written_too, "streams": read},
        "p99_mixed_against_alone": round(mixed.ms(99) / median(each.ms(99) for each in alone), 3),
    }


def _summary(loads: Sequence[Loaded]) -> dict[str, float]:
    """The medians of several loads of one kind; failures in all."""
    return {
        "p50_ms": round(median(each.ms(50) for each in loads), 3),
        "p99_ms": round(median(each.ms(99) for each in loads), 3),
        "per_second": round(median(each.per_second for each in loads)),
        "cpu_us_per_request": round(median(each.cpu_us for each in loads)),
        "failed": sum(each.failed for each in loads),
        "refused": sum(each.ended.get("RESOURCE_EXHAUSTED", 0) for each in loads),
    }
