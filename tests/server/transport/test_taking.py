"""Calls are taken in one thread: brief ones are answered there, the others on the loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from segengine_server.methods import Methods
from segengine_server.transport import core
from segengine_server.transport.call import Call
from segengine_server.transport.taking import CallServer

from tests.server.transport.serving import asking, connected


class Brief:
    """Answers `/brief/x` with the thread it is answered in; leaves `/brief/left` once read."""

    def __init__(self) -> None:
        self.waiting: deque[Call] = deque()
        self.open = 0
        self.free = threading.Event()
        self.free.set()

    def takes(self, method: bytes, event: Any, leave: Callable[[Call], None]) -> bool:
        if not method.startswith(b"/brief/"):
            return False
        call = Call(event)
        self.open += 1

        def read(event: Any) -> None:
            call.message = core.message_of(event)
            if method == b"/brief/left":
                self.open -= 1
                call.method = "/test.Service/unary"
                leave(call)
            else:
                self.waiting.append(call)

        core.read(call.call, read)
        return True

    def step(self) -> None:
        self.free.wait(10)
        call = self.waiting.popleft()
        self.open -= 1
        name = threading.current_thread().name.encode()
        core.end(call.call, 0, b"", (), lambda _: None, is_first=True, message=name,
                 is_watched=False)  # fmt: skip


async def unary(request: bytes, context: Any) -> bytes:
    return threading.current_thread().name.encode() + b" " + request


async def held(request: bytes, context: Any) -> bytes:
    await asyncio.sleep(3_600)
    return b""


def test_brief_calls_are_answered_where_they_are_taken_and_others_on_the_loop() -> None:
    with connected({"unary": unary}, brief=Brief()) as (_, channel):
        assert channel.unary_unary("/brief/x")(b"", timeout=10) == b"calls"
        assert not asking(channel, "unary")(b"", timeout=10).startswith(b"calls")


def test_a_call_may_be_left_to_the_loop_after_it_was_read() -> None:
    with connected({"unary": unary}, brief=Brief()) as (_, channel):
        found = channel.unary_unary("/brief/left")(b"as it came", timeout=10)
    assert found.endswith(b" as it came")


def test_calls_are_taken_while_brief_ones_wait() -> None:
    """However many of them there are: what the loop answers does not wait behind them."""
    brief = Brief()
    with connected({"unary": unary}, brief=brief) as (_, channel):
        brief.free.clear()
        waiting = [channel.unary_unary("/brief/x").future(b"", timeout=20) for _ in range(20)]
        others = [asking(channel, "unary").future(b"", timeout=20) for _ in range(20)]
        brief.free.set()
        assert [each.result() for each in waiting] == [b"calls"] * 20
        assert all(each.result() for each in others)


def test_a_method_that_there_is_not_is_unimplemented() -> None:
    with connected({"unary": unary}) as (_, channel), pytest.raises(grpc.RpcError) as told:
        channel.unary_unary("/test.Service/nothing")(b"", timeout=10)
    error: Any = told.value
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "`/test.Service/nothing`" in error.details()


def test_calls_beyond_the_most_are_refused_at_once_whoever_answers_them() -> None:
    brief = Brief()
    with connected({"unary": held}, brief=brief, most_calls=2) as (served, channel):
        first = asking(channel, "unary").future(b"", timeout=20)
        second = asking(channel, "unary").future(b"", timeout=20)
        while served.server.on_loop < 2:
            time.sleep(0.001)
        for ask in (asking(channel, "unary"), channel.unary_unary("/brief/x")):
            with pytest.raises(grpc.RpcError) as told:
                ask(b"", timeout=10)
            error: Any = told.value
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        first.cancel()
        second.cancel()
        while served.server.on_loop:
            time.sleep(0.001)
        assert channel.unary_unary("/brief/x")(b"", timeout=10) == b"calls"


def test_who_stops_takes_nobody_new_and_gives_those_in_flight_their_time() -> None:
    began, free = threading.Event(), threading.Event()

    async def waits(request: bytes, context: Any) -> bytes:
        began.set()
        await asyncio.get_running_loop().run_in_executor(None, free.wait, 10)
        return b"whole"

    with connected({"unary": waits}) as (served, channel):
        call = asking(channel, "unary").future(b"", timeout=20)
        assert began.wait(10)
        stopping = asyncio.run_coroutine_threadsafe(served.server.stop(10), served.loop)
        with grpc.insecure_channel(served.target) as other, pytest.raises(grpc.RpcError):
            asking(other, "unary")(b"", timeout=1)
        assert not stopping.done()
        free.set()
        assert call.result() == b"whole"
        stopping.result(10)


def test_whoever_is_not_done_in_that_time_is_ended() -> None:
    ended = threading.Event()

    async def waits(request: bytes, context: Any) -> bytes:
        try:
            await asyncio.sleep(3_600)
        finally:
            ended.set()
        return b""

    with connected({"unary": waits}) as (served, channel):
        call = asking(channel, "unary").future(b"", timeout=20)
        while served.server.on_loop < 1:
            time.sleep(0.001)
        began = time.monotonic()
        served.on_loop(served.server.stop(0.2))
        assert time.monotonic() - began < 10
        assert ended.is_set()
        with pytest.raises(grpc.RpcError):
            call.result()


def test_a_server_that_has_stopped_leaves_no_thread_and_may_be_stopped_again() -> None:
    before = threading.active_count()
    with connected({"unary": unary}) as (served, channel):
        asking(channel, "unary")(b"", timeout=10)
        served.on_loop(served.server.stop(1))
        served.on_loop(served.server.stop(None))
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_one_that_was_never_started_is_stopped_at_once() -> None:
    asyncio.run(CallServer(Methods()).stop(None))


def test_a_port_that_is_taken_is_an_error() -> None:
    with connected({"unary": unary}) as (served, _):

        async def second() -> None:
            other = CallServer(Methods(), options=(("grpc.so_reuseport", 0),))
            with pytest.raises(RuntimeError, match="cannot listen"):
                other.add_insecure_port(served.target)

        asyncio.run(second())


def test_many_calls_at_once_over_several_connections_are_all_answered() -> None:
    with connected({"unary": unary}, brief=Brief()) as (served, _):
        channels = [
            grpc.insecure_channel(served.target, options=[("grpc.use_local_subchannel_pool", 1)])
            for _ in range(4)
        ]
        asks = [(c.unary_unary("/brief/x"), asking(c, "unary")) for c in channels]
        calls = [ask.future(b"x", timeout=30) for _ in range(100) for pair in asks for ask in pair]
        assert all(call.result() for call in calls)
        for channel in channels:
            channel.close()
