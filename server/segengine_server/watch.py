"""How does the server do? Each call counted and timed, with an id that its log lines bear.

A caller may send `x-request-id`; else the call gets one, and it goes back with the answer. What is
logged says which call, how long and how it ended: never who was asked about, nor what was said.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from segengine_server.malformed import (
    Malformed,
    all_read,
    read_or_malformed,
    refuse_malformed,
    refusing_malformed,
)
from segengine_server.tally import Part, Tally

REQUEST_ID = "x-request-id"
_OURS = "/segengine.v1."
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# An id of our own: the process, and the call's number in it.
_PROCESS, _NUMBERS = secrets.token_hex(4), itertools.count(1)
_MOST_KEPT = 256
SLOW_SECONDS = 1.0
"""A call that takes longer is logged."""
LEAVING_SECONDS = 1.0
"""How long gRPC may take to hear that a caller has left to whom nothing can be sent."""

_log = logging.getLogger("segengine_server")
_current: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}
Handler = Any


class Watch(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Counts, times and names every call of ours."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tally = Tally()
        registry.register(self._tally)
        self._on_loop = self.part()
        self._kept: dict[tuple[str, int], tuple[Handler, Handler]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        call: grpc.HandlerCallDetails,
    ) -> Handler:
        """The handler of the call, watched."""
        method = call.method
        if method.startswith(_OURS):
            # What answers the call runs in the task that asks here, so that it finds the id.
            self.named(call.invocation_metadata or ())
        handler = await continuation(call)
        if handler is None:
            return None
        # A method's handler is the same each time: wrapping it anew took a tenth of an Echo. One
        # that refuses a call for reasons of its own is new, and soon forgotten.
        kept = self._kept.get((method, id(handler)))
        if kept is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            kept = (handler, self._wrapped(method, handler))
            self._kept[method, id(handler)] = kept
        return kept[1]

    def part(self) -> Part:
        """Where one more thread counts the calls that it answers."""
        return self._tally.part()

    def named(self, metadata: Iterable[tuple[str, Any]]) -> str:
        """The id of a call; what is logged from here on in this context bears it."""
        sent = next((value for key, value in metadata if key == REQUEST_ID), None)
        if not isinstance(sent, str) or not _ID.fullmatch(sent):
            sent = f"{_PROCESS}-{next(_NUMBERS):x}"
        _current.set(sent)
        return sent

    def goes_on(self, name: str) -> None:
        """A call that has been named goes on here, after others."""
        _current.set(name)

    def ended(self, part: Part, full_method: str, code: str, seconds: float) -> None:
        """Count a call, and log one that failed, or was slow."""
        method = full_method.rpartition(".")[2]
        part.ended(method, code, seconds)
        # Whoever is refused for there being too many is counted: a line each would be more.
        if (code != "OK" and code != "RESOURCE_EXHAUSTED") or seconds >= SLOW_SECONDS:
            _log.info("%s %s in %.1f ms", method, code, 1_000 * seconds)

    def _wrapped(self, full_method: str, handler: Handler) -> Handler:
        method = full_method.rpartition(".")[2]
        if not full_method.startswith(_OURS):
            return refusing_malformed(method, handler)
        kinds: dict[tuple[bool, bool], tuple[Any, Any]] = {
            (False, False): (grpc.unary_unary_rpc_method_handler, handler.unary_unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
            (True, True): (grpc.stream_stream_rpc_method_handler, handler.stream_stream),
        }
        make, behavior = kinds[handler.request_streaming, handler.response_streaming]
        watched = self._watched(full_method, behavior, is_stream=handler.request_streaming)
        read = read_or_malformed(method, handler.request_deserializer)
        return make(watched, read, handler.response_serializer)

    def _watched(
        self, method: str, behavior: Callable[..., Awaitable[Any]], *, is_stream: bool
    ) -> Any:
        part = self._on_loop

        async def watched(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            context.set_trailing_metadata(((REQUEST_ID, _current.get()),))
            began, code = time.perf_counter(), "OK"
            part.in_flight += 1
            try:
                if is_stream:
                    request = all_read(request)
                elif type(request) is Malformed:
                    await refuse_malformed(request, context)
                try:
                    return await behavior(request, context)
                except grpc.aio.InternalError:
                    # Nothing can be sent. Where that is because the caller has left, gRPC will hear
                    # of it and cancel this; it would log a fault of the server before.
                    await asyncio.sleep(LEAVING_SECONDS)
                    raise
            except grpc.aio.AbortError:
                code = name_of(context.code())
                raise
            except BaseException as error:
                # A caller that is gone cancels the call.
                code = "CANCELLED" if isinstance(error, asyncio.CancelledError) else "UNKNOWN"
                raise
            finally:
                part.in_flight -= 1
                self.ended(part, method, code, time.perf_counter() - began)

        return watched


def request_id() -> str:
    """The id of the call that is being answered here; empty outside of one."""
    return _current.get()


def name_of(code: object) -> str:
    """The name of a gRPC status."""
    return code.name if isinstance(code, grpc.StatusCode) else _CODES.get(code, "UNKNOWN")


class JsonLines(logging.Formatter):
    """A log line as one JSON object: moment, level, message, and the id of the call it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        said: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname,
            "message": record.getMessage(),
        }
        if request_id := _current.get():
            said["request_id"] = request_id
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)
