"""A server on a loop of its own begins, says what keeps it from that, and ends when told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from segengine_server.beside import Beside


def test_it_answers_from_start_to_stop_in_a_thread_of_its_own() -> None:
    steps: list[str] = []

    async def serve(end: asyncio.Event, begun: Callable[[], None]) -> None:
        steps.append(threading.current_thread().name)
        begun()
        await end.wait()
        steps.append("ended")

    server = Beside(serve, "beside", 20)
    assert server.start()
    assert steps == ["beside"]
    assert server.stop()
    assert steps == ["beside", "ended"]
    assert not server.stop()


def test_what_keeps_it_from_beginning_is_raised_where_it_is_begun() -> None:
    async def serve(end: asyncio.Event, begun: Callable[[], None]) -> None:
        raise OSError("the port is taken")

    server = Beside(serve, "beside", 20)
    with pytest.raises(OSError, match="the port is taken"):
        server.start()
    assert not server.stop()


def test_one_that_was_never_begun_has_nothing_to_end() -> None:
    async def serve(end: asyncio.Event, begun: Callable[[], None]) -> None:
        begun()

    assert not Beside(serve, "beside", 20).stop()


def test_one_that_begins_too_late_is_said_to_and_ends_all_the_same() -> None:
    async def serve(end: asyncio.Event, begun: Callable[[], None]) -> None:
        del begun
        await end.wait()

    server = Beside(serve, "beside", 0.1)
    assert not server.start()
    # Its loop may still be on its way.
    while not server.stop():
        pass
