"""Whoever would wait too long for a page is refused at once, unread; all others are let in."""

from __future__ import annotations

import asyncio
import logging
import time
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry
from segengine_server.errors import server_error_of
from segengine_server.idleness import IDLE_SECONDS, idle_of, new_loop
from segengine_server.turnstile import LET_IN_OF, REFUSING, TURNED, Turnstile
from segengine_server.watch import REQUEST_ID, Watch

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


def turnstile_at(seconds: float) -> Turnstile:
    """One whose loop has not been idle for so long."""
    idle: Any = SimpleNamespace(at=100.0)
    return Turnstile(idle, WAIT, lambda: 100.0 + seconds)


def test_pages_pass_while_nobody_can_have_waited_long() -> None:
    assert passing(turnstile_at(WAIT / 2), GET_PAGE, 100) == [HANDLER] * 100


def test_pages_are_refused_while_they_may_have_waited_but_a_few() -> None:
    found = passing(turnstile_at(WAIT * 2), GET_PAGE, 4 * LET_IN_OF)
    assert found.count(HANDLER) == 4
    assert found.count(REFUSING) == 4 * (LET_IN_OF - 1)


def test_what_is_no_page_passes_however_long_it_may_wait() -> None:
    for method in ("/segengine.v1.AudienceService/CountAudience", "/grpc.health.v1.Health/Check"):
        assert passing(turnstile_at(60), method, 100) == [HANDLER] * 100


def test_on_a_loop_that_nobody_looks_at_everybody_passes() -> None:
    assert passing(Turnstile(None, 0.0), GET_PAGE, 100) == [HANDLER] * 100


def test_how_many_were_refused_is_said_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    idle: Any = SimpleNamespace(at=0.0)
    moments = iter([0.0, *(10.0 + n / 100 for n in range(200))])
    turnstile = Turnstile(idle, WAIT, lambda: next(moments))
    with caplog.at_level(logging.WARNING):
        passing(turnstile, GET_PAGE, 200)
    assert [record.getMessage() for record in caplog.records] == [
        "more pages are asked for than can be decided: 1 calls were refused"
    ]


def test_a_loop_knows_when_it_was_idle_and_that_it_has_not_been_since() -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        idle = idle_of(runner.get_loop())
        assert idle is not None

        async def nap_then_work() -> tuple[float, float]:
            began = time.perf_counter()
            await asyncio.sleep(20 * IDLE_SECONDS)
            after_nap = idle.at - began
            worked = idle.at
            for _ in range(50):
                await asyncio.sleep(0)
            return after_nap, idle.at - worked

        after_nap, while_working = runner.run(nap_then_work())
    assert after_nap > 0
    assert while_working == 0


def test_a_refusal_is_busy_bears_the_calls_id_and_reads_nothing() -> None:
    read: list[bytes] = []

    async def page(request: bytes, context: Any) -> bytes:
        read.append(request)
        return b"a page"

    async def asked() -> list[Any]:
        idle: Any = SimpleNamespace(at=0.0)
        server = grpc.aio.server(
            interceptors=(Watch(CollectorRegistry()), Turnstile(idle, WAIT, lambda: 1.0))
        )
        handler = grpc.unary_unary_rpc_method_handler(page)
        server.add_generic_rpc_handlers((
            grpc.method_handlers_generic_handler("segengine.v1.PageService", {"GetPage": handler}),
        ))  # fmt: skip
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        found: list[Any] = []
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask = channel.unary_unary(GET_PAGE)
            for number in range(LET_IN_OF):
                try:
                    found.append(await ask(b"\xff", metadata=((REQUEST_ID, f"r{number}"),)))
                except grpc.aio.AioRpcError as error:
                    found.append(error)
        await server.stop(None)
        return found

    *refused, let_in = asyncio.run(asked())
    assert let_in == b"a page"
    assert read == [b"\xff"]
    for number, error in enumerate(refused):
        told = server_error_of(error, "", 1.0)
        assert (told.code, told.reason) == ("RESOURCE_EXHAUSTED", "BUSY")
        assert dict(error.trailing_metadata())[REQUEST_ID] == f"r{number}"


def test_what_the_loop_answers_itself_is_what_is_turned_away() -> None:
    assert {method.rpartition("/")[2] for method in TURNED} == {"GetPage", "BatchGetPages"}
