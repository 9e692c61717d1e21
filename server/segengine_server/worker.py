"""How does one of several processes answer? Pages and segments of one buyer itself, all else not.

It looks at the tables of the server that began it, so an acknowledged event is seen by the next
page. What needs all buyers, and every other method, it passes on. When that server is gone it says
NOT_SERVING, refuses, and ends: nothing is answered from what was left behind.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import grpc
from grpc_health.v1 import health_pb2_grpc
from prometheus_client import CollectorRegistry

from segengine_server import clock, convert
from segengine_server.app import (
    HEALTH_SERVICE,
    SERVICES,
    Connections,
    Doors,
    Limits,
    server_of,
)
from segengine_server.brief_calls import Answer
from segengine_server.engine_api import CustomerId, Page
from segengine_server.errors import GoneError
from segengine_server.health import Health
from segengine_server.listening import drain, listen, switching_quickly
from segengine_server.methods import Methods
from segengine_server.page_service import PageService
from segengine_server.passing import WHOLE, PassedOn
from segengine_server.rates import SharedRates
from segengine_server.summed import samples_of
from segengine_server.tls import Tls
from segengine_server.tokens import Tokens
from segengine_server.transport.taking import CallServer
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.worker_lines import COUNTED, DRAIN, HURRY, READY, Task

MATCH_CUSTOMER = "/segengine.v1.AudienceService/MatchCustomer"
HEALTH = frozenset({f"/{HEALTH_SERVICE}/Check", f"/{HEALTH_SERVICE}/Watch"})
COUNT_SECONDS = 1.0
# Whoever waits for a server that is gone waits in vain.
GONE_SECONDS = 0.5

_log = logging.getLogger("segengine_server")


class Followed(Protocol):
    """What a worker asks of the store that it follows."""

    def page(self, name: str, /, customer_id: CustomerId | None, context: dict[str, str]) -> Page:
        """One buyer's page; `ElsewhereError` where only the server can say."""
        ...

    def match(self, customer_id: CustomerId, /) -> Sequence[str]:
        """The segments of one buyer; `ElsewhereError` likewise."""
        ...


class Writer:
    """Whether the server that began us is there."""

    def __init__(self, store: Followed) -> None:
        self.is_gone = False
        self._store = store

    def page(self, name: str, /, customer_id: CustomerId | None, context: dict[str, str]) -> Page:
        """A page, as long as it is; `GoneError` afterwards."""
        self._check()
        return self._store.page(name, customer_id=customer_id, context=context)

    def match(self, customer_id: CustomerId, /) -> Sequence[str]:
        """The segments of a buyer, likewise."""
        self._check()
        return self._store.match(customer_id)

    def _check(self) -> None:
        if self.is_gone:
            raise GoneError


async def work(store: Followed, task: Task) -> None:
    """Answer until told to drain, or until the server is gone; its lines come from standard input.

    To be called in the main thread. ListenError where the address cannot be listened on.
    """
    loop = asyncio.get_running_loop()
    stop, hurry, writer = asyncio.Event(), asyncio.Event(), Writer(store)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # Ctrl-C in a terminal reaches every process of the group: the server says what to do.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    os.set_blocking(sys.stdout.fileno(), False)
    registry, state, limits = CollectorRegistry(), Health(SERVICES), Limits(**task.limits)
    with switching_quickly():
        async with grpc.aio.insecure_channel(task.server, options=WHOLE) as channel:
            server = _server(task, channel, writer, registry, state)
            tls = None if task.tls is None else _tls(task.tls)
            listen(server, task.host, task.port, tls)
            await server.start()
            state.serve()
            _say({READY: True})
            listening = asyncio.ensure_future(_listen(stop, hurry, writer, task))
            counting = asyncio.ensure_future(_count(registry))
            try:
                await stop.wait()
            finally:
                state.end()
                seconds = GONE_SECONDS if writer.is_gone else limits.drain_seconds
                await drain(server, seconds, hurry)
                counting.cancel()
                listening.cancel()
            _say({COUNTED: samples_of(registry)})


def _tls(files: tuple[str, str, str | None]) -> Tls:
    cert, key, client_ca = files
    return Tls(Path(cert), Path(key), None if client_ca is None else Path(client_ca))


def _server(
    task: Task,
    channel: grpc.aio.Channel,
    writer: Writer,
    registry: CollectorRegistry,
    state: Health,
) -> CallServer:
    """A server of what is answered here, and of everything else by passing it on."""
    tokens = None if task.tokens is None else Tokens(Path(task.tokens), clock.now)
    limits = Limits(**task.limits)
    # What is passed on goes through those of the server, and is counted, let in and noted there.
    doors = Doors(registry, limits, tokens, None, SharedRates(task.rates))
    store: Any = writer
    pages = PageService(store, ThreadPoolExecutor(1))
    brief = doors.brief({**pages.answers(), MATCH_CUSTOMER: _matching(writer)})
    methods = Methods()
    health_pb2_grpc.add_HealthServicer_to_server(state, methods)
    passed = (PassedOn(channel, HEALTH), *doors.interceptors())
    return server_of(limits, methods, passed, brief, connections=Connections.OF_CALLERS_TOO)


def _matching(store: Followed) -> Answer:
    """MatchCustomer."""

    def matched(data: bytes) -> bytes:
        request = pb.MatchCustomerRequest.FromString(data)
        found = store.match(convert.from_proto_known(request.customer))
        return pb.MatchCustomerReply(segments=found).SerializeToString()

    return matched


async def _listen(stop: asyncio.Event, hurry: asyncio.Event, writer: Writer, task: Task) -> None:
    """Do as the server says; its end is ours."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        match line.decode().strip():
            case word if word == DRAIN:
                stop.set()
            case word if word == HURRY:
                hurry.set()
    if not stop.is_set():
        writer.is_gone = True
        _log.error("the server that keeps the store is gone: this worker ends")
        # Its socket's folder, which it would have removed.
        shutil.rmtree(Path(task.server.removeprefix("unix:")).parent, ignore_errors=True)
        stop.set()


async def _count(registry: CollectorRegistry) -> None:
    while True:
        await asyncio.sleep(COUNT_SECONDS)
        _say({COUNTED: samples_of(registry)})


def _say(said: dict[str, Any]) -> None:
    # A server that is gone hears nothing, and is noticed elsewhere; for one that is held up nobody
    # here waits. Half a line is no JSON, and passed over.
    with suppress(BrokenPipeError, BlockingIOError):
        os.write(sys.stdout.fileno(), json.dumps(said).encode() + b"\n")
