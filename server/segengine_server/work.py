"""How is long work kept off the event loop? In a few threads, and not too much of it at once.

A scan takes milliseconds and more, during which pages must go on: whoever asks such a thing of the
engine does it here. What is asked ends with its caller: a client that has left, or whose deadline
has passed, ends the scan within some milliseconds, and waits no longer for a thread. What changes
something is done to its end. A table is sent piece by piece as the client takes it, so that a slow
client holds no thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from segengine.stopping import Stop, waited_for
from segengine_server.errors import BusyError
from segengine_server.times import Times

_T = TypeVar("_T")


class Work:
    """Work in `threads`, for at most `most_calls` calls at once; `times` hears how long it took."""

    def __init__(
        self,
        threads: ThreadPoolExecutor,
        most_calls: int,
        times: Times | None = None,
        *,
        what: str = "questions",
    ) -> None:
        self._threads = threads
        self._times, self._what = times, what
        self._most_calls = most_calls
        self._calls = 0

    async def do(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """What `work` returns or raises, once it was done in a thread; `BusyError` for too many.

        Once it has begun it goes on to its end, whether or not the caller is there.
        """
        with self._place():
            return await self._in_thread(work, *arguments)

    async def ask(self, question: Callable[..., _T], *arguments: Any) -> _T:
        """The same for what changes nothing: it ends when the caller leaves."""
        with self._place(), _caller() as stop:
            return await self._in_thread(_asked, stop, question, *arguments)

    async def pieces(
        self, work: Callable[..., Iterator[bytes]], *arguments: Any
    ) -> AsyncGenerator[bytes, None]:
        """Each of the pieces that `work` gives, made when it is asked for, all in one place."""
        with self._place(), _caller() as stop:
            pieces = await self._in_thread(_asked, stop, work, *arguments)
            while (piece := await self._in_thread(_asked_on, stop, pieces)) is not None:
                yield piece

    async def _in_thread(self, work: Callable[..., _T], *arguments: Any) -> _T:
        # In the caller's context: what is logged there bears the id of its request.
        context = copy_context()
        loop = asyncio.get_running_loop()
        if self._times is None or work is _asked_on:
            return await loop.run_in_executor(self._threads, context.run, work, *arguments)
        timed = self._times.timed(self._what, partial(context.run, work, *arguments))
        return await loop.run_in_executor(self._threads, timed)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the places for calls at work; refused when all are taken."""
        if self._calls >= self._most_calls:
            raise BusyError(f"{self._calls} long calls are at work already; try again later")
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1


@contextmanager
def _caller() -> Iterator[Stop]:
    """Set at the end of the block, which is when its caller has the answer, or has left."""
    stop = Stop()
    try:
        yield stop
    finally:
        stop.set()


def _asked(stop: Stop, question: Callable[..., _T], *arguments: Any) -> _T:
    with waited_for(stop):
        return question(*arguments)


def _asked_on(stop: Stop, pieces: Iterator[bytes]) -> bytes | None:
    """The next piece of an answer; the work was timed when it was asked."""
    with waited_for(stop):
        return next(pieces, None)
