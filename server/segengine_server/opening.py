"""What does a server say while its store is still being opened? That it is not serving yet.

Reading a snapshot and what the log has after it takes seconds. Meanwhile the port is open: health
says NOT_SERVING, and every other call is refused as UNAVAILABLE with what it is waiting for, so
that callers and orchestrators can tell a server that starts from one that is gone. Then this one
makes room for the server itself; for some milliseconds between the two nobody listens. Where
workers are to answer, the server that begins them says the same beside them until all are ready.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc

from segengine_server.errors import ListenError, OpeningError, refuse
from segengine_server.guard import OPEN
from segengine_server.health import Health
from segengine_server.listening import check_address, listen
from segengine_server.tls import Tls

_START_SECONDS = 10.0
_ROOM_SECONDS = 5.0
_LAST_WORDS_SECONDS = 0.2
"""What calls that were just being refused have."""


@contextmanager
def not_serving_yet(
    host: str, port: int, tls: Tls | None, services: tuple[str, ...]
) -> Iterator[Callable[[], None]]:
    """Say so at this address until the block ends, or what it gives is called.

    port: where it is 0 nobody knows yet where to ask, and nobody listens. Raises `ListenError`
    where the address is not to be had.
    """
    if port == 0:
        yield lambda: None
        return
    early = _Early(host, port, tls, services)
    early.start()
    try:
        yield early.stop
    finally:
        early.stop()


@asynccontextmanager
async def not_serving_beside(
    host: str, port: int, tls: Tls | None, services: tuple[str, ...]
) -> AsyncIterator[None]:
    """Say so at a port that others share, on the running loop, until the block ends.

    Those that connect meanwhile are dealt out among this one and the others.
    """
    server = await _begun(host, port, tls, services, is_shared=True)
    try:
        yield
    finally:
        await server.stop(_LAST_WORDS_SECONDS)


async def _begun(
    host: str, port: int, tls: Tls | None, services: tuple[str, ...], *, is_shared: bool
) -> grpc.aio.Server:
    """A server that refuses; is_shared: others may listen at its port too."""
    options = (("grpc.so_reuseport", int(is_shared)),)
    server = grpc.aio.server(interceptors=(_Refusing(),), options=options)
    health_pb2_grpc.add_HealthServicer_to_server(Health(services), server)
    listen(server, host, port, tls)
    await server.start()
    return server


class _Early:
    """A small server on a loop of its own: the thread that opens the store has none."""

    def __init__(self, host: str, port: int, tls: Tls | None, services: tuple[str, ...]) -> None:
        self._host, self._port, self._tls, self._services = host, port, tls, services
        self._begun = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._live, name="opening", daemon=True)

    def start(self) -> None:
        """Listen; `ListenError` where that cannot be."""
        self._thread.start()
        self._begun.wait(_START_SECONDS)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Listen no more; the address is free when this returns."""
        if self._loop is None or self._end is None or not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(_START_SECONDS)
        late = time.monotonic() + _ROOM_SECONDS
        while True:
            try:
                check_address(self._host, self._port)
            except ListenError:
                if time.monotonic() > late:
                    raise
                time.sleep(0.01)
            else:
                return

    def _live(self) -> None:
        try:
            asyncio.run(self._answer())
        except BaseException as error:
            self._failure = error
        finally:
            self._begun.set()

    async def _answer(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await _begun(self._host, self._port, self._tls, self._services, is_shared=False)
        self._begun.set()
        await self._end.wait()
        # Not `end`: whoever watches is to hear of the server that comes, not of an end.
        await server.stop(_LAST_WORDS_SECONDS)


class _Refusing(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Answers whatever is no question about health."""

    async def intercept_service(self, continuation: Any, call: grpc.HandlerCallDetails) -> Any:
        """The handler of the call, or one that says what it is waiting for."""
        if call.method.startswith(OPEN):
            return await continuation(call)

        async def refused(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            await refuse(context, OpeningError(
                "the store is being opened; try again when health says SERVING"
            ))  # fmt: skip

        # It may be any kind of call: the answer to all of them is a status.
        return grpc.stream_stream_rpc_method_handler(refused)
