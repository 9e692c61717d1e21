"""What would a page cost if deciding it were free? An Echo in the place of GetPage.

It is the server that `segengine serve` makes, with its interceptors, limits and queues, and looks
how long calls wait as that does; but its one method answers each request with the same bytes, those
of a real page. It reads no request and writes no message, so that it is the least that gRPC in
Python can take for such a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from prometheus_client import CollectorRegistry
from segengine_server.app import Connections, Limits, interceptors_of, server_of
from segengine_server.listening import switching_quickly
from segengine_server.methods import Methods
from segengine_server.tokens import Tokens
from segengine_server.waiting import Waiting, looking
from segengine_server.workers import private_socket

SERVICE, METHOD = "segengine.v1.PageService", "GetPage"


def serve_echo(
    reply: bytes,
    tokens: Tokens | None,
    ready: Callable[[int], None],
    *,
    folder: Path | None = None,
    port: int = 0,
    reuse_port: bool = False,
) -> None:
    """Echo on loopback until SIGTERM; `ready` is told the port once calls are taken.

    reply: what everybody gets. folder: where an audit log is kept, as a store's server keeps one.
    reuse_port: several processes may share its port.
    """

    async def answer(_request: bytes, _context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        return reply

    async def until_told() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        # It refuses nobody: a refusal would count as an answer.
        limits, waiting, methods = Limits(page_wait_seconds=60.0), Waiting(), Methods()
        handler = grpc.unary_unary_rpc_method_handler(answer)
        methods.add_registered_method_handlers(SERVICE, {METHOD: handler})
        passed = interceptors_of(CollectorRegistry(), waiting, limits, tokens, folder)
        whose = Connections.OF_CALLERS_TOO if reuse_port else Connections.OF_CALLERS
        server = server_of(limits, passed, methods, connections=whose)
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        with switching_quickly(), private_socket() as asked_by_itself:
            server.add_insecure_port(asked_by_itself)
            await server.start()
            ready(bound)
            async with looking(waiting, asked_by_itself):
                await stop.wait()
            await server.stop(1)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(until_told())
