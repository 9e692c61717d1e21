"""Is there room for one more page? Who would wait longer than is worth it is refused at once.

Pages are decided one after the other. Where more are asked for than can be decided, all of them
would wait, longer and longer, until nobody gets a page while they still want it. So while calls
wait longer than `wait_seconds` before they are taken, those that come are refused at once
(RESOURCE_EXHAUSTED, `BUSY`), before anything of them is read: until they wait no longer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from segengine_server.errors import DETAILS_KEY, BusyError, status_of
from segengine_server.waiting import Waiting

TURNED = frozenset({
    "/segengine.v1.PageService/GetPage", "/segengine.v1.PageService/BatchGetPages",
})  # fmt: skip
"""What the event loop itself answers."""
LET_IN_OF = 16
"""While it is full, one of so many goes in all the same: refusing alone can take all the time."""
_SAY_SECONDS = 10.0

_log = logging.getLogger("segengine_server")
_BUSY = status_of(BusyError("the server is asked for more pages than it can decide; try again"))
_DETAILS = (DETAILS_KEY, _BUSY.SerializeToString())
Handler = Any


async def _refused(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    told = tuple(context.trailing_metadata() or ())
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    await context.abort(code, _BUSY.message, (*told, _DETAILS))


# Of a stream nothing is read before it is answered: a refusal waits for no request.
REFUSING = grpc.stream_stream_rpc_method_handler(_refused)


class Turnstile(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Lets calls for pages in while they need not wait long; all others pass.

    waiting: how long calls wait; told of each that comes. clock: seconds.
    """

    def __init__(
        self,
        waiting: Waiting,
        wait_seconds: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._waiting, self._wait_seconds, self._clock = waiting, wait_seconds, clock
        self._refused = 0
        self._to_say = 0
        self._said = clock()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        call: grpc.HandlerCallDetails,
    ) -> Handler:
        """The handler of the call, or the one that refuses it."""
        waiting, method = self._waiting, call.method
        if method == waiting.method:
            waiting.came()
            return None
        if method in TURNED:
            waiting.calls += 1
            if waiting.seconds() > self._wait_seconds and not self._lets_in():
                self._note()
                return REFUSING
        return await continuation(call)

    def _lets_in(self) -> bool:
        """Whether this call goes in although it is full."""
        self._refused += 1
        return self._refused % LET_IN_OF == 0

    def _note(self) -> None:
        now = self._clock()
        self._to_say += 1
        if now - self._said >= _SAY_SECONDS:
            _log.warning(
                "more pages are asked for than can be decided: %d calls were refused", self._to_say
            )
            self._said, self._to_say = now, 0
