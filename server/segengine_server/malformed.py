"""What becomes of bytes that are no message? The call is refused as any bad request is.

Left to itself, gRPC ends such a call with UNKNOWN and a traceback in the log, as if the server were
at fault.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, NoReturn

import grpc
from google.protobuf.message import DecodeError

from segengine_server.errors import RequestError, Violation, refuse


class Malformed(NamedTuple):
    """Stands for a request that could not be read."""

    method: str


def read_or_malformed(
    method: str, deserialize: Callable[[bytes], Any] | None
) -> Callable[[bytes], Any] | None:
    """`deserialize`, but that it gives `Malformed` for bytes that are no message."""
    if deserialize is None:
        return None

    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            return Malformed(method)

    return read


def refusing_malformed(method: str, handler: Any) -> Any:
    """The handler of one request, but that it refuses bytes that are none; others as they are."""
    if handler.request_streaming:
        return handler
    behavior = handler.unary_stream if handler.response_streaming else handler.unary_unary

    async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        if type(request) is Malformed:
            await refuse_malformed(request, context)
        return await behavior(request, context)

    make: Any = (
        grpc.unary_stream_rpc_method_handler
        if handler.response_streaming
        else grpc.unary_unary_rpc_method_handler
    )
    read = read_or_malformed(method, handler.request_deserializer)
    return make(answer, read, handler.response_serializer)


async def refuse_malformed(
    request: Malformed, context: grpc.aio.ServicerContext[Any, Any]
) -> NoReturn:
    """End a call whose request could not be read."""
    await refuse(context, unreadable(request.method))


async def all_read(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The requests of a stream; RequestError at one that could not be read."""
    async for each in requests:
        if type(each) is Malformed:
            raise unreadable(each.method)
        yield each


def unreadable(method: str) -> RequestError:
    """What is said of bytes that are no request of a method."""
    return RequestError(
        Violation("", f"the bytes are no request of `{method}`; see segengine.proto")
    )
