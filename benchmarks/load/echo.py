"""What would a page cost if deciding it were free? An Echo in the place of GetPage.

It stands at GetPage's address behind the interceptors of the real server, with the real server's
options, and answers each request with the same bytes: those of a real page. It reads no request
and writes no message, so that it is the least that gRPC in Python can take for such a call.
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
from segengine_server.app import Limits, interceptors_of
from segengine_server.tokens import Tokens
from segengine_server.turnstile import UNTAKEN
from segengine_server.waiting import Waiting

SERVICE, METHOD = "segengine.v1.PageService", "GetPage"


def echo_server(
    reply: bytes,
    tokens: Tokens | None = None,
    *,
    folder: Path | None = None,
    reuse_port: bool = False,
) -> grpc.aio.Server:
    """A server that does not listen yet; made on the running loop.

    reply: what everybody gets. folder: where an audit log is kept, as a store's server keeps one.
    reuse_port: several processes may share its port.
    """
    limits = Limits()

    async def answer(_request: bytes, _context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        return reply

    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", int(reuse_port)),
            ("grpc.max_receive_message_length", limits.request_bytes),
            ("grpc.max_send_message_length", limits.reply_bytes),
            *UNTAKEN,
        ],
        interceptors=interceptors_of(CollectorRegistry(), Waiting(), limits, tokens, folder),
        maximum_concurrent_rpcs=limits.calls,
    )
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),)
    )
    return server


def serve_echo(
    reply: bytes,
    tokens: Tokens | None,
    ready: Callable[[int], None],
    *,
    folder: Path | None = None,
    port: int = 0,
    reuse_port: bool = False,
) -> None:
    """Echo on loopback until SIGTERM; `ready` is told the port once calls are taken."""

    async def until_told() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        server = echo_server(reply, tokens, folder=folder, reuse_port=reuse_port)
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        ready(bound)
        await stop.wait()
        await server.stop(1)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(until_told())
