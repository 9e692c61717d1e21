"""What does a handler do with its call? It reads, writes and ends it, on the event loop.

For handlers as `grpc.aio` has them: `CallContext` is what they use of its context. What gRPC has
done is heard of in the thread that takes calls, and told to the loop.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, NoReturn

import grpc

from segengine_server import clock
from segengine_server.transport import operations
from segengine_server.transport.operations import CoreCall, Metadata

_OK, _EMPTY = grpc.StatusCode.OK.value[0], grpc.StatusCode.UNIMPLEMENTED.value[0]


class Call:
    """A call that has been taken; message: one of it that has been read already.

    has_left: its caller has, or waits no longer, as far as is known; it is once `look_after` was
    called. on_left: told of it, in the thread that takes calls.
    """

    __slots__ = (
        "call", "deadline", "has_left", "is_looked_after", "message", "metadata", "method",
        "on_left",
    )  # fmt: skip

    def __init__(self, event: Any) -> None:
        self.call: CoreCall = event.call
        self.method: str = event.call_details.method.decode("utf-8", "replace")
        self.metadata: Metadata = event.invocation_metadata or ()
        self.deadline = operations.deadline_of(event)
        self.message: bytes | None = None
        self.has_left = self.is_looked_after = False
        self.on_left: Callable[[], object] | None = None

    def is_late(self) -> bool:
        """Whether its caller waits no longer, by what it said when it asked."""
        return self.deadline is not None and self.deadline <= clock.now().timestamp()

    def look_after(self) -> None:
        """Hear of it from now on when the caller leaves."""
        if not self.is_looked_after:
            self.is_looked_after = True
            operations.wait_for_close(self.call, self._closed)

    def _closed(self, event: Any) -> None:
        self.has_left = operations.was_cancelled(event)
        if self.has_left and self.on_left is not None:
            self.on_left()


class Details(grpc.HandlerCallDetails):
    """What is known of a call before it is answered."""

    def __init__(self, call: Call) -> None:
        self.method = call.method
        self.invocation_metadata = call.metadata


class CallContext:
    """One call, on the running loop. For the task that answers it.

    is_over: whether nobody hears any more of what is asked of gRPC
    """

    def __init__(self, call: Call, is_over: Callable[[], bool]) -> None:
        self._call, self._is_over = call, is_over
        self._loop = asyncio.get_running_loop()
        self._is_first, self.is_ended = True, False
        self._serialize: Callable[[Any], bytes] | None = None
        self._trailing: Metadata = ()
        self._code: Any = None

    def invocation_metadata(self) -> Metadata:
        """What the caller sent along."""
        return self._call.metadata

    def time_remaining(self) -> float | None:
        """Seconds until the caller gives up; None: it never does."""
        deadline = self._call.deadline
        return None if deadline is None else max(0.0, deadline - clock.now().timestamp())

    def code(self) -> Any:
        """How the call was ended; None while it goes on."""
        return self._code

    def trailing_metadata(self) -> Metadata:
        """What goes with the end."""
        return self._trailing

    def set_trailing_metadata(self, metadata: Any) -> None:
        """What is to go with the end."""
        self._trailing = tuple(metadata or ())

    async def write(self, message: Any) -> None:
        """Send a message of a stream; InternalError where the caller has left."""
        done, tag = self._awaited()
        operations.write(self._call.call, self._in_bytes(message), tag, is_first=self._is_first)
        self._is_first = False
        if not (await done).success:
            raise grpc.aio.InternalError("nothing can be sent: the caller has left")

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()
    ) -> NoReturn:
        """End the call with a status."""
        self._code = code
        await self.end(code.value[0], details, trailing_metadata or self._trailing)
        raise grpc.aio.AbortError("the call was ended with a status")

    async def end(
        self, code: int, details: str = "", trailing: Any = (), message: bytes | None = None
    ) -> None:
        """End it; whether the caller is there to hear does not matter any more."""
        if self.is_ended:
            return
        done, tag = self._awaited()
        operations.end(
            self._call.call, code, details.encode("utf-8", "replace"), tuple(trailing), tag,
            is_first=self._is_first, is_watched=self._call.is_looked_after, message=message,
        )  # fmt: skip
        self.is_ended, self._is_first = True, False
        await done

    async def run(self, handler: Any) -> None:
        """Have the call answered by what a method's handler says."""
        self._serialize = handler.response_serializer
        if handler.request_streaming:
            request: Any = self._requests(handler.request_deserializer)
        else:
            data = await self._read()
            if data is None:
                # Nothing was sent, or more than is taken: of that gRPC tells the caller itself.
                await self.end(_EMPTY, "the call has no request")
                return
            read = handler.request_deserializer
            request = data if read is None else read(data)
        if not handler.response_streaming:
            answer = handler.stream_unary if handler.request_streaming else handler.unary_unary
            reply = self._in_bytes(await answer(request, self))
            await self.end(_OK, trailing=self._trailing, message=reply)
            return
        stream = handler.stream_stream if handler.request_streaming else handler.unary_stream
        if inspect.isasyncgenfunction(stream):
            async with aclosing(stream(request, self)) as replies:
                async for each in replies:
                    await self.write(each)
        else:
            await stream(request, self)
        await self.end(_OK, trailing=self._trailing)

    async def _requests(self, read: Callable[[bytes], Any] | None) -> AsyncIterator[Any]:
        while (data := await self._read()) is not None:
            yield data if read is None else read(data)

    async def _read(self) -> bytes | None:
        data, self._call.message = self._call.message, None
        if data is None:
            done, tag = self._awaited()
            operations.read(self._call.call, tag)
            data = operations.message_of(await done)
        return data

    def _in_bytes(self, message: Any) -> bytes:
        data: bytes = message if self._serialize is None else self._serialize(message)
        return data

    def _awaited(self) -> tuple[asyncio.Future[Any], Callable[[Any], None]]:
        """A future of what gRPC is asked to do, and what it is to call when that is done."""
        if self._is_over():
            raise grpc.aio.InternalError("the server has stopped")
        done: asyncio.Future[Any] = self._loop.create_future()
        return done, partial(_tell, self._loop, done)


def _tell(loop: asyncio.AbstractEventLoop, done: asyncio.Future[Any], event: Any) -> None:
    loop.call_soon_threadsafe(_told, done, event)


def _told(done: asyncio.Future[Any], event: Any) -> None:
    # Whoever waited may have been cancelled.
    if not done.done():
        done.set_result(event)
