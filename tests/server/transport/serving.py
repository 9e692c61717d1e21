"""A server of the transport alone, of some handlers, on loopback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from segengine_server.methods import Methods
from segengine_server.transport.taking import CallServer

SERVICE = "test.Service"
MAKERS: dict[str, Any] = {
    "unary": grpc.unary_unary_rpc_method_handler,
    "out": grpc.unary_stream_rpc_method_handler,
    "into": grpc.stream_unary_rpc_method_handler,
    "both": grpc.stream_stream_rpc_method_handler,
}


class Running:
    """A server in a thread with a loop of its own."""

    def __init__(self, methods: Methods, **options: Any) -> None:
        self.target = ""
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.server: CallServer = self.on_loop(self._begun(methods, options))

    async def _begun(self, methods: Methods, options: dict[str, Any]) -> CallServer:
        server = CallServer(methods, options=(("grpc.so_reuseport", 0),), **options)
        self.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        return server

    def on_loop(self, what: Coroutine[Any, Any, Any], seconds: float = 20) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(seconds)

    def end(self) -> None:
        self.on_loop(self.server.stop(None))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(20)
        self.loop.close()


@contextmanager
def connected(
    handlers: dict[str, Callable[..., Any]], **options: Any
) -> Iterator[tuple[Running, grpc.Channel]]:
    """A server, and a channel to it.

    handlers: by kind (`unary`, `out`, `into`, `both`), which is the method's name too.
    """
    methods = Methods()
    made = {kind: MAKERS[kind](behavior) for kind, behavior in handlers.items()}
    methods.add_registered_method_handlers(SERVICE, made)
    found = Running(methods, **options)
    try:
        with grpc.insecure_channel(found.target) as channel:
            yield found, channel
    finally:
        found.end()


def asking(channel: grpc.Channel, kind: str) -> Any:
    """What asks a method of a kind."""
    ask: dict[str, Any] = {
        "unary": channel.unary_unary, "out": channel.unary_stream,
        "into": channel.stream_unary, "both": channel.stream_stream,
    }  # fmt: skip
    return ask[kind](f"/{SERVICE}/{kind}")
