"""Is there room for one more page? Who would wait longer than is worth it is refused at once.

Pages are decided one after the other. Where more are asked for than can be decided, all of them
would wait, longer and longer, until nobody gets a page while they still want it. So where all calls
of the last `PATIENCE_SECONDS` have waited longer than `wait_seconds` before they were taken, some
of those that come are refused (RESOURCE_EXHAUSTED, `BUSY`) before anything of them is read: the
more, the longer they wait. Whoever comes after a hiccup is not: they wait less and less.

To refuse a call takes half of what an answer takes. Where so many come that there is no time to
refuse them all, gRPC itself ends those beyond `MOST_UNTAKEN` (CANCELLED), which takes next to none:
what nobody has to refuse leaves time for answers, and whoever is let in waits behind few.
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
PATIENCE_SECONDS = 0.25
MOST_UNTAKEN = 64
"""Calls that wait to be taken: those beyond are ended. Twice what a connection has in flight, so
that bursts of two programs at once are answered whole; to take so many takes some 12 ms."""
_LEAST_LET_IN = 0.5
_SAY_SECONDS = 10.0

_log = logging.getLogger("segengine_server")
_BUSY = status_of(BusyError("the server is asked for more pages than it can decide; try again"))
_DETAILS = (DETAILS_KEY, _BUSY.SerializeToString())
Handler = Any


def bounded_queue(calls_per_connection: int) -> tuple[tuple[str, int], ...]:
    """The options of a server for `MOST_UNTAKEN`; more where a connection may have more in flight.

    Else a program's own burst would be ended.
    """
    most = max(MOST_UNTAKEN, calls_per_connection)
    return (
        ("grpc.server.max_pending_requests", most),
        # Where this is more, some are ended at random between the two: then a hiccup ends calls
        # that an overload would have let wait.
        ("grpc.server.max_pending_requests_hard_limit", most),
    )


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
        self._credit = 0.0
        self._to_say = 0
        self._short_at = self._said = clock()

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
            waits = waiting.seconds()
            now = self._clock()
            if waits <= self._wait_seconds:
                self._short_at = now
            elif now - self._short_at > PATIENCE_SECONDS and not self._lets_in(waits):
                self._note(now)
                return REFUSING
        return await continuation(call)

    def _lets_in(self, waits: float) -> bool:
        """Whether this call goes in although calls wait: of all that come, the share that may.

        The longer they wait the fewer, so that the wait grows no further; but half of them always:
        whoever only refuses answers nobody.
        """
        self._credit += max((self._wait_seconds / waits) ** 2, _LEAST_LET_IN)
        if self._credit < 1:
            return False
        self._credit -= 1
        return True

    def _note(self, now: float) -> None:
        self._to_say += 1
        if now - self._said >= _SAY_SECONDS:
            _log.warning(
                "more pages are asked for than can be decided: %d calls were refused", self._to_say
            )
            self._said, self._to_say = now, 0
