"""Who takes calls? One thread, which answers brief ones itself and hands all others to the loop.

To take a call, read it and answer it is some 30 us of processor time in this thread; by way of an
event loop it is four times as much, and most of what a page costs. And who takes every call at once
knows how many wait, and can refuse one in the time that it takes to say so.

Handlers and interceptors are those of `grpc.aio`.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import grpc

from segengine_server.methods import Methods
from segengine_server.transport import operations
from segengine_server.transport.call import Call, CallContext, Details
from segengine_server.transport.operations import CallQueue, Metadata, nobody_asks

_MOST_TAKEN = 32
"""What has come or was done in a row, while brief calls wait."""
_LAST_SECONDS = 0.005
_UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED
_UNKNOWN = grpc.StatusCode.UNKNOWN
_BUSY = grpc.StatusCode.RESOURCE_EXHAUSTED

_log = logging.getLogger("segengine_server")


class Brief(Protocol):
    """Calls that are answered in the thread that takes them."""

    def takes(self, method: bytes, event: Any, leave: Callable[[Call], None]) -> bool:
        """Whether a call is such a one; it is begun then. leave: to whom it may be left yet."""
        ...

    @property
    def open(self) -> int:
        """Calls that are not answered yet."""
        ...

    @property
    def is_waiting(self) -> bool:
        """Whether one of them can be answered now."""
        ...

    def step(self) -> None:
        """Answer one of those that wait, or a part of it."""
        ...


class NoneBrief:
    """All calls are the loop's."""

    open = 0
    is_waiting = False

    def takes(self, method: bytes, event: Any, leave: Callable[[Call], None]) -> bool:
        """No."""
        del method, event, leave
        return False

    def step(self) -> None:
        """There is nothing to do."""


class CallServer:
    """A server of gRPC. All but `add_..._port` is for the running loop.

    most_calls: at once, of all kinds; too_many: what those beyond are told, and what goes with it
    """

    def __init__(
        self,
        handlers: Methods,
        interceptors: Sequence[Any] = (),
        options: Sequence[tuple[str, Any]] = (),
        *,
        most_calls: int = 1_000,
        too_many: tuple[bytes, Metadata] = (b"the server has as many calls as it takes", ()),
        brief: Brief | None = None,
    ) -> None:
        self._handlers, self._interceptors = handlers, tuple(interceptors)
        self._most_calls, self._too_many = most_calls, too_many
        self._brief: Brief = NoneBrief() if brief is None else brief
        self._queue = CallQueue(options)
        self._thread = threading.Thread(target=self._run, name="calls", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        # Each written by one thread: the one that takes calls, and the loop's.
        self._left_to_loop = self._ended_on_loop = 0
        self._is_stopping = self._has_nobody = self._over = False
        self._nobody_left: asyncio.Event | None = None
        self._closed = asyncio.Event()

    def add_insecure_port(self, address: str) -> int:
        """The port that it will listen on; RuntimeError where it cannot."""
        return self._add_port(address, None)

    def add_secure_port(self, address: str, credentials: grpc.ServerCredentials) -> int:
        """The same with TLS."""
        return self._add_port(address, credentials)

    def _add_port(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        port = self._queue.listen(address, credentials)
        if port == 0:
            raise RuntimeError(f"cannot listen at `{address}`")
        return port

    @property
    def on_loop(self) -> int:
        """Calls that the loop has yet to answer."""
        return self._left_to_loop - self._ended_on_loop

    async def start(self) -> None:
        """Take calls from now on."""
        self._loop, self._nobody_left = asyncio.get_running_loop(), asyncio.Event()
        self._queue.start()
        self._queue.next_call(self._took)
        self._thread.start()

    async def stop(self, grace: float | None) -> None:
        """Take nobody new; return when all have ended, which they have so many seconds for."""
        if self._nobody_left is None:
            return
        if not self._is_stopping:
            self._is_stopping = True
            self._queue.take_nobody(self._left)
        if grace is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._nobody_left.wait(), grace)
        if not self._nobody_left.is_set():
            self._queue.cancel_all()
            await self._nobody_left.wait()
        while self._tasks:
            # Their callers have gone.
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        self._over = True
        await self._closed.wait()

    # In the thread that takes calls.

    def _run(self) -> None:
        try:
            self._take()
        finally:
            self._tell_loop(self._closed.set)

    def _take(self) -> None:
        wait, look, brief = self._queue.wait, self._queue.look, self._brief
        taken = 0
        # INVARIANT: once the queue is closed nothing is asked of a call: all brief ones have ended.
        while not self._over or brief.open:
            event = look() if brief.is_waiting or self._has_nobody else wait()
            try:
                if event is not None:
                    event.tag(event)
                    taken += 1
                    if taken < _MOST_TAKEN:
                        continue
                taken = 0
                if brief.is_waiting:
                    brief.step()
                elif self._has_nobody and event is None:
                    # What is left to end are tasks on the loop.
                    time.sleep(_LAST_SECONDS)
            except Exception:
                # One call is lost, and no other: nobody else takes them.
                _log.exception("a call was not answered")
            finally:
                # INVARIANT: an event holds its call, which is not to outlive the server.
                event = None
        self._queue.close()

    def _took(self, event: Any) -> None:
        if not event.success:
            # Nobody new is taken.
            return
        try:
            if self._brief.open + self.on_loop >= self._most_calls:
                details, trailing = self._too_many
                operations.refuse(event.call, _BUSY.value[0], details, trailing, nobody_asks)
            elif not self._brief.takes(event.call_details.method, event, self._leave):
                self._leave(Call(event))
        finally:
            if not self._is_stopping:
                self._queue.next_call(self._took)

    def _leave(self, call: Call) -> None:
        """Have a call answered on the loop."""
        self._left_to_loop += 1
        self._tell_loop(self._begin, call)

    def _left(self, _event: Any) -> None:
        assert self._nobody_left is not None
        self._has_nobody = True
        self._tell_loop(self._nobody_left.set)

    def _tell_loop(self, what: Callable[..., object], *arguments: Any) -> None:
        assert self._loop is not None
        # Whose call was answered here last is nobody's business there.
        self._loop.call_soon_threadsafe(what, *arguments, context=contextvars.Context())

    # On the loop.

    def _begin(self, call: Call) -> None:
        if self._over:
            self._ended_on_loop += 1
            return
        loop = asyncio.get_running_loop()
        context = CallContext(call, lambda: self._over)
        task = loop.create_task(self._answer(call, context))
        self._tasks.add(task)

        def ended(_: object) -> None:
            self._tasks.discard(task)
            self._ended_on_loop += 1
            # It leads to the task, and this to it: a ring that the call would stay in.
            call.on_left = None

        task.add_done_callback(ended)

        def cancel() -> None:
            # Where it was being ended, that goes on.
            if not context.is_ended:
                context.is_ended = True
                task.cancel()

        call.on_left = partial(loop.call_soon_threadsafe, cancel)
        call.look_after()
        if call.has_left:
            # Before anybody asked.
            cancel()

    async def _answer(self, call: Call, context: CallContext) -> None:
        try:
            handler = await self._handler_of(Details(call), 0)
            if handler is None:
                await context.end(_UNIMPLEMENTED.value[0], f"there is no method `{call.method}`")
            else:
                await context.run(handler)
        except grpc.aio.AbortError:
            pass
        except grpc.aio.InternalError:
            if not call.has_left:
                _log.exception("a call failed")
            await context.end(_UNKNOWN.value[0], "what was to be sent cannot be")
        except asyncio.CancelledError:
            if not context.is_ended:
                raise
        except Exception:
            _log.exception("a call failed")
            await context.end(_UNKNOWN.value[0], "the server failed to answer; its log says why")

    async def _handler_of(self, details: Details, number: int) -> Any:
        if number == len(self._interceptors):
            return self._handlers.service(details)
        further = partial(self._further, number + 1)
        return await self._interceptors[number].intercept_service(further, details)

    async def _further(self, number: int, details: Details) -> Any:
        return await self._handler_of(details, number)
