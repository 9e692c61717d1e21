"""Whoever would wait too long for a page is refused at once, unread; all others are let in."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from contextlib import AsyncExitStack, ExitStack
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry
from segengine_server import Limits
from segengine_server.app import HEALTH_SERVICE, OWN_QUEUES, Connections, server_of
from segengine_server.connecting import Connection
from segengine_server.errors import ServerError, server_error_of
from segengine_server.methods import Methods
from segengine_server.turnstile import (
    MOST_UNTAKEN,
    PATIENCE_SECONDS,
    REFUSING,
    TURNED,
    Turnstile,
)
from segengine_server.waiting import Waiting, looking
from segengine_server.watch import REQUEST_ID, Watch
from segengine_server.wire import segengine_pb2 as pb

from tests.server.fake_engine import FakeEngine
from tests.server.serving import serving

GET_PAGE = "/segengine.v1.PageService/GetPage"
WAIT = 0.02
HANDLER = object()


async def _through(call: Any) -> Any:
    return HANDLER


def passing(turnstile: Turnstile, method: str, times: int = 1) -> list[Any]:
    call: Any = SimpleNamespace(method=method, invocation_metadata=())

    async def ask() -> list[Any]:
        return [await turnstile.intercept_service(_through, call) for _ in range(times)]

    return asyncio.run(ask())


class Waits:
    """Calls wait for so long, whatever comes."""

    method = "/waiting/x"

    def __init__(self, seconds: float) -> None:
        self.waits, self.calls, self.arrived = seconds, 0, 0

    def seconds(self) -> float:
        return self.waits

    def came(self) -> None:
        self.arrived += 1


def turnstile_at(seconds: float, *clock: Any) -> Turnstile:
    """One whose calls have waited for so long since long ago."""
    waits: Any = Waits(seconds)
    moments = itertools.chain([0.0], itertools.repeat(1.0 + PATIENCE_SECONDS))
    return Turnstile(waits, WAIT, *(clock or (lambda: next(moments),)))


def test_pages_pass_while_nobody_can_have_waited_long() -> None:
    assert passing(turnstile_at(WAIT / 2), GET_PAGE, 100) == [HANDLER] * 100


@pytest.mark.parametrize(("times", "share"), [(1.25, 16 / 25), (2.0, 1 / 2), (99.0, 1 / 2)])
def test_the_longer_calls_wait_the_fewer_pages_pass(times: float, share: float) -> None:
    found = passing(turnstile_at(WAIT * times), GET_PAGE, 1_000)
    assert abs(found.count(HANDLER) - 1_000 * share) <= 1
    assert found.count(HANDLER) + found.count(REFUSING) == 1_000


def test_a_hiccup_refuses_nobody_and_what_lasts_does_until_calls_wait_no_longer() -> None:
    waits, now = Waits(0.0), [0.0]
    turnstile = Turnstile(waits, WAIT, lambda: now[0])  # type: ignore[arg-type]
    for begin in (1.0, 2.0):
        now[0], waits.waits = begin, 0.0
        assert passing(turnstile, GET_PAGE) == [HANDLER]
        waits.waits = 100 * WAIT
        now[0] = begin + PATIENCE_SECONDS / 2
        assert passing(turnstile, GET_PAGE, 50) == [HANDLER] * 50
        now[0] = begin + PATIENCE_SECONDS * 1.5
        assert passing(turnstile, GET_PAGE, 40).count(REFUSING) == 20


def test_what_is_no_page_passes_however_long_it_may_wait() -> None:
    for method in ("/segengine.v1.AudienceService/CountAudience", "/grpc.health.v1.Health/Check"):
        assert passing(turnstile_at(60), method, 100) == [HANDLER] * 100


def test_how_many_were_refused_is_said_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    moments = iter([0.0, *(10.0 + n / 100 for n in range(200))])
    turnstile = turnstile_at(WAIT * 1_000, lambda: next(moments))
    with caplog.at_level(logging.WARNING):
        passing(turnstile, GET_PAGE, 200)
    assert [record.getMessage() for record in caplog.records] == [
        "more pages are asked for than can be decided: 1 calls were refused"
    ]


def test_the_servers_own_call_is_seen_and_is_no_method() -> None:
    waits: Any = Waits(60)
    assert passing(Turnstile(waits, WAIT), Waits.method, 3) == [None] * 3
    assert waits.arrived == 3


def test_a_call_that_is_not_taken_yet_has_waited_as_long_as_it_is_old() -> None:
    waiting = Waiting()
    assert waiting.seconds() == 0
    waiting.sent()
    while waiting.seconds() < 0.001:
        pass
    still = waiting.seconds()
    waiting.came()
    waited = waiting.seconds()
    assert waited >= still
    assert waiting.seconds() == waited
    waiting.none()
    assert waiting.seconds() == 0


def test_a_server_that_is_asked_for_much_looks_how_long_calls_wait() -> None:
    """Its own calls come through, each of them while a hundred others are on their way."""

    async def page(request: bytes, context: Any) -> bytes:
        return request

    async def asked() -> int:
        waiting, seen = Waiting(), 0
        server = grpc.aio.server(interceptors=(Turnstile(waiting, 3_600),))
        handler = grpc.unary_unary_rpc_method_handler(page)
        server.add_generic_rpc_handlers((
            grpc.method_handlers_generic_handler("segengine.v1.PageService", {"GetPage": handler}),
        ))  # fmt: skip
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
            looking(waiting, f"127.0.0.1:{port}"),
        ):
            ask = channel.unary_unary(GET_PAGE)
            for _ in range(100):
                await asyncio.gather(*(ask(b"") for _ in range(100)))
                if seen := waiting.seconds():
                    break
        await server.stop(None)
        assert waiting.seconds() == 0
        return bool(seen)

    assert asyncio.run(asked())


def test_a_refusal_is_busy_bears_the_calls_id_and_reads_nothing() -> None:
    read: list[bytes] = []

    async def page(request: bytes, context: Any) -> bytes:
        read.append(request)
        return b"a page"

    async def asked() -> list[Any]:
        server = grpc.aio.server(interceptors=(Watch(CollectorRegistry()), turnstile_at(WAIT * 2)))
        handler = grpc.unary_unary_rpc_method_handler(page)
        server.add_generic_rpc_handlers((
            grpc.method_handlers_generic_handler("segengine.v1.PageService", {"GetPage": handler}),
        ))  # fmt: skip
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        found: list[Any] = []
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask = channel.unary_unary(GET_PAGE)
            for number in range(2):
                try:
                    found.append(await ask(b"\xff", metadata=((REQUEST_ID, f"r{number}"),)))
                except grpc.aio.AioRpcError as error:
                    found.append(error)
        await server.stop(None)
        return found

    refused, let_in = asyncio.run(asked())
    assert let_in == b"a page"
    assert read == [b"\xff"]
    told = server_error_of(refused, Connection("here:1"), 1.0)
    assert (told.code, told.reason) == ("RESOURCE_EXHAUSTED", "BUSY")
    assert dict(refused.trailing_metadata())[REQUEST_ID] == "r0"


async def _echoed(request: bytes, context: Any) -> bytes:
    return request


async def _all_of(requests: Any, context: Any) -> bytes:
    return b"".join([request async for request in requests])


def _answering() -> Methods:
    """Pages, and what has a queue of its own: streams of batches, and single requests."""
    unary = grpc.unary_unary_rpc_method_handler(_echoed)
    stream = grpc.stream_unary_rpc_method_handler(_all_of)
    methods = Methods()
    methods.add_registered_method_handlers("segengine.v1.PageService", {"GetPage": unary})
    for service, names in OWN_QUEUES.items():
        handlers = {name: stream if name == "Append" else unary for name in names}
        methods.add_registered_method_handlers(service, handlers)
    return methods


def _own_calls(channel: grpc.Channel) -> list[Any]:
    """A call of each method with a queue of its own."""
    found = []
    for service, names in OWN_QUEUES.items():
        for name in names:
            method = f"/{service}/{name}"
            if name == "Append":
                stream = channel.stream_unary(method)
                found.append(stream.future(iter([b"we", b"ll"]), timeout=30))
            else:
                found.append(channel.unary_unary(method).future(b"well", timeout=30))
    return found


def test_calls_beyond_those_that_may_wait_are_ended_and_what_has_its_own_queue_is_not() -> None:
    """Nobody takes calls here for a while: the loop is held up."""
    limits, ways = Limits(), 6

    async def asked() -> tuple[list[Any], list[Any]]:
        server = server_of(limits, (), _answering(), connections=Connections.OF_CALLERS)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        found: list[Any] = []

        def one(ask: Any) -> None:
            try:
                found.append(ask(b"", timeout=30))
            except grpc.RpcError as error:
                found.append(server_error_of(error, Connection("here:1"), 30.0))

        with ExitStack() as stack:
            *channels, last = (
                stack.enter_context(Connection(f"127.0.0.1:{port}").channel())
                for _ in range(ways + 1)
            )
            threads = [
                threading.Thread(target=one, args=(channel.unary_unary(GET_PAGE),))
                for channel in channels for _ in range(limits.calls_per_connection)
            ]  # fmt: skip
            for thread in threads:
                thread.start()
            while sum(map(threading.Thread.is_alive, threads)) > MOST_UNTAKEN + 1:
                time.sleep(0.01)
            others = _own_calls(last)
            while any(map(threading.Thread.is_alive, threads)) or not all(o.done() for o in others):
                await asyncio.sleep(0.01)
        await server.stop(None)
        return found, [other.result() for other in others]

    found, others = asyncio.run(asked())
    answered = found.count(b"")
    ended = [each for each in found if isinstance(each, ServerError)]
    assert others == [b"well"] * sum(len(names) for names in OWN_QUEUES.values())
    assert answered + len(ended) == ways * limits.calls_per_connection
    assert answered <= MOST_UNTAKEN + 1
    assert {(each.code, each.reason) for each in ended} == {("RESOURCE_EXHAUSTED", "BUSY")}


def _burst(target: str, connections: int, calls: int) -> list[Any]:
    """What comes of so many calls at once over each connection, ten times."""
    request = pb.GetPageRequest(page="home").SerializeToString()

    async def asked() -> list[Any]:
        found: list[Any] = []
        async with AsyncExitStack() as stack:
            asks = [
                (await stack.enter_async_context(grpc.aio.insecure_channel(
                    target, options=[("grpc.use_local_subchannel_pool", 1)]
                ))).unary_unary(GET_PAGE)
                for _ in range(connections)
            ]  # fmt: skip
            for _ in range(10):
                each = (ask(request, timeout=30) for ask in asks for _ in range(calls))
                found += await asyncio.gather(*each, return_exceptions=True)
        return found

    return asyncio.run(asked())


@pytest.mark.parametrize(("connections", "calls"), [(1, 8 * MOST_UNTAKEN), (2, 200), (8, 8)])
def test_a_burst_of_one_or_two_programs_or_of_a_few_calls_each_is_answered_whole(
    engine: FakeEngine, connections: int, calls: int
) -> None:
    """Some wait at the client: more in flight than may wait to be taken would end the rest."""
    with serving(engine, Limits(page_wait_seconds=60.0)) as served:
        found = _burst(served.target, connections, calls)
    assert len(found) == 10 * connections * calls
    assert [each for each in found if not isinstance(each, bytes)] == []


def test_whoever_lets_more_calls_be_in_flight_lets_as_many_wait(engine: FakeEngine) -> None:
    limits = Limits(page_wait_seconds=60.0, calls_per_connection=2 * MOST_UNTAKEN)
    with serving(engine, limits) as served:
        found = _burst(served.target, 1, 8 * MOST_UNTAKEN)
    assert [each for each in found if not isinstance(each, bytes)] == []


def test_what_has_a_queue_of_its_own_is_what_there_is() -> None:
    names = {f"{service}/{name}" for service, names in OWN_QUEUES.items() for name in names}
    services = pb.DESCRIPTOR.services_by_name.values()
    ours = {f"{each.full_name}/{method.name}" for each in services for method in each.methods}
    assert names - ours == {f"{HEALTH_SERVICE}/Check"}


def test_what_the_loop_answers_itself_is_what_is_turned_away() -> None:
    assert {method.rpartition("/")[2] for method in TURNED} == {"GetPage", "BatchGetPages"}
