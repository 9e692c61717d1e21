"""May this call be made? Asked of every call but those about health, before anything else.

A method needs a scope; a token has scopes, and may have a rate: a bucket that holds a second's
worth of calls and fills as time goes by. Whoever is refused is told at once, whatever the server is
doing. Of a stream it is asked again while it is open.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import grpc

from segengine_server.errors import BusyError, ForbiddenError, refuse
from segengine_server.open_calls import OpenCalls
from segengine_server.rates import SharedRates
from segengine_server.tokens import Token, TokenFileError, Tokens

OPEN = "/grpc.health.v1.Health/"
"""Methods that anybody may call."""
_SCOPES = {
    "PageService": "read:page",
    "AudienceService": "read:audience",
    "CampaignService": "read:audience",
    "IngestService": "write:events",
    "CatalogService": "write:catalog",
}
_SCOPES_OF_METHODS = {
    "PageCensus": "read:audience",
    "RunCampaign": "write:events",
    "RecordMessages": "write:events",
    "DeleteCustomer": "admin",
    "Compact": "admin",
    **dict.fromkeys(("Get", "List", "Versions", "DryRun"), "read:audience"),
}
_OURS = "/segengine.v1."
_LOOK_SECONDS = 1.0
_WARN_SECONDS = 60.0
"""A file of tokens that is no good is warned of so often, until somebody mends it."""

_log = logging.getLogger("segengine_server")
who: ContextVar[str] = ContextVar("who", default="")
"""The name of the token that a call was made with; empty where none was asked for."""
Handler = Any
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]


@lru_cache(maxsize=256)
def scope_of(method: str) -> str | None:
    """The scope that a full method name needs; None for one that any token may call."""
    service, _, name = method.rpartition("/")
    service = service.rpartition(".")[2]
    if name in _SCOPES_OF_METHODS and service in _SCOPES:
        return _SCOPES_OF_METHODS[name]
    # Reflection says what the documentation says: any token will do.
    return _SCOPES.get(service, None if service == "ServerReflection" else "admin")


class Rate:
    """How often a token may still call: a second's worth at once, then as time goes by."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._most = max(1.0, per_second)
        self._left = self._most
        self._at = time.perf_counter()

    def takes(self) -> bool:
        """Whether one more call may be made now."""
        now = time.perf_counter()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Lets a call through or ends it.

    rates: where several processes answer, what they count together
    """

    def __init__(self, tokens: Tokens, rates: SharedRates | None = None) -> None:
        self._tokens = tokens
        self._lock = threading.RLock()
        self._shared, self._rates = rates, dict[str, Rate]()
        self._looked = time.perf_counter()
        self._warned: float | None = None
        self._open = OpenCalls(self._look_again)

    async def intercept_service(
        self, continuation: Continuation, call: grpc.HandlerCallDetails
    ) -> Handler:
        """The handler of the call, or one that refuses it."""
        method = call.method
        if method.startswith(OPEN):
            return await continuation(call)
        header = _header_of(call.invocation_metadata or ())
        try:
            self.let_in(method, call.invocation_metadata or ())
        except Exception as error:
            return _refusing(await continuation(call), error)
        handler = await continuation(call)
        if handler is None or not (handler.request_streaming or handler.response_streaming):
            return handler
        if not method.startswith(_OURS):
            # What reflection tells is in the documentation too.
            return handler
        return self._open.watched(method, handler, lambda: self._bearer(header, method))

    def let_in(self, method: str, metadata: Iterable[tuple[str, Any]]) -> None:
        """Say whose call it is, in this context; raises where it may not be made."""
        who.set(self._check(_header_of(metadata), method).name)

    def _bearer(self, header: object, method: str) -> Token:
        """Whose token it is, which is for this method."""
        with self._lock:
            token = self._tokens.bearer_of(header if isinstance(header, str) else None)
        scope = scope_of(method)
        if scope is not None and not token.allows(scope):
            raise ForbiddenError(
                f"the token `{token.name}` is not for `{scope}`, which this call needs"
            )
        return token

    def _check(self, header: object, method: str) -> Token:
        # Calls are let in where they are taken, on the loop, and looked at again there.
        with self._lock:
            self._look_at_file()
            token = self._bearer(header, method)
            self._count(token)
        return token

    def _count(self, token: Token) -> None:
        if token.calls_per_second is not None and not self._takes(token.id, token.calls_per_second):
            often = token.calls_per_second
            said = "once a second" if often == 1 else f"{often:g} times a second"
            raise BusyError(f"the token `{token.name}` may call {said}; try again later")

    def _takes(self, token: str, per_second: float) -> bool:
        if self._shared is not None:
            return self._shared.takes(token, per_second)
        rate = self._rates.get(token)
        if rate is None:
            rate = self._rates[token] = Rate(per_second)
        return rate.takes()

    def _look_again(self) -> None:
        with self._lock:
            self._look_at_file()

    def _look_at_file(self) -> None:
        now = time.perf_counter()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            try:
                self._tokens.look_again()
            except TokenFileError as error:
                # Not every second, whatever is tried in the file, but more than once: who was
                # taken out since is let in until somebody mends it.
                if self._warned is None or now - self._warned >= _WARN_SECONDS:
                    self._warned = now
                    _log.warning(
                        "the tokens stay as they were, and one that was taken out since is still "
                        "let in: %s", error,
                    )  # fmt: skip


def _header_of(metadata: Iterable[tuple[str, Any]]) -> object:
    return next((value for key, value in metadata if key == "authorization"), None)


def _refusing(handler: Handler, error: Exception) -> Handler:
    """A handler of the same kind that ends every call with `error`, whatever was sent."""

    async def refused(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await refuse(context, error)

    if handler is None:
        return None
    makers: dict[tuple[bool, bool], Any] = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make = makers[handler.request_streaming, handler.response_streaming]
    # Nothing is read of a request that is refused: it goes by as bytes.
    return make(refused, None, handler.response_serializer)
