"""How does the server do? Each call counted and timed, with an id that its log lines bear.

A caller may send `x-request-id`; else the call gets one, and it goes back with the answer. What is
logged says which call, how long and how it ended: never who was asked about, nor what was said.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from segengine_server.malformed import (
    Malformed,
    all_read,
    read_or_malformed,
    refuse_malformed,
    refusing_malformed,
)

REQUEST_ID = "x-request-id"
_OURS = "/segengine.v1."
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# From a page in process to a census of millions.
_SECONDS = (
    0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0,
)  # fmt: skip
SLOW_SECONDS = 1.0
"""A call that takes longer is logged."""

_log = logging.getLogger("segengine_server")
_current: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}
Handler = Any


class Watch(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Counts, times and names every call of ours."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "segengine_calls", "Calls by method and how they ended.", ("method", "code"),
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "segengine_call_seconds", "How long calls took, refused ones among them.", ("method",),
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._in_flight = Gauge(
            "segengine_calls_in_flight", "Calls that are being answered.", registry=registry
        )

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        call: grpc.HandlerCallDetails,
    ) -> Handler:
        """The handler of the call, watched."""
        handler = await continuation(call)
        if handler is None:
            return None
        if not call.method.startswith(_OURS):
            return refusing_malformed(call.method.rpartition(".")[2], handler)
        kinds: dict[tuple[bool, bool], tuple[Any, Any]] = {
            (False, False): (grpc.unary_unary_rpc_method_handler, handler.unary_unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
            (True, True): (grpc.stream_stream_rpc_method_handler, handler.stream_stream),
        }
        make, behavior = kinds[handler.request_streaming, handler.response_streaming]
        method = call.method.rpartition(".")[2]
        sent = next((v for k, v in call.invocation_metadata or () if k == REQUEST_ID), "")
        watched = self._watched(
            method,
            sent if isinstance(sent, str) else "",
            behavior,
            is_stream=handler.request_streaming,
        )
        read = read_or_malformed(method, handler.request_deserializer)
        return make(watched, read, handler.response_serializer)

    def _watched(
        self, method: str, sent: str, behavior: Callable[..., Awaitable[Any]], *, is_stream: bool
    ) -> Any:
        seconds = self._seconds.labels(method)

        async def watched(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            request_id = sent if _ID.fullmatch(sent) else secrets.token_hex(8)
            _current.set(request_id)
            context.set_trailing_metadata(((REQUEST_ID, request_id),))
            began, code = time.perf_counter(), "OK"
            self._in_flight.inc()
            try:
                if is_stream:
                    request = all_read(request)
                elif type(request) is Malformed:
                    await refuse_malformed(request, context)
                return await behavior(request, context)
            except grpc.aio.AbortError:
                code = _name(context.code())
                raise
            except BaseException as error:
                # A caller that is gone cancels the call.
                code = "CANCELLED" if isinstance(error, asyncio.CancelledError) else "UNKNOWN"
                raise
            finally:
                taken = time.perf_counter() - began
                self._in_flight.dec()
                self._calls.labels(method, code).inc()
                seconds.observe(taken)
                if code != "OK" or taken >= SLOW_SECONDS:
                    _log.info("%s %s in %.1f ms", method, code, 1_000 * taken)

        return watched


def _name(code: object) -> str:
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
