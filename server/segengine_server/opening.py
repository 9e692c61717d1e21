"""What does a server say while its store is still being opened? That it is not serving yet.

Reading a snapshot and what the log has after it takes seconds. Meanwhile the port is open: health
says NOT_SERVING, and every other call is refused as UNAVAILABLE with what it is waiting for, so
that callers and orchestrators can tell a server that starts from one that is gone. Then this one
makes room for the server itself; for some milliseconds between the two nobody listens. Where
workers are to answer, the server that begins them says the same beside them until all are ready.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc

from segengine_server.beside import Beside
from segengine_server.errors import ListenError, OpeningError, refuse
from segengine_server.guard import OPEN
from segengine_server.health import Health
from segengine_server.listening import check_address, listen
from segengine_server.methods import Methods
from segengine_server.tls import Tls
from segengine_server.transport.taking import CallServer

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

    async def answer(end: asyncio.Event, begun: Callable[[], None]) -> None:
        server = await _begun(host, port, tls, services, is_shared=False)
        begun()
        await end.wait()
        # Not `end`: whoever watches is to hear of the server that comes, not of an end.
        await server.stop(_LAST_WORDS_SECONDS)

    def make_room() -> None:
        if early.stop():
            _wait_until_free(host, port)

    # On a loop of its own: the thread that opens the store has none.
    early = Beside(answer, "opening", _START_SECONDS)
    early.start()
    try:
        yield make_room
    finally:
        make_room()


def _wait_until_free(host: str, port: int) -> None:
    """Return when the address is to be had; `ListenError` where it is not after some seconds."""
    late = time.monotonic() + _ROOM_SECONDS
    while True:
        try:
            check_address(host, port)
        except ListenError:
            if time.monotonic() > late:
                raise
            time.sleep(0.01)
        else:
            return


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
) -> CallServer:
    """A server that refuses; is_shared: others may listen at its port too."""
    methods = Methods()
    health_pb2_grpc.add_HealthServicer_to_server(Health(services), methods)
    options = (("grpc.so_reuseport", int(is_shared)),)
    server = CallServer(methods, (_Refusing(),), options)
    listen(server, host, port, tls)
    await server.start()
    return server


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
