"""How are a client's next batches read while those before are taken in?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from segengine_server import reading_ahead
from segengine_server.reading_ahead import read_ahead
from segengine_server.wire import segengine_pb2 as pb


def batch(k: int, size: int = 1) -> pb.AppendRequest:
    return pb.AppendRequest(table=str(k), ipc=bytes(size))


async def sent(read: list[int], *batches: pb.AppendRequest) -> AsyncIterator[pb.AppendRequest]:
    for each in batches:
        read.append(int(each.table))
        yield each
        await asyncio.sleep(0)


async def rested() -> None:
    """Until everybody else has come as far as they can."""
    for _ in range(100):
        await asyncio.sleep(0)


def test_what_comes_meanwhile_is_given_together_and_in_order() -> None:
    async def run() -> list[list[int]]:
        found = []
        async for batches in read_ahead(sent([], *map(batch, range(20)))):
            found.append([int(each.table) for each in batches])
            await rested()
        return found

    found = asyncio.run(run())
    assert [k for each in found for k in each] == list(range(20))
    assert len(found) == 2


def test_who_sends_faster_than_it_is_taken_in_is_not_read_on() -> None:
    async def run(size: int) -> int:
        read: list[int] = []
        stream = read_ahead(sent(read, *(batch(k, size) for k in range(500))))
        await anext(stream)
        await rested()
        ahead = len(read)
        await stream.aclose()
        return ahead

    assert asyncio.run(run(1)) <= reading_ahead.MOST_BATCHES + 1
    assert asyncio.run(run(reading_ahead.MOST_BYTES // 4)) <= 5


def test_what_was_sent_before_a_stream_broke_is_given_before_the_error() -> None:
    async def broken() -> AsyncIterator[pb.AppendRequest]:
        yield batch(1)
        raise OSError("gone")

    found: list[str] = []

    async def run() -> None:
        async for batches in read_ahead(broken()):
            found.extend(each.table for each in batches)

    with pytest.raises(OSError, match="gone"):
        asyncio.run(run())
    assert found == ["1"]


def test_nothing_is_read_on_once_nobody_wants_it() -> None:
    async def run() -> tuple[int, int]:
        read: list[int] = []
        stream = read_ahead(sent(read, *map(batch, range(1000))))
        async for _ in stream:
            break
        await stream.aclose()
        before = len(read)
        await rested()
        return before, len(read)

    before, after = asyncio.run(run())
    assert before == after
