"""A handler reads, writes and ends its call, and hears when its caller has left."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tests.server.transport.serving import asking, connected


async def unary(request: bytes, context: Any) -> bytes:
    return b"of " + request


async def out(request: bytes, context: Any) -> None:
    for number in range(int(request)):
        await context.write(b"%d" % number)


async def out_by_yield(request: bytes, context: Any) -> AsyncIterator[bytes]:
    for number in range(int(request)):
        yield b"%d" % number


async def into(requests: AsyncIterator[bytes], context: Any) -> bytes:
    return b"+".join([each async for each in requests])


async def both(requests: AsyncIterator[bytes], context: Any) -> None:
    async for each in requests:
        await context.write(b"of " + each)


def test_each_kind_of_call_is_answered() -> None:
    handlers = {"unary": unary, "out": out, "into": into, "both": both}
    with connected(handlers) as (_, channel):
        assert asking(channel, "unary")(b"x", timeout=10) == b"of x"
        assert asking(channel, "unary")(b"", timeout=10) == b"of "
        assert list(asking(channel, "out")(b"3", timeout=10)) == [b"0", b"1", b"2"]
        assert list(asking(channel, "out")(b"0", timeout=10)) == []
        assert asking(channel, "into")(iter([b"a", b"", b"b"]), timeout=10) == b"a++b"
        assert asking(channel, "into")(iter([]), timeout=10) == b""
        found = asking(channel, "both")(iter([b"a", b"b"]), timeout=10)
        assert list(found) == [b"of a", b"of b"]


def test_a_stream_may_be_a_generator() -> None:
    with connected({"out": out_by_yield}) as (_, channel):
        assert list(asking(channel, "out")(b"1000", timeout=10)) == [
            b"%d" % number for number in range(1000)
        ]


@pytest.mark.parametrize("kind", ["unary", "out", "into", "both"])
def test_a_call_ends_with_the_status_that_its_handler_gives_it(kind: str) -> None:
    async def refused(_: Any, context: Any) -> None:
        assert context.code() is None
        context.set_trailing_metadata((("told", "before"),))
        try:
            told = (*context.trailing_metadata(), ("too", "yes"))
            await context.abort(grpc.StatusCode.NOT_FOUND, "not hère", told)
        finally:
            assert context.code() is grpc.StatusCode.NOT_FOUND

    with connected({kind: refused}) as (_, channel):
        message = iter([b"x"]) if kind in ("into", "both") else b"x"
        with pytest.raises(grpc.RpcError) as told:
            list(asking(channel, kind)(message, timeout=10))
    error: Any = told.value
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "not hère")
    assert {"told": "before", "too": "yes"}.items() <= dict(error.trailing_metadata()).items()


def test_an_answer_bears_what_was_set_to_go_with_it_and_the_caller_what_it_sent() -> None:
    async def answer(request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("goes", "along"),))
        sent = dict(context.invocation_metadata())
        return f"{sent['key']} {sent['key-bin']!r}".encode()

    with connected({"unary": answer}) as (_, channel):
        sent = (("key", "value"), ("key-bin", b"\x00\xff"))
        reply, call = asking(channel, "unary").with_call(b"", timeout=10, metadata=sent)
    assert reply == b"value b'\\x00\\xff'"
    assert dict(call.trailing_metadata())["goes"] == "along"


@pytest.mark.parametrize(("timeout", "least", "most"), [(30, 25, 31), (2_000, 1_990, 2_010)])
def test_a_handler_knows_how_long_its_caller_waits(
    timeout: float, least: float, most: float
) -> None:
    found: list[float | None] = []

    async def answer(request: bytes, context: Any) -> bytes:
        found.append(context.time_remaining())
        return b""

    with connected({"unary": answer}) as (_, channel):
        asking(channel, "unary")(b"", timeout=timeout)
        asking(channel, "unary")(b"")
    left, no_end = found
    assert left is not None
    assert least < left <= most
    assert no_end is None


class Held:
    """Handlers that wait for good, and say so when they are cancelled."""

    def __init__(self) -> None:
        self.began, self.cancelled = threading.Event(), threading.Event()

    async def __call__(self, request: Any, context: Any) -> bytes:
        self.began.set()
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b""


@pytest.mark.parametrize("how", ["cancel", "deadline", "channel"])
def test_whoever_leaves_or_waits_no_longer_cancels_the_handler(how: str) -> None:
    held = Held()
    with connected({"unary": held}) as (_, channel):
        call = asking(channel, "unary").future(b"", timeout=0.5 if how == "deadline" else 60)
        assert held.began.wait(10)
        if how == "cancel":
            call.cancel()
        elif how == "channel":
            channel.close()
        assert held.cancelled.wait(10)


def test_who_writes_to_a_caller_that_has_left_is_told_or_cancelled() -> None:
    ended = threading.Event()

    async def endless(request: bytes, context: Any) -> None:
        try:
            while True:
                await context.write(b"x" * 100_000)
        except (asyncio.CancelledError, grpc.aio.InternalError):
            ended.set()
            raise

    with connected({"out": endless}) as (_, channel):
        call = asking(channel, "out")(b"", timeout=60)
        next(call)
        call.cancel()
        assert ended.wait(10)


def test_a_slow_reader_is_waited_for() -> None:
    written: list[int] = []

    async def many(request: bytes, context: Any) -> None:
        for number in range(200):
            await context.write(b"x" * 1_000_000)
            written.append(number)

    with connected({"out": many}) as (_, channel):
        call = asking(channel, "out")(b"", timeout=60)
        next(call)
        time.sleep(0.5)
        assert len(written) < 100
        assert sum(1 for _ in call) == 199


def test_what_nobody_foresaw_ends_the_call_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(request: bytes, context: Any) -> bytes:
        raise ValueError("an inside of ours")

    with connected({"unary": broken}) as (_, channel), pytest.raises(grpc.RpcError) as told:
        asking(channel, "unary")(b"", timeout=10)
    error: Any = told.value
    assert error.code() is grpc.StatusCode.UNKNOWN
    assert "inside" not in error.details()
    assert "an inside of ours" in caplog.text


def test_a_call_without_its_request_is_refused() -> None:
    """What a client of another library may send: a stream of none to a method that wants one."""
    with connected({"unary": unary}) as (_, channel):
        ask = channel.stream_unary("/test.Service/unary")
        with pytest.raises(grpc.RpcError) as told:
            ask(iter([]), timeout=10)
    error: Any = told.value
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
