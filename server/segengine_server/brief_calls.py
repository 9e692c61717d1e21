"""What does a call go through that is answered where it is taken? The same as all, without waiting.

It gets its id, is counted, has to have a token and is refused where there is no room for it, each
by the same code as calls that are answered on the loop. Then it waits for its turn, which comes
once nothing else is to be taken. What needs many turns, a batch of pages, goes to the end of the
line after each of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from segengine.errors import ElsewhereError
from segengine_server.errors import BusyError, End, end_of
from segengine_server.malformed import unreadable
from segengine_server.transport import core
from segengine_server.transport.call import Call
from segengine_server.turnstile import Turnstile
from segengine_server.watch import REQUEST_ID, Watch

Turns = Generator[None, None, bytes]
Answer = Callable[[bytes], bytes | Turns]
"""A request to its reply, or to turns of work that return it."""
Leave = Callable[[Call], None]
"""To whom a call is given that cannot be answered here."""
Check = Callable[[str, core.Metadata], object]
"""Raises where a call of this method, with this sent along, is not to be answered."""
_BUSY = BusyError("the server is asked for more pages than it can decide; try again")


class _Waits:
    """A call whose request has been read, or some of whose turns are over."""

    __slots__ = ("answer", "began", "call", "leave", "name", "turns")

    def __init__(self, call: Call, name: str, answer: Answer, leave: Leave, began: float) -> None:
        self.call, self.name, self.answer, self.began = call, name, answer, began
        self.leave = leave
        self.turns: Turns | None = None


class BriefCalls:
    """Answers calls of some methods in the thread that takes them.

    answers: by full method name; checks: asked of each call, in their order
    """

    def __init__(
        self,
        answers: Mapping[str, Answer],
        watch: Watch,
        room: Turnstile,
        checks: Sequence[Check] = (),
    ) -> None:
        self._answers = {method.encode(): answer for method, answer in answers.items()}
        self._watch, self._room, self._checks = watch, room, checks
        self.open = 0
        self._tally = watch.part()
        self._busy = end_of(_BUSY)
        self._refused = {
            method: self._tally.of_end(method.decode().rpartition(".")[2], self._busy.code.name)
            for method in self._answers
        }
        self.waiting: deque[_Waits] = deque()

    def takes(self, method: bytes, event: Any, leave: Leave) -> bool:
        """Whether a call is such a one; it is begun then, and may be left to `leave` later."""
        answer = self._answers.get(method)
        if answer is None:
            return False
        if not self._room.has(len(self.waiting)):
            self._refuse(method, event)
            return True
        began = perf_counter()
        call = Call(event)
        waits = _Waits(call, self._watch.named(call.metadata), answer, leave, began)
        self.open += 1
        self._tally.in_flight += 1
        try:
            for check in self._checks:
                check(call.method, call.metadata)
        except Exception as error:
            self._end(waits, end_of(error))
            return True
        core.read(call.call, partial(self._read, waits))
        return True

    def _refuse(self, method: bytes, event: Any) -> None:
        """End a call that there is no room for, at as little cost as can be.

        It is in no line of the log, so that it bears an id only where its caller gave it one.
        """
        trailing = self._busy.trailing
        for key, _ in event.invocation_metadata or ():
            if key == REQUEST_ID:
                name = self._watch.named(event.invocation_metadata)
                trailing = ((REQUEST_ID, name), *trailing)
                break
        core.refuse(event.call, _BUSY_CODE, self._busy.details, trailing, _nobody_asks)
        self._refused[method].count(0.0)

    def step(self) -> None:
        """Answer one of those that wait, or have it take its turn."""
        waits = self.waiting.popleft()
        began = perf_counter()
        self._watch.goes_on(waits.name)
        if waits.call.has_left:
            self._end(waits, _LEFT)
            return
        try:
            reply = self._turn(waits)
        except ElsewhereError:
            # Whoever answers it counts it too.
            self._gone()
            waits.leave(waits.call)
        except DecodeError:
            self._end(waits, end_of(unreadable(waits.call.method.rpartition("/")[2])))
        except Exception as error:
            self._end(waits, end_of(error))
        else:
            if reply is None:
                self.waiting.append(waits)
            else:
                self._end(waits, _ANSWERED, reply)
        self._room.answered(began, len(self.waiting))

    def _turn(self, waits: _Waits) -> bytes | None:
        """The reply; None: there are more turns."""
        if waits.turns is None:
            assert waits.call.message is not None
            found = waits.answer(waits.call.message)
            if isinstance(found, bytes):
                return found
            waits.turns = found
            # Of one with many turns it is heard when its caller leaves: the rest would be in vain.
            waits.call.look_after()
        try:
            next(waits.turns)
        except StopIteration as returned:
            reply: bytes = returned.value
            return reply
        return None

    def _read(self, waits: _Waits, event: Any) -> None:
        waits.call.message = core.message_of(event)
        if waits.call.message is None:
            # Its caller has left, or has sent more than is taken, which gRPC says itself.
            self._end(waits, _EMPTY, counted=_LEFT.code.name)
        else:
            self.waiting.append(waits)

    def _end(
        self, waits: _Waits, end: End, reply: bytes | None = None, counted: str | None = None
    ) -> None:
        self._gone()
        told = ((REQUEST_ID, waits.name), *end.trailing)
        core.end(
            waits.call.call, end.code.value[0], end.details, told,
            _nobody_asks, is_first=True, message=reply, is_watched=waits.call.is_looked_after,
        )  # fmt: skip
        taken = perf_counter() - waits.began
        self._watch.ended(self._tally, waits.call.method, counted or end.code.name, taken)

    def _gone(self) -> None:
        self.open -= 1
        self._tally.in_flight -= 1


def _nobody_asks(_event: Any) -> None:
    """Whether an answer arrived."""


_BUSY_CODE = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
_ANSWERED = End(grpc.StatusCode.OK, b"", ())
_LEFT = End(grpc.StatusCode.CANCELLED, b"the caller has left", ())
_EMPTY = End(grpc.StatusCode.UNIMPLEMENTED, b"the call has no request", ())
