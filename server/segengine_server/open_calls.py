"""When does a stream end whose token has been taken out, or has expired? Within two seconds.

A call is let in once, and a stream may be open for hours: an audience that is taken slowly, events
that are appended all day. So while any is open, each of their tokens is looked at again once a
second, and the call of one that would not be let in now is ended with the same status. What it has
had made lasting stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import grpc

from segengine_server.errors import refuse

LOOK_SECONDS = 1.0

_Context = grpc.aio.ServicerContext[Any, Any]
_check: ContextVar[Callable[[], object]] = ContextVar("check")
_ended: ContextVar[list[Exception] | None] = ContextVar("ended", default=None)


def is_ended() -> bool:
    """Whether the call that is being answered here was ended for its token's sake."""
    return bool(_ended.get())


class OpenCalls:
    """The streams that are open.  look: before each round, as for a call that comes"""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._open: dict[asyncio.Task[Any], tuple[Callable[[], object], list[Exception]]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._kept: dict[str, tuple[Any, Any]] = {}

    def watched(self, method: str, handler: Any, check: Callable[[], object]) -> Any:
        """The handler of a stream, but that this call is ended as soon as `check` raises.

        To be asked for in the task that answers the call.
        """
        _check.set(check)
        # One of each method: whoever wraps it further keeps what it has made.
        kept = self._kept.get(method)
        if kept is None or kept[0] is not handler:
            kept = self._kept[method] = (handler, self._wrapped(handler))
        return kept[1]

    def _wrapped(self, handler: Any) -> Any:
        kinds = {
            (False, True): (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
            (True, True): (grpc.stream_stream_rpc_method_handler, handler.stream_stream),
        }
        make, behavior = kinds[handler.request_streaming, handler.response_streaming]

        async def answer(request: Any, context: _Context) -> Any:
            return await self._answer(behavior, request, context)

        return make(answer, handler.request_deserializer, handler.response_serializer)

    async def _answer(
        self, behavior: Callable[[Any, Any], Awaitable[Any]], request: Any, context: _Context
    ) -> Any:
        task = asyncio.current_task()
        assert task is not None
        why: list[Exception] = []
        _ended.set(why)
        self._open[task] = (_check.get(), why)
        written = _Written(context)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_on())
        try:
            return await behavior(request, written)
        except asyncio.CancelledError:
            if not why:
                raise
            task.uncancel()
            # What the call held it has given back; its caller hears of it after what was sent.
            await written.all()
            await refuse(context, why[0])
        finally:
            del self._open[task]

    async def _look_on(self) -> None:
        """Look at all of them, until none is left."""
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                if not self._open:
                    return
                self._look()
                for task, (check, why) in self._open.items():
                    if why:
                        continue
                    try:
                        check()
                    except Exception as error:
                        why.append(error)
                        task.cancel()
        finally:
            self._looking = None


class _Written:
    """The context of a call whose writing is not broken off: gRPC ends no call in the middle of it.

    A client that does not read may keep a message waiting for as long as it likes.
    """

    def __init__(self, context: _Context) -> None:
        self._context = context
        self._writing: asyncio.Future[None] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def write(self, message: Any) -> None:
        """Send it; where the task is cancelled meanwhile, it is sent all the same."""
        self._writing = asyncio.ensure_future(self._context.write(message))
        # Where the caller has left, nobody asks any more how it ended; asyncio would log that.
        self._writing.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(self._writing)

    async def all(self) -> None:
        """Wait until all is sent, or cannot be."""
        if self._writing is not None:
            await asyncio.wait((self._writing,))
