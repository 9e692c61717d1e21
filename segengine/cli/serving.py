"""How does one process both answer over gRPC and ask? With the server on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from segengine.cli.outcome import FailedError

if TYPE_CHECKING:
    from segengine.engine import Engine

START_SECONDS = 30.0


@contextmanager
def serving(engine: Engine, host: str = "127.0.0.1") -> Iterator[str]:
    """`host:port` of a server for `engine` on a free port; drained and gone at the end."""
    server = _Server(engine, host)
    try:
        yield server.start()
    finally:
        server.stop()


class _Server:
    """A server with its own event loop in its own thread."""

    def __init__(self, engine: Engine, host: str) -> None:
        self._engine = engine
        self._host = host
        self._ready = threading.Event()
        self._port = 0
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._live, name="demo-server", daemon=True)

    def start(self) -> str:
        """Its address, once it answers."""
        self._thread.start()
        in_time = self._ready.wait(START_SECONDS)
        if self._failure is not None:
            raise self._failure
        if not in_time:
            raise FailedError(f"no server after {START_SECONDS:g} s")
        return f"{self._host}:{self._port}"

    def stop(self) -> None:
        """Drain it, and wait for its end."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_SECONDS)

    def _live(self) -> None:
        try:
            asyncio.run(self._answer())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _answer(self) -> None:
        from segengine_server.app import run

        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()

        def ready(_: str, port: int) -> None:
            self._port = port
            self._ready.set()

        await run(self._engine, self._host, 0, stop=self._stop, ready=ready, insecure=True)
