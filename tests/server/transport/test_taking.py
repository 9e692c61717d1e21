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
from segengine_server.transport import operations
from segengine_server.transport.call import Call
from segengine_server.transport.taking import CallServer

from tests.server.transport.serving import asking, connected


class Brief:
    """Answers `/brief/x` with the thread it is answered in; leaves `/brief/left` once read."""

    def __init__(self) -> None:
        self.step: Callable[[], None] = self._step
        self._waiting: deque[Call] = deque()
        self.open = 0
        self.free = threading.Event()
        self.free.set()

    @property
    def is_waiting(self) -> bool:
        return bool(self._waiting) and self.free.is_set()

    def takes(self, method: bytes, event: Any, leave: Callable[[Call], None]) -> bool:
        if not method.startswith(b"/brief/"):
            return False
        call = Call(event)
        self.open += 1

        def read(event: Any) -> None:
            call.message = operations.message_of(event)
            if method == b"/brief/left":
                self.open -= 1
                call.method = "/test.Service/unary"
                leave(call)
            else:
                self._waiting.append(call)

        operations.read(call.call, read)
        return True

    def _step(self) -> None:
        call = self._waiting.popleft()
        name = threading.current_thread().name.encode()
        operations.end(call.call, 0, b"", (), self._sent, is_first=True, message=name,
                       is_watched=False)  # fmt: skip

    def _sent(self, _event: Any) -> None:
        self.open -= 1


async def unary(request: bytes, context: Any) -> bytes:
    return threading.current_thread().name.encode() + b" " + request


async def held(request: bytes, context: Any) -> bytes:
    await asyncio.sleep(3_600)
    return b""


def until(holds: Callable[[], bool]) -> None:
    """Return once it holds; fail where it does not after some seconds."""
    late = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < late
        time.sleep(0.001)


def test_brief_calls_are_answered_where_they_are_taken_and_others_on_the_loop() -> None:
    with connected({"unary": unary}, brief=Brief()) as (_, channel):
        assert channel.unary_unary("/brief/x")(b"", timeout=10) == b"calls"
        assert not asking(channel, "unary")(b"", timeout=10).startswith(b"calls")


def test_a_call_may_be_left_to_the_loop_after_it_was_read() -> None:
    with connected({"unary": unary}, brief=Brief()) as (_, channel):
        found = channel.unary_unary("/brief/left")(b"as it came", timeout=10)
    assert found.endswith(b" as it came")


def test_what_the_loop_answers_does_not_wait_behind_brief_calls() -> None:
    """However many of them there are: all are taken before one more is answered."""
    brief, order = Brief(), list[str]()
    with connected({"unary": unary}, brief=brief) as (_, channel):
        step = brief.step

        def slowly() -> None:
            time.sleep(0.02)
            step()

        brief.step = slowly
        brief.free.clear()
        waiting = [channel.unary_unary("/brief/x").future(b"", timeout=20) for _ in range(30)]
        until(lambda: brief.open == 30)
        for call in waiting:
            call.add_done_callback(lambda _: order.append("brief"))
        brief.free.set()
        other = asking(channel, "unary").future(b"", timeout=20)
        other.add_done_callback(lambda _: order.append("other"))
        assert all(each.result() == b"calls" for each in waiting)
        assert other.result()
    assert order.index("other") < 20


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
        until(lambda: served.server.on_loop == 2)
        for ask in (asking(channel, "unary"), channel.unary_unary("/brief/x")):
            with pytest.raises(grpc.RpcError) as told:
                ask(b"", timeout=10)
            error: Any = told.value
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        first.cancel()
        second.cancel()
        until(lambda: served.server.on_loop == 0)
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


def test_brief_calls_that_wait_when_it_stops_are_answered() -> None:
    """Those that were taken: gRPC ends what nobody has taken."""
    brief = Brief()
    with connected({"unary": unary}, brief=brief) as (served, channel):
        brief.free.clear()
        calls = [channel.unary_unary("/brief/x").future(b"", timeout=20) for _ in range(20)]
        until(lambda: brief.open == 20)
        brief.free.set()
        served.on_loop(served.server.stop(10))
        assert [call.result() for call in calls] == [b"calls"] * 20
    assert brief.open == 0


@pytest.mark.parametrize("grace", [None, 0.05, 5])
def test_it_may_be_stopped_at_any_moment_of_a_load(
    grace: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    brief = Brief()
    over, ended = threading.Event(), list[Any]()

    def keep_asking(target: str) -> None:
        with grpc.insecure_channel(target) as channel:
            ask, other = channel.unary_unary("/brief/x"), asking(channel, "unary")
            while not over.is_set():
                calls = [each.future(b"", timeout=5) for each in (ask, other) for _ in range(20)]
                ended.extend(call.code() for call in calls)

    with connected({"unary": unary}, brief=brief) as (served, _):
        threads = [threading.Thread(target=keep_asking, args=(served.target,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        served.on_loop(served.server.stop(grace))
        over.set()
        for thread in threads:
            thread.join()
    assert brief.open == 0
    assert grpc.StatusCode.OK in ended
    assert caplog.records == []


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
        until(lambda: served.server.on_loop == 1)
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
