"""How does an engine come to answer over gRPC, and how does it stop?

`serve` listens until SIGTERM or SIGINT, then drains: health says NOT_SERVING, nobody new is taken,
calls in flight are finished. It prints nothing.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import Enum, auto
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from prometheus_client import CollectorRegistry

from segengine_server.access import check_access
from segengine_server.audience_service import AudienceService
from segengine_server.audit import Audit
from segengine_server.brief_calls import Answer, BriefCalls, Check
from segengine_server.campaign_service import CampaignService
from segengine_server.catalog_service import CatalogService
from segengine_server.engine_api import Engine
from segengine_server.errors import BusyError, end_of
from segengine_server.guard import Guard
from segengine_server.health import Health
from segengine_server.ingest_service import IngestService
from segengine_server.listening import (
    SILENCE_SECONDS,
    address_of,
    asked_whether_there,
    check_address,
    check_apart,
    drain,
    listen,
    switching_quickly,
)
from segengine_server.methods import Methods
from segengine_server.metrics import LOOPBACK, METRICS, registry_of, scraped
from segengine_server.opening import not_serving_beside
from segengine_server.page_service import PAGES, PageService
from segengine_server.rates import SharedRates
from segengine_server.rule_size import RuleSize
from segengine_server.summed import Summed
from segengine_server.times import Times
from segengine_server.tls import Tls
from segengine_server.tokens import Tokens
from segengine_server.transport.taking import CallServer
from segengine_server.turnstile import Turnstile
from segengine_server.watch import Watch
from segengine_server.wire import segengine_pb2 as pb
from segengine_server.wire import segengine_pb2_grpc as wire
from segengine_server.work import Work
from segengine_server.worker_lines import Task
from segengine_server.workers import Crew, Workers, held_port, private_socket

SERVICES = tuple(service.full_name for service in pb.DESCRIPTOR.services_by_name.values())
HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

_MOST_UNTAKEN = 100_000
"""Calls that wait for the thread that takes them: more than can come over thousands of connections
while it is held up for a moment."""
TICK_SECONDS = 1.0
_SET_BACK = timedelta(seconds=1)
"""A clock that is set right by less is nobody's concern."""
_log = logging.getLogger("segengine_server")


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one server takes on at once, and how long it waits at the end."""

    calls: int = 1_000
    page_wait_seconds: float = 0.002
    calls_per_connection: int = 16
    request_bytes: int = 4 << 20
    reply_bytes: int = 64 << 20
    audience_calls: int = 64
    audience_threads: int = 4
    ingest_calls: int = 64
    ingest_threads: int = 4
    silence_seconds: float = SILENCE_SECONDS
    drain_seconds: float = 10.0
    rule: RuleSize = field(default_factory=RuleSize)


def serve(
    engine: Engine,
    host: str = "127.0.0.1",
    port: int = 50051,
    *,
    ready: Callable[[str, int], None] | None = None,
    limits: Limits | None = None,
    tokens: Tokens | None = None,
    insecure: bool = False,
    tls: Tls | None = None,
    metrics_port: int | None = None,
    metrics_host: str = LOOPBACK,
    crew: Crew | None = None,
) -> int:
    """Answer until SIGTERM or SIGINT, then drain; 0 when all calls have had their time.

    port: 0 for a free one. `ready` is told host and port once calls are taken. tokens: who may
    call; insecure: every program on this machine may, without any. metrics_port: where `/metrics`
    is answered, to whoever reaches metrics_host. crew: the processes that listen in place of this
    one, which answers what they leave to it. A second signal ends the drain at once. To be called
    from the main thread. ListenError: nothing was started.
    """
    asyncio.run(
        _until_signal(
            engine, host, port, ready=ready, limits=limits, tokens=tokens, insecure=insecure,
            tls=tls, metrics_port=metrics_port, metrics_host=metrics_host, crew=crew,
        )
    )  # fmt: skip
    return 0


async def run(
    engine: Engine,
    host: str,
    port: int,
    *,
    stop: asyncio.Event,
    hurry: asyncio.Event | None = None,
    ready: Callable[[str, int], None] | None = None,
    limits: Limits | None = None,
    tokens: Tokens | None = None,
    insecure: bool = False,
    tls: Tls | None = None,
    metrics_port: int | None = None,
    metrics_host: str = LOOPBACK,
    crew: Crew | None = None,
) -> None:
    """Answer on the running loop until `stop` is set, then drain, until `hurry` is set."""
    limits = limits or Limits()
    check_address(host, port)
    if metrics_port is not None:
        check_address(metrics_host, metrics_port, METRICS)
        check_apart(host, port, metrics_host, metrics_port, METRICS)
    check_access(host, tokens, insecure=insecure)
    # INVARIANT: no thread of ours is in the engine once this returns, so it may be closed then.
    with (
        switching_quickly(),
        ThreadPoolExecutor(limits.audience_threads, "audience") as threads,
        ThreadPoolExecutor(1, "census") as census,
        ThreadPoolExecutor(limits.ingest_threads, "ingest") as ingest,
        _ticking(engine),
        ExitStack() as stack,
    ):
        registry, state = registry_of(engine), Health(SERVICES)
        rates = None if crew is None else stack.enter_context(closing(SharedRates()))
        doors = Doors(registry, limits, tokens, engine.folder, rates)
        times = Times(registry)
        of_whom = Connections.OF_CALLERS if crew is None else Connections.OF_WORKERS
        server = _server(engine, threads, census, ingest, state, limits, doors, times, of_whom)
        workers = None
        if crew is None or rates is None:
            bound = listen(server, host, port, tls)
        else:
            bound = stack.enter_context(held_port(host, port))
            inside = stack.enter_context(private_socket())
            server.add_insecure_port(inside)
            summed = Summed(registry)
            workers = Workers(
                crew, _task(crew, inside, host, bound, limits, tls, rates.path), summed
            )
            registry = CollectorRegistry()
            registry.register(summed)
        if metrics_port is not None:
            scraped_at = stack.enter_context(scraped(registry, metrics_host, metrics_port))
            shown = address_of(metrics_host, scraped_at)
            _log.info("metrics for Prometheus are at http://%s/metrics", shown)
        await server.start()
        try:
            if workers is not None:
                # With nobody at the port a caller could not tell a server that starts from none.
                async with not_serving_beside(host, bound, tls, SERVICES):
                    await workers.start()
            state.serve()
            if ready is not None:
                ready(host, bound)
            await stop.wait()
        finally:
            state.end()
            if workers is not None:
                # What they have passed on is answered yet.
                await workers.end(hurry)
            await drain(server, limits.drain_seconds, hurry)
            threads.shutdown(wait=False, cancel_futures=True)
            census.shutdown(wait=False, cancel_futures=True)
            ingest.shutdown(wait=False, cancel_futures=True)


def _task(
    crew: Crew, inside: str, host: str, port: int, limits: Limits, tls: Tls | None, rates: str
) -> Task:
    """What each worker is to do, but for its number."""
    files = None
    if tls is not None:
        files = (str(tls.cert), str(tls.key), None if tls.client_ca is None else str(tls.client_ca))
    # What the server itself does needs no worker's limit.
    simple = {
        each.name: getattr(limits, each.name)
        for each in fields(Limits)
        if each.type in ("int", "float")
    }
    return Task(
        0, crew.tables, inside, host, port, crew.tokens, files, simple, rates, crew.log_json
    )


async def _until_signal(engine: Engine, host: str, port: int, **options: Any) -> None:
    """`run`, with its options, until the process is told to end."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled)
    await run(engine, host, port, stop=stop, hurry=hurry, **options)


class Doors:
    """What every call goes through: it is counted, let in or not, and noted.

    folder: of the store, where its audit log is; None: there is none. rates: what several processes
    count of tokens together.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        limits: Limits,
        tokens: Tokens | None,
        folder: Path | None,
        rates: SharedRates | None = None,
    ) -> None:
        self._watch, self._limits = Watch(registry), limits
        self._guard = None if tokens is None else Guard(tokens, rates)
        self._audit = None if folder is None else Audit(folder)

    def interceptors(self) -> tuple[grpc.aio.ServerInterceptor[Any, Any], ...]:
        """For calls that are answered on the loop, outermost first."""
        return tuple(each for each in (self._watch, self._guard, self._audit) if each is not None)

    def brief(self, answers: Mapping[str, Answer]) -> BriefCalls:
        """The same for calls that are answered where they are taken; room is asked for pages."""
        checks: list[Check] = []
        if self._guard is not None:
            checks.append(self._guard.let_in)
        if (audit := self._audit) is not None:
            checks.append(lambda _method, _metadata: audit.see())
        room = Turnstile(self._limits.page_wait_seconds)
        return BriefCalls(answers, self._watch, room, checks, PAGES)


class Connections(Enum):
    """Whose connections a server has, and whether it shares its port."""

    OF_CALLERS = auto()
    OF_CALLERS_TOO = auto()
    """Of some of them: others are other processes' at the same port."""
    OF_WORKERS = auto()
    """Each has the calls of many callers, bounded where these connect."""


def server_of(
    limits: Limits,
    methods: Methods,
    interceptors: Sequence[grpc.aio.ServerInterceptor[Any, Any]],
    brief: BriefCalls,
    *,
    connections: Connections,
) -> CallServer:
    """A server that does not listen yet.

    methods: what is answered on the loop, behind `interceptors`; brief: what is not
    """
    of_workers = connections is Connections.OF_WORKERS
    options = (
        # With it, a second server on the same port would silently take half of the calls.
        ("grpc.so_reuseport", int(connections is Connections.OF_CALLERS_TOO)),
        (
            "grpc.max_concurrent_streams",
            limits.calls if of_workers else limits.calls_per_connection,
        ),
        # With it gRPC ends calls of a connection that keeps to that number, at random.
        ("grpc.http.overload_protection", 0),
        # Whoever is taken is answered or refused: gRPC itself need end nobody who is not yet.
        ("grpc.server.max_pending_requests", _MOST_UNTAKEN),
        ("grpc.server.max_pending_requests_hard_limit", _MOST_UNTAKEN),
        ("grpc.max_receive_message_length", limits.request_bytes),
        ("grpc.max_send_message_length", limits.reply_bytes),
        *asked_whether_there(limits.silence_seconds),
    )
    busy = end_of(BusyError("the server has as many calls at work as it takes; try again later"))
    return CallServer(
        methods, interceptors, options,
        most_calls=limits.calls, too_many=(busy.details, busy.trailing), brief=brief,
    )  # fmt: skip


def _server(
    engine: Engine,
    threads: ThreadPoolExecutor,
    census: ThreadPoolExecutor,
    ingest: ThreadPoolExecutor,
    state: Health,
    limits: Limits,
    doors: Doors,
    times: Times,
    connections: Connections,
) -> CallServer:
    """A server of all services that does not listen yet."""
    methods = Methods()
    work = Work(threads, limits.audience_calls, times)
    audience, campaigns = (
        AudienceService(engine, work, limits.rule),
        CampaignService(engine, work, limits.rule),
    )
    wire.add_AudienceServiceServicer_to_server(audience, methods)  # type: ignore[no-untyped-call]
    wire.add_CampaignServiceServicer_to_server(campaigns, methods)  # type: ignore[no-untyped-call]
    writing = Work(ingest, limits.ingest_calls, times, what="changes")
    events = IngestService(engine, writing)
    wire.add_IngestServiceServicer_to_server(events, methods)  # type: ignore[no-untyped-call]
    catalog = CatalogService(engine, work, writing, limits.rule)
    wire.add_CatalogServiceServicer_to_server(catalog, methods)  # type: ignore[no-untyped-call]
    pages = PageService(engine, census)
    wire.add_PageServiceServicer_to_server(pages, methods)  # type: ignore[no-untyped-call]
    health_pb2_grpc.add_HealthServicer_to_server(state, methods)
    told = (*SERVICES, HEALTH_SERVICE, reflection.SERVICE_NAME)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
        reflection.aio.ReflectionServicer(told),  # type: ignore[attr-defined]
        methods,
    )
    brief = doors.brief(pages.answers())
    return server_of(limits, methods, doors.interceptors(), brief, connections=connections)


@contextmanager
def _ticking(engine: Engine) -> Iterator[None]:
    """The engine's moment follows the clock, unless it is fixed."""
    if engine.as_of_is_fixed:
        yield
        return
    ended = threading.Event()

    def tick() -> None:
        failing = False
        while not ended.wait(TICK_SECONDS):
            before = engine.as_of
            try:
                engine.tick()
            except Exception:
                if not failing:
                    _log.exception("the moment does not advance; trying again every second")
                failing = True
            else:
                failing = False
                if (back := before - engine.as_of) >= _SET_BACK:
                    _log.warning(
                        "the clock of this machine was set back by %s: answers are for %s now, and "
                        "what is dated later is in none until then; nothing is lost",
                        back, engine.as_of.isoformat(timespec="seconds"),
                    )  # fmt: skip

    clock = threading.Thread(target=tick, name="clock")
    clock.start()
    try:
        yield
    finally:
        ended.set()
        clock.join()
