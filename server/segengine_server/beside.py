"""How does a server live in a process that has no event loop? On one of its own, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

Serve = Callable[[asyncio.Event, Callable[[], None]], Awaitable[None]]
"""Answers until the event is set; calls the other when it does."""


class Beside:
    """A server on a loop of its own, from `start` to `stop`.

    name: the thread's. seconds: how long the beginning may take, and the end.
    """

    def __init__(self, serve: Serve, name: str, seconds: float) -> None:
        self._serve, self._seconds = serve, seconds
        self._begun = threading.Event()
        self._failure: BaseException | None = None
        self._ending: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)

    def start(self) -> bool:
        """Begin; whether it answers in time. Raises what keeps it from that."""
        self._thread.start()
        in_time = self._begun.wait(self._seconds)
        if self._failure is not None:
            raise self._failure
        return in_time

    def stop(self) -> bool:
        """End it, and wait until it has; False where it had ended, or never begun."""
        if self._ending is None or not self._thread.is_alive():
            return False
        loop, end = self._ending
        loop.call_soon_threadsafe(end.set)
        self._thread.join(self._seconds)
        return True

    def _live(self) -> None:
        try:
            asyncio.run(self._answer())
        except BaseException as error:
            self._failure = error
        finally:
            self._begun.set()

    async def _answer(self) -> None:
        end = asyncio.Event()
        self._ending = asyncio.get_running_loop(), end
        await self._serve(end, self._begun.set)
