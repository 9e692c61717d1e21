"""How long does a call wait before it is taken? The server calls itself, and looks.

Calls that are not taken yet wait within gRPC, first come first served, where nobody can count them.
So while many come, one more is made through a socket that this user alone can open, to a method of
a name that nobody can guess: how long that takes to come through is how long the others wait.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc

LOOK_SECONDS = 0.05
"""How often it is looked, while many come: a look costs what a call does."""
CLOSELY_SECONDS = 0.02
"""How often, once calls wait longer than `SHORT_SECONDS`."""
SHORT_SECONDS = 0.002
MANY_PER_SECOND = 200.0
"""Fewer are taken as they come, whatever they ask for."""


class Waiting:
    """How long calls wait now, in seconds."""

    def __init__(self) -> None:
        self.method = f"/waiting/{secrets.token_hex(16)}"
        """The method that the server calls; whoever takes calls says `came` of it."""
        self.calls = 0
        """Calls that have come; whoever takes calls counts them."""
        self._sent: float | None = None
        self._last = 0.0

    def sent(self) -> None:
        """The server's own call was made."""
        self._sent = time.perf_counter()

    def came(self) -> None:
        """It was taken."""
        if self._sent is not None:
            self._last = time.perf_counter() - self._sent
            self._sent = None

    def lost(self) -> None:
        """It was ended before it was taken."""
        self._sent = None

    def none(self) -> None:
        """Nobody waits: hardly any call comes."""
        self._sent, self._last = None, 0.0

    def seconds(self) -> float:
        """How long the last call of its own waited, or the one that still does."""
        if self._sent is None:
            return self._last
        return max(self._last, time.perf_counter() - self._sent)


@asynccontextmanager
async def looking(waiting: Waiting, address: str) -> AsyncIterator[None]:
    """Keep `waiting` up to date while the block runs; address: a socket of the server's own."""
    async with grpc.aio.insecure_channel(address) as channel:
        task = asyncio.create_task(_look(waiting, channel))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            waiting.none()


async def _look(waiting: Waiting, channel: grpc.aio.Channel) -> None:
    ask: Any = channel.unary_unary(waiting.method, None, None)
    before, at = waiting.calls, time.perf_counter()
    while True:
        is_close = waiting.seconds() >= SHORT_SECONDS
        await asyncio.sleep(CLOSELY_SECONDS if is_close else LOOK_SECONDS)
        calls, now = waiting.calls, time.perf_counter()
        few = calls - before < MANY_PER_SECOND * (now - at)
        before, at = calls, now
        if few and waiting.seconds() < SHORT_SECONDS:
            waiting.none()
            continue
        waiting.sent()
        try:
            await ask(b"", timeout=10)
        except grpc.aio.AioRpcError as error:
            # It is answered as a method is that there is not. Where it was ended untaken, so were
            # others: they wait as long as before, at least.
            if error.code() is grpc.StatusCode.CANCELLED:
                waiting.lost()
                continue
        waiting.came()
