"""What does a call go through that is answered where it is taken? The same as all, without waiting.

It gets its id, is counted, has to have a token and is refused where there is no room for it, each
by the same code as calls that are answered on the loop. Then it waits in line, which comes on once
nothing else is to be taken. What needs many turns, a batch of pages, waits in a line of its own:
one turn of it for some calls of the other, so that neither keeps the other out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from segengine.errors import ElsewhereError
from segengine_server.errors import BusyError, End, end_of
from segengine_server.malformed import unreadable
from segengine_server.transport import operations
from segengine_server.transport.call import Call
from segengine_server.transport.operations import nobody_asks
from segengine_server.turnstile import Turnstile
from segengine_server.watch import REQUEST_ID, Watch

Turns = Generator[None, None, bytes]
Answer = Callable[[bytes], bytes | Turns]
"""A request to its reply, or to turns of work that return it."""
Leave = Callable[[Call], None]
"""To whom a call is given that cannot be answered here."""
Check = Callable[[str, operations.Metadata], object]
"""Raises where a call of this method, with this sent along, is not to be answered."""
CALLS_A_TURN = 8
"""Calls that are answered at one go, to one turn of what needs many."""
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

    answers: by full method name; turned: of these, those that are refused where there is no room.
    checks: asked of each call, in their order
    """

    def __init__(
        self,
        answers: Mapping[str, Answer],
        watch: Watch,
        room: Turnstile,
        checks: Sequence[Check] = (),
        turned: Collection[str] | None = None,
    ) -> None:
        turned = answers if turned is None else turned
        self._answers = {
            method.encode(): (answer, method in turned) for method, answer in answers.items()
        }
        self._watch, self._room, self._checks = watch, room, checks
        self.open = 0
        """Calls whose end gRPC has not sent yet."""
        self._tally = watch.part()
        self._busy = end_of(_BUSY)
        self._refused = {
            method: self._tally.of_end(method.decode().rpartition(".")[2], self._busy.code.name)
            for method in self._answers
        }
        self._line, self._turning = deque[_Waits](), deque[_Waits]()
        self._since_turn = 0

    @property
    def is_waiting(self) -> bool:
        """Whether there is one to answer."""
        return bool(self._line or self._turning)

    def takes(self, method: bytes, event: Any, leave: Leave) -> bool:
        """Whether a call is such a one; it is begun then, and may be left to `leave` later."""
        found = self._answers.get(method)
        if found is None:
            return False
        answer, is_turned = found
        if is_turned and not self._room.has(len(self._line)):
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
            operations.read(call.call, partial(self._read, waits))
        except Exception as error:
            self._end(waits, end_of(error))
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
        operations.refuse(event.call, _BUSY_CODE, self._busy.details, trailing, nobody_asks)
        self._refused[method].count(0.0)

    def step(self) -> None:
        """Answer one of those that wait, or have one take its turn."""
        if self._turning and (not self._line or self._since_turn >= CALLS_A_TURN):
            self._since_turn = 0
            self._goes_on(self._turning.popleft())
            return
        self._since_turn += 1
        began = perf_counter()
        self._goes_on(self._line.popleft())
        self._room.answered(began, len(self._line))

    def _goes_on(self, waits: _Waits) -> None:
        self._watch.goes_on(waits.name)
        if waits.call.has_left or waits.call.is_late():
            self._end(waits, _LEFT)
            return
        try:
            reply = self._turn(waits)
        except ElsewhereError:
            # Whoever answers it counts it too.
            self._tally.in_flight -= 1
            self.open -= 1
            waits.leave(waits.call)
        except DecodeError:
            self._end(waits, end_of(unreadable(waits.call.method.rpartition(".")[2])))
        except Exception as error:
            self._end(waits, end_of(error))
        else:
            if reply is None:
                self._turning.append(waits)
            else:
                self._end(waits, _ANSWERED, reply)

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
        waits.call.message = operations.message_of(event)
        if waits.call.message is None:
            # Its caller has left, or has sent more than is taken, which gRPC says itself.
            self._end(waits, _EMPTY, counted=_LEFT.code.name)
        else:
            self._line.append(waits)

    def _end(
        self, waits: _Waits, end: End, reply: bytes | None = None, counted: str | None = None
    ) -> None:
        self._watch.goes_on(waits.name)
        self._tally.in_flight -= 1
        told = ((REQUEST_ID, waits.name), *end.trailing)
        try:
            operations.end(
                waits.call.call, end.code.value[0], end.details, told, self._sent,
                is_first=True, message=reply, is_watched=waits.call.is_looked_after,
            )  # fmt: skip
        except BaseException:
            self.open -= 1
            raise
        taken = perf_counter() - waits.began
        self._watch.ended(self._tally, waits.call.method, counted or end.code.name, taken)

    def _sent(self, _event: Any) -> None:
        # Until then its reply takes memory, of a caller that does not read as long as it likes.
        self.open -= 1


_BUSY_CODE = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
_ANSWERED = End(grpc.StatusCode.OK, b"", ())
_LEFT = End(grpc.StatusCode.CANCELLED, b"the caller has left", ())
_EMPTY = End(grpc.StatusCode.UNIMPLEMENTED, b"the call has no request", ())
