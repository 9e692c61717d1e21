"""A real server on a free port of loopback, in a thread of the test's process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc
from segengine_server.app import Limits, run


class Served:
    """A running server; `stop` begins the drain, `ended` waits for its end."""

    def __init__(self, engine: Any, limits: Limits, host: str, port: int, **options: Any) -> None:
        self.engine = engine
        self.target = ""
        self.failure: BaseException | None = None
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._hurry: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, args=(limits, host, port), kwargs=options)
        self._thread.start()
        self._ready.wait(20)
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        assert self._loop
        assert self._stop
        self._loop.call_soon_threadsafe(self._stop.set)

    def hurry(self) -> None:
        assert self._loop
        assert self._hurry
        self._loop.call_soon_threadsafe(self._hurry.set)

    def end(self) -> None:
        """Stop at once, unless that has happened."""
        with suppress(RuntimeError):  # the loop is closed
            self.stop()
            self.hurry()

    def ended(self, seconds: float = 20) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self, limits: Limits, host: str, port: int, **options: Any) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._stop, self._hurry = asyncio.Event(), asyncio.Event()
            await run(
                self.engine,
                host,
                port,
                stop=self._stop,
                hurry=self._hurry,
                ready=self._heard_ready,
                limits=limits,
                **options,
            )

        try:
            asyncio.run(serve())
        except Exception as error:
            self.failure = error
        finally:
            self._ready.set()

    def _heard_ready(self, host: str, port: int) -> None:
        self.target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._ready.set()


@contextmanager
def serving(
    engine: Any,
    limits: Limits | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    **options: Any,
) -> Iterator[Served]:
    """A server for `engine` that is gone at the end; options: those of `run`.

    Without tokens it asks for none; without limits it turns no page away, however busy the machine.
    """
    options.setdefault("insecure", options.get("tokens") is None)
    served = Served(engine, limits or Limits(page_wait_seconds=10), host, port, **options)
    try:
        yield served
    finally:
        served.end()
        assert served.ended()


@contextmanager
def channel_to(target: str) -> Iterator[grpc.Channel]:
    """A channel of any gRPC client, with default options."""
    with grpc.insecure_channel(target) as channel:
        yield channel
