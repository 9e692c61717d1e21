"""How does a call reach the process that can answer it? A worker passes it on, as it came.

Messages go through unread, in both directions and one by one, so that a stream is as slow as its
reader; a deadline, a cancellation and how the call ended go through too. Whether the caller may
make it is for the process that answers to say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc

from segengine_server.errors import GoneError, refuse

_Context = grpc.aio.ServicerContext[Any, Any]
# Its own: the other end is told of us, not of the client's library.
_NOT_PASSED = frozenset({"user-agent"})
WHOLE = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # The address is ours alone: no proxy of the environment has anything to do with it.
    ("grpc.enable_http_proxy", 0),
)
"""Options of a channel that passes on whatever the other end lets through."""


class PassedOn(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Stands before all others: methods that are not here go no further, and to another server.

    here: full names
    """

    def __init__(self, channel: grpc.aio.Channel, here: frozenset[str]) -> None:
        self._channel, self._here = channel, here

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        call: grpc.HandlerCallDetails,
    ) -> Any:
        """The handler of the call."""
        if call.method in self._here:
            return await continuation(call)
        return self._passing(call.method)

    def _passing(self, method: str) -> Any:
        async def passed(requests: AsyncIterator[bytes], context: _Context) -> AsyncIterator[bytes]:
            ask = self._channel.stream_stream(method, None, None)
            call: Any = ask(requests, **_as_it_came(context))
            call._cython_call = _Sending(call._cython_call)  # noqa: SLF001 - it has no other name
            try:
                async for message in call:
                    yield message
                context.set_trailing_metadata(await call.trailing_metadata())
            except grpc.aio.AioRpcError as error:
                await _end_alike(context, error)
            finally:
                # A caller that is gone ends the work at the other end.
                call.cancel()

        return grpc.stream_stream_rpc_method_handler(passed)


class _Sending:
    """gRPC's own part of a call, but that a message which comes too late is no failure of the call.

    Where the other end has ended a call while a message was on its way there, gRPC takes that for
    an error of its own, INTERNAL, and forgets how the call had ended (measured: one of four that
    are refused while they send).
    """

    def __init__(self, call: Any) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    async def send_serialized_message(self, message: bytes) -> None:
        """Send it, or wait until it is known how the call has ended."""
        try:
            await self._call.send_serialized_message(message)
        except grpc.aio.InternalError:
            await self._call.status()


def _as_it_came(context: _Context) -> dict[str, Any]:
    metadata = tuple(
        (key, value) for key, value in context.invocation_metadata() or () if key not in _NOT_PASSED
    )
    return {"metadata": metadata, "timeout": context.time_remaining()}


async def _end_alike(context: _Context, error: grpc.aio.AioRpcError) -> NoReturn:
    told: Any = tuple(error.trailing_metadata() or ())
    if error.code() is grpc.StatusCode.UNAVAILABLE and not told:
        # Of gRPC itself: nobody there.
        await refuse(context, GoneError())
    await context.abort(error.code(), error.details() or "", told)
