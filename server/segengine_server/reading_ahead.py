"""How are a client's next batches read while those before are taken in?

So far ahead, and no further: what a client sends is held in memory until it is lasting, and one
that sends faster than that waits, as its stream is not read on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

from segengine_server.wire import segengine_pb2 as pb

MOST_BATCHES = 64
MOST_BYTES = 32 << 20
"""What is held of one call; one batch may be larger, and is then alone."""


async def read_ahead(
    requests: AsyncIterator[pb.AppendRequest],
) -> AsyncGenerator[list[pb.AppendRequest], None]:
    """The batches in their order, each time all that have come: at least one.

    Raises what reading raises, after the batches before it.
    """
    held: deque[pb.AppendRequest] = deque()
    changed = asyncio.Event()
    room = asyncio.Event()
    size = 0

    async def read() -> None:
        nonlocal size
        async for each in requests:
            held.append(each)
            size += len(each.ipc)
            changed.set()
            while len(held) >= MOST_BATCHES or size >= MOST_BYTES:
                room.clear()
                await room.wait()

    reading = asyncio.ensure_future(read())
    reading.add_done_callback(lambda _: changed.set())
    try:
        while held or not reading.done():
            if not held:
                changed.clear()
                if not reading.done():
                    await changed.wait()
                continue
            batches = list(held)
            held.clear()
            size = 0
            room.set()
            yield batches
        await reading
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await reading
