"""A brief call is counted, named, let in or refused like all others, and answered in its turn."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry
from segengine_server import Limits
from segengine_server.brief_calls import Answer, BriefCalls, Check, Turns
from segengine_server.connecting import Connection
from segengine_server.errors import ForbiddenError, server_error_of
from segengine_server.malformed import unreadable
from segengine_server.page_service import GET_PAGE, PageService
from segengine_server.transport import operations
from segengine_server.turnstile import Turnstile
from segengine_server.watch import REQUEST_ID, Watch, request_id
from segengine_server.wire import segengine_pb2 as pb

from segengine.errors import ElsewhereError
from tests.server.fake_engine import FakeEngine
from tests.server.serving import serving
from tests.server.transport.serving import asking, connected

BRIEF = "/segengine.v1.PageService/GetPage"
TURNS = "/segengine.v1.PageService/BatchGetPages"


class Room(Turnstile):
    """Room for so many, whatever they wait."""

    def __init__(self, most: int = 1_000) -> None:
        super().__init__(1.0)
        self.most = most

    def has(self, waiting: int) -> bool:
        return waiting < self.most


class Brief:
    """A server of brief calls; `unary` is answered on the loop."""

    def __init__(
        self, answers: dict[str, Answer], checks: tuple[Check, ...] = (), most: int = 1_000
    ) -> None:
        self.registry, self.room = CollectorRegistry(), Room(most)
        self.calls = BriefCalls(answers, Watch(self.registry), self.room, checks)

    @contextmanager
    def served(self) -> Iterator[grpc.Channel]:
        async def unary(request: bytes, context: Any) -> bytes:
            return b"on the loop " + request

        with connected({"unary": unary}, brief=self.calls) as (_, channel):
            yield channel

    def counted(self, method: str, code: str) -> float | None:
        labels = {"method": method, "code": code}
        return self.registry.get_sample_value("segengine_calls_total", labels)

    def in_flight(self) -> float | None:
        return self.registry.get_sample_value("segengine_calls_in_flight")


def failure_of(ask: Callable[[], object]) -> tuple[Any, Any]:
    with pytest.raises(grpc.RpcError) as told:
        ask()
    return told.value, server_error_of(told.value, Connection("here:1"), 1.0)


def answered(request: bytes) -> bytes:
    return b"of " + request


def test_it_is_answered_counted_and_named() -> None:
    brief = Brief({BRIEF: answered})
    with brief.served() as channel:
        ask = channel.unary_unary(BRIEF)
        reply, call = ask.with_call(b"x", timeout=10, metadata=((REQUEST_ID, "mine"),))
        assert reply == b"of x"
        assert dict(call.trailing_metadata())[REQUEST_ID] == "mine"
        _, call = ask.with_call(b"", timeout=10)
        assert dict(call.trailing_metadata())[REQUEST_ID] not in ("", "mine")
    assert brief.counted("PageService/GetPage", "OK") == 2
    assert brief.in_flight() == 0


def test_what_is_logged_while_it_is_answered_bears_its_id() -> None:
    seen: list[str] = []

    def asked(request: bytes) -> bytes:
        seen.append(request_id())
        return request

    def turns(request: bytes) -> Turns:
        for _ in range(3):
            seen.append(request_id())
            yield
        return request

    with Brief({BRIEF: asked, TURNS: turns}).served() as channel:
        batch = channel.unary_unary(TURNS).future(b"", timeout=10, metadata=((REQUEST_ID, "b"),))
        channel.unary_unary(BRIEF)(b"", timeout=10, metadata=((REQUEST_ID, "a"),))
        batch.result()
    assert sorted(seen) == ["a", "b", "b", "b"]


def test_one_without_room_is_refused_unread_and_told_that_the_server_is_busy() -> None:
    read: list[bytes] = []

    def asked(request: bytes) -> bytes:
        read.append(request)
        return request

    brief = Brief({BRIEF: asked}, most=0)
    with brief.served() as channel:
        ask = channel.unary_unary(BRIEF)
        refused, told = failure_of(lambda: ask(b"x", timeout=10, metadata=((REQUEST_ID, "r"),)))
        assert (told.code, told.reason) == ("RESOURCE_EXHAUSTED", "BUSY")
        assert dict(refused.trailing_metadata())[REQUEST_ID] == "r"
        assert read == []
        brief.room.most = 1
        assert ask(b"y", timeout=10) == b"y"
    assert brief.counted("PageService/GetPage", "RESOURCE_EXHAUSTED") == 1
    assert brief.in_flight() == 0


def test_one_that_a_check_is_against_is_refused_before_it_is_read() -> None:
    read: list[bytes] = []

    def asked(request: bytes) -> bytes:
        read.append(request)
        return request

    def against(method: str, metadata: Any) -> None:
        if dict(metadata).get("who") != "me":
            raise ForbiddenError(f"not for {method}")

    with Brief({BRIEF: asked}, (against,)).served() as channel:
        ask = channel.unary_unary(BRIEF)
        _, told = failure_of(lambda: ask(b"x", timeout=10))
        assert (told.code, told.reason) == ("PERMISSION_DENIED", "FORBIDDEN")
        assert told.message == f"not for {BRIEF}"
        assert read == []
        assert ask(b"y", timeout=10, metadata=(("who", "me"),)) == b"y"


def test_bytes_that_are_no_request_are_refused_as_ever() -> None:
    def asked(request: bytes) -> bytes:
        pb.GetPageRequest.FromString(request)
        return b""

    with Brief({BRIEF: asked}).served() as channel:
        _, told = failure_of(lambda: channel.unary_unary(BRIEF)(b"\xff", timeout=10))
    assert told.code == "INVALID_ARGUMENT"
    assert told.violations == unreadable("PageService/GetPage").violations


def test_what_nobody_foresaw_is_internal_logged_and_the_next_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def asked(request: bytes) -> bytes:
        if request:
            raise ValueError("an inside of ours")
        return b"well"

    with Brief({BRIEF: asked}).served() as channel:
        ask = channel.unary_unary(BRIEF)
        with caplog.at_level(logging.ERROR):
            _, told = failure_of(lambda: ask(b"x", timeout=10))
        assert told.code == "INTERNAL"
        assert "inside" not in told.message
        assert "an inside of ours" in caplog.text
        assert ask(b"", timeout=10) == b"well"


def test_what_only_another_can_answer_goes_to_the_loop_with_what_was_read() -> None:
    """Also where some turns are over; whoever answers it counts it."""

    def turns(request: bytes) -> Turns:
        yield
        raise ElsewhereError("only another can")

    brief = Brief({"/test.Service/unary": turns})
    with brief.served() as channel:
        assert asking(channel, "unary")(b"as it came", timeout=10) == b"on the loop as it came"
        assert asking(channel, "unary")(b"", timeout=10) == b"on the loop "
    assert brief.calls.open == 0
    assert brief.in_flight() == 0


def test_turns_of_one_leave_room_for_others_in_between() -> None:
    order: list[str] = []
    began = threading.Event()

    def turns(request: bytes) -> Turns:
        for _ in range(1_000):
            order.append("turn")
            began.set()
            threading.Event().wait(0.001)
            yield
        return b"all"

    def asked(request: bytes) -> bytes:
        order.append("brief")
        return request

    with Brief({BRIEF: asked, TURNS: turns}).served() as channel:
        batch = channel.unary_unary(TURNS).future(b"", timeout=60)
        assert began.wait(10)
        channel.unary_unary(BRIEF)(b"", timeout=10)
        assert batch.result() == b"all"
    assert 0 < order.index("brief") < 1_000
    assert order.count("turn") == 1_000


def test_batches_do_not_make_pages_wait_nor_have_them_refused() -> None:
    """Three programs' batches are at work all the time; the room is that of a server."""
    over = threading.Event()

    def turns(request: bytes) -> Turns:
        while not over.is_set():
            over.wait(0.001)
            yield
        return b""

    brief = Brief({BRIEF: answered, TURNS: turns})
    brief.calls._room = Turnstile(0.002)
    with brief.served() as channel:
        batches = [channel.unary_unary(TURNS).future(b"", timeout=60) for _ in range(3)]
        ask = channel.unary_unary(BRIEF)
        for _ in range(300):
            assert ask(b"x", timeout=10) == b"of x"
        over.set()
        assert [batch.result() for batch in batches] == [b""] * 3


def test_only_what_is_turned_away_needs_room() -> None:
    registry = CollectorRegistry()
    answers: dict[str, Answer] = {BRIEF: answered, TURNS: answered}
    calls = BriefCalls(answers, Watch(registry), Room(0), turned={BRIEF})

    async def unary(request: bytes, context: Any) -> bytes:
        return request

    with connected({"unary": unary}, brief=calls) as (_, channel):
        assert channel.unary_unary(TURNS)(b"x", timeout=10) == b"of x"
        refused, _ = failure_of(lambda: channel.unary_unary(BRIEF)(b"x", timeout=10))
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_call_is_open_until_its_reply_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that nobody reads takes memory: calls are bounded by what they hold."""
    held: list[Any] = []
    end = operations.end

    def hold(call: Any, code: int, details: bytes, told: Any, tag: Any, **named: Any) -> None:
        held.append(tag)
        end(call, code, details, told, lambda _: None, **named)

    monkeypatch.setattr(operations, "end", hold)
    brief = Brief({BRIEF: answered})
    with brief.served() as channel:
        channel.unary_unary(BRIEF)(b"x", timeout=10)
        assert brief.in_flight() == 0
        assert brief.calls.open == 1
        held[0](None)
        assert brief.calls.open == 0


@pytest.mark.parametrize("how", ["cancel", "deadline"])
def test_what_has_many_turns_ends_when_its_caller_leaves(how: str) -> None:
    taken, closed = 0, threading.Event()

    def turns(request: bytes) -> Turns:
        nonlocal taken
        try:
            while True:
                taken += 1
                threading.Event().wait(0.001)
                yield
        finally:
            closed.set()

    brief = Brief({BRIEF: answered, TURNS: turns})
    with brief.served() as channel:
        timeout = 0.2 if how == "deadline" else 60
        batch = channel.unary_unary(TURNS).future(b"", timeout=timeout)
        while not taken:
            threading.Event().wait(0.001)
        if how == "cancel":
            batch.cancel()
        assert closed.wait(10)
        assert channel.unary_unary(BRIEF)(b"x", timeout=10) == b"of x"
    assert brief.counted("PageService/BatchGetPages", "CANCELLED") == 1
    assert brief.in_flight() == 0


def test_a_caller_that_sends_no_request_is_told_and_one_that_leaves_is_forgotten() -> None:
    brief = Brief({BRIEF: answered})
    with brief.served() as channel:
        stream = channel.stream_unary(BRIEF)
        refused, _ = failure_of(lambda: stream(iter([]), timeout=10))
        assert refused.code() is grpc.StatusCode.UNIMPLEMENTED
        held = threading.Event()
        call = stream.future(iter(held.wait, True), timeout=0.2)
        with pytest.raises(grpc.RpcError):
            call.result()
        held.set()
        for _ in range(500):
            if brief.calls.open == 0:
                break
            threading.Event().wait(0.01)
        assert brief.calls.open == 0
        assert channel.unary_unary(BRIEF)(b"x", timeout=10) == b"of x"
    assert brief.counted("PageService/GetPage", "CANCELLED") == 2


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


def test_a_burst_is_answered_whole_by_a_server_as_it_is(engine: FakeEngine) -> None:
    """By its own limits: more would wait for longer than a burst may, on a slow machine."""
    with serving(engine, Limits()) as served:
        found = _burst(served.target, 1, 100)
    assert [each for each in found if not isinstance(each, bytes)] == []


@pytest.mark.parametrize(("connections", "calls"), [(1, 512), (2, 200), (8, 32)])
def test_bursts_of_several_programs_are_answered_whole(
    engine: FakeEngine, connections: int, calls: int
) -> None:
    with serving(engine, Limits(page_wait_seconds=60.0)) as served:
        found = _burst(served.target, connections, calls)
    assert len(found) == 10 * connections * calls
    assert [each for each in found if not isinstance(each, bytes)] == []


def test_whatever_is_no_page_is_answered_while_more_pages_are_asked_for_than_can_be_decided(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = engine.page

    def slow(*arguments: object, **named: object) -> object:
        threading.Event().wait(0.005)
        return page(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "page", slow)
    request = pb.GetPageRequest(page="home").SerializeToString()
    over, ended = threading.Event(), list[str]()

    def keep_asking(target: str) -> None:
        with Connection(target).channel() as channel:
            ask = channel.unary_unary(GET_PAGE)
            while not over.is_set():
                calls = [ask.future(request, timeout=30) for _ in range(32)]
                ended.extend(call.code().name for call in calls)

    with serving(engine, Limits(page_wait_seconds=0.02)) as served:
        threads = [threading.Thread(target=keep_asking, args=(served.target,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            with Connection(served.target).channel() as channel:
                check = channel.unary_unary("/grpc.health.v1.Health/Check")
                count = channel.unary_unary("/segengine.v1.AudienceService/CountAudience")
                rule = pb.CountAudienceRequest(rule="x").SerializeToString()
                for _ in range(20):
                    assert check(b"", timeout=30)
                    assert count(rule, timeout=30)
        finally:
            over.set()
            for thread in threads:
                thread.join()
    assert set(ended) == {"OK", "RESOURCE_EXHAUSTED"}


def test_pages_are_what_is_answered_where_calls_are_taken(engine: FakeEngine) -> None:
    """Every name is a method that there is."""
    answers = PageService(engine, None).answers()  # type: ignore[arg-type]
    services = pb.DESCRIPTOR.services_by_name.values()
    ours = {f"/{each.full_name}/{method.name}" for each in services for method in each.methods}
    assert set(answers) == {BRIEF, TURNS}
    assert set(answers) <= ours
