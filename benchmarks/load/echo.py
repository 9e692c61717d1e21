"""What would a page cost if deciding it were free? Two servers that answer with the same bytes.

The *Echo* is what a call costs in Python's gRPC: a server of `grpc.aio` with one method, which asks
for no token and counts nothing. The *floor* is what a call costs here: the server that `segengine
serve` makes, with all that a call goes through, but that nothing is decided. Both answer each
request, unread, with the bytes of a real page.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
from prometheus_client import CollectorRegistry
from segengine_server.app import Connections, Doors, Limits, server_of
from segengine_server.listening import switching_quickly
from segengine_server.methods import Methods
from segengine_server.page_service import GET_PAGE
from segengine_server.tokens import Tokens

Ready = Callable[[int], None]


def serve_echo(reply: bytes, ready: Ready, *, port: int = 0, reuse_port: bool = False) -> None:
    """The Echo on loopback until SIGTERM; `ready` is told the port once calls are taken.

    reply: what everybody gets. reuse_port: several processes may share its port.
    """

    async def answer(_request: bytes, _context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        return reply

    async def begun() -> tuple[Any, int]:
        service, _, method = GET_PAGE[1:].partition("/")
        handler = {method: grpc.unary_unary_rpc_method_handler(answer)}
        server = grpc.aio.server(options=[("grpc.so_reuseport", int(reuse_port))])
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handler),))
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        return server, bound

    _serve(begun, ready)


def serve_floor(
    reply: bytes,
    tokens: Tokens,
    folder: Path,
    ready: Ready,
    *,
    port: int = 0,
    reuse_port: bool = False,
) -> None:
    """The floor, likewise; folder: where an audit log is kept, as a store's server keeps one."""

    def answer(_request: bytes) -> bytes:
        return reply

    async def begun() -> tuple[Any, int]:
        # It refuses nobody: a refusal would count as an answer.
        limits = Limits(page_wait_seconds=60.0)
        doors = Doors(CollectorRegistry(), limits, tokens, folder)
        whose = Connections.OF_CALLERS_TOO if reuse_port else Connections.OF_CALLERS
        brief = doors.brief({GET_PAGE: answer})
        server = server_of(limits, Methods(), doors.interceptors(), brief, connections=whose)
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        return server, bound

    with switching_quickly():
        _serve(begun, ready)


def _serve(begun: Callable[[], Awaitable[tuple[Any, int]]], ready: Ready) -> None:
    async def until_told() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        server, bound = await begun()
        ready(bound)
        await stop.wait()
        await server.stop(1)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(until_told())
