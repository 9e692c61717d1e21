"""How does one process both answer over gRPC and ask? With the server on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from segengine.cli.outcome import FailedError

if TYPE_CHECKING:
    from segengine.engine import Engine

START_SECONDS = 30.0


@contextmanager
def serving(engine: Engine, host: str = "127.0.0.1") -> Iterator[str]:
    """`host:port` of a server for `engine` on a free port; drained and gone at the end."""
    from segengine_server.app import run
    from segengine_server.beside import Beside

    ports: list[int] = []

    async def answer(end: asyncio.Event, begun: Callable[[], None]) -> None:
        def ready(_: str, port: int) -> None:
            ports.append(port)
            begun()

        await run(engine, host, 0, stop=end, ready=ready, insecure=True)

    server = Beside(answer, "demo-server", START_SECONDS)
    try:
        if not server.start():
            raise FailedError(f"no server after {START_SECONDS:g} s")
        yield f"{host}:{ports[0]}"
    finally:
        server.stop()
