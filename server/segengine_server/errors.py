"""What does a caller learn when something goes wrong?

The engine's errors go out as `google.rpc.Status`: always with an `ErrorInfo`, and with a
`BadRequest` where a rule or a request is at fault. What nobody foresaw goes out as INTERNAL, in
one sentence that says nothing of our insides; its cause stands in the server's log.
"""

from __future__ import annotations

import logging
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from segengine.errors import (
    AlreadyDefinedError,
    ChangedMeanwhileError,
    ConfigError,
    DefinitionError,
    InFileError,
    InUseError,
    LoadError,
    ManyMistakesError,
    NotBuiltYetError,
    Problem,
    ReportError,
    RuleError,
    RunError,
    SegengineError,
    UnknownCustomer,
    UnknownNameError,
)
from segengine.ingest.report import LoadProblem, RefusedError
from segengine.stopping import StoppedError
from segengine_server.connecting import Connection

DOMAIN = "segengine"

# A status travels in trailing metadata, of which a gRPC client takes 8 KB by default and drops
# replies beyond at random (measured: 1 % at 8.1 KB, half at 12 KB). The message counts twice, once
# percent-encoded.
STATUS_BYTES = 7_000
MESSAGE_BYTES = 1_200
TEXT_BYTES = 400
DETAILS_KEY = "grpc-status-details-bin"
# What `load` alone can do about a column that is not there.
_LOADED_WITH = re.compile(r', or `load` it with columns=\{"[^"]*": "\.\.\."\}')
# As gRPC itself says it.
_TOO_LARGE = re.compile(r"SERVER: Received message larger than max \((\d+) vs\. (\d+)\)")

_log = logging.getLogger("segengine_server")


@dataclass(frozen=True, slots=True)
class Violation:
    """One mistake in a request: the field it is in, and what is wrong there."""

    field: str
    description: str


class RequestError(SegengineError):
    """A request that lacks something; `violations` holds every mistake."""

    reason = "BAD_REQUEST"

    def __init__(self, *violations: Violation) -> None:
        self.violations = violations
        field = violations[0].field if violations else ""
        super().__init__(
            "\n".join(f"`{v.field}`: {v.description}" for v in violations), field=field
        )


class BadDataError(SegengineError):
    """Rows of a caller that were refused; `violations` holds every reason.

    What is wrong with data from elsewhere, a file of the store, is not the caller's to know.
    """

    reason = "BAD_DATA"

    def __init__(self, error: LoadError) -> None:
        super().__init__(_in_words_of_the_wire(str(error)), field=error.field)
        self.violations: tuple[Violation, ...] = ()
        if isinstance(error, RefusedError):
            problems = error.report.problems
            self.violations = tuple(Violation(p.column, _bad_rows(p)) for p in problems)


class BusyError(SegengineError):
    """More calls at once than the server takes."""

    reason = "BUSY"


class NotWrittenError(SegengineError):
    """A change that the store's files could not take; nothing of it was taken in."""

    reason = "NOT_WRITTEN"


class OpeningError(SegengineError):
    """A call that came before the store was open."""

    reason = "OPENING"


class UnauthenticatedError(SegengineError):
    """A call without a token, or with one that is none, or no longer one."""

    reason = "UNAUTHENTICATED"


class ForbiddenError(SegengineError):
    """A call that its token is not for."""

    reason = "FORBIDDEN"


class GoneError(SegengineError):
    """A call that only a process which is gone could answer."""

    reason = "WRITER_GONE"

    def __init__(self) -> None:
        super().__init__(
            "the process that keeps the store is gone; this server ends, try again when it is back"
        )


class ListenError(SegengineError):
    """The server cannot listen where it was told to."""

    reason = "CANNOT_LISTEN"


class ServerError(Exception):
    """What a server answered in place of a result, or that there was no answer.

    code: a gRPC status name, such as `NOT_FOUND`; reason: a stable upper-case word, such as
    `UNKNOWN_CUSTOMER`, or empty; message: for people; violations: each mistake in the request;
    taken_in: where batches were sent, how many before the refused one were taken in, else None.
    """

    def __init__(
        self,
        code: str,
        reason: str,
        message: str,
        violations: Sequence[Violation] = (),
        taken_in: int | None = None,
    ) -> None:
        super().__init__(code, reason, message, tuple(violations), taken_in)
        self.code = code
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.taken_in = taken_in

    def __str__(self) -> str:
        return self.message or self.code


_CODES: tuple[tuple[type[SegengineError], grpc.StatusCode], ...] = (
    (UnknownCustomer, grpc.StatusCode.NOT_FOUND),
    (UnknownNameError, grpc.StatusCode.NOT_FOUND),
    (RuleError, grpc.StatusCode.INVALID_ARGUMENT),
    (AlreadyDefinedError, grpc.StatusCode.ALREADY_EXISTS),
    (ChangedMeanwhileError, grpc.StatusCode.ABORTED),
    (InUseError, grpc.StatusCode.FAILED_PRECONDITION),
    (InFileError, grpc.StatusCode.FAILED_PRECONDITION),
    (DefinitionError, grpc.StatusCode.INVALID_ARGUMENT),
    (ConfigError, grpc.StatusCode.INVALID_ARGUMENT),
    (RequestError, grpc.StatusCode.INVALID_ARGUMENT),
    (BadDataError, grpc.StatusCode.INVALID_ARGUMENT),
    (ReportError, grpc.StatusCode.INVALID_ARGUMENT),
    (RunError, grpc.StatusCode.FAILED_PRECONDITION),
    (NotBuiltYetError, grpc.StatusCode.UNIMPLEMENTED),
    (BusyError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (StoppedError, grpc.StatusCode.CANCELLED),
    (NotWrittenError, grpc.StatusCode.UNAVAILABLE),
    (OpeningError, grpc.StatusCode.UNAVAILABLE),
    (GoneError, grpc.StatusCode.UNAVAILABLE),
    (UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED),
    (ForbiddenError, grpc.StatusCode.PERMISSION_DENIED),
)
_CODE_OF_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def status_of(error: BaseException, taken_in: int | None = None) -> status_pb2.Status:
    """The status that tells a caller of `error`, small enough for any gRPC client.

    taken_in: of batches, how many before the one that is wrong were taken in.
    """
    batch, counted = _batch_after(taken_in), {}
    if taken_in is not None:
        counted["taken_in"] = str(taken_in)
    code = next((code for kind, code in _CODES if isinstance(error, kind)), None)
    if code is None or not isinstance(error, SegengineError):
        # A bad file or a bug of ours: paths and values in its text are not the caller's.
        return _status(
            grpc.StatusCode.INTERNAL,
            f"{batch}the server failed to answer; its log says why",
            "INTERNAL",
            counted,
        )
    metadata = counted | ({"field": error.field} if error.field else {})
    if isinstance(error, UnknownCustomer):
        metadata["customer_id"] = str(error.customer_id)
    elif isinstance(error, RuleError) and error.place:
        metadata["place"] = error.place
    return _status(code, f"{batch}{error}", error.reason, metadata, violations_of(error))


def violations_of(error: SegengineError) -> Sequence[Violation]:
    """Each mistake in a request, where it is known one by one; else none."""
    if isinstance(error, RequestError | BadDataError):
        return error.violations
    if isinstance(error, RuleError):
        return [Violation(error.field or "rule", _described(p)) for p in error.problems]
    if isinstance(error, ManyMistakesError):
        return [
            Violation(place, each.description)
            for place, wrong in error.errors
            for each in violations_of(wrong) or [Violation("", str(wrong))]
        ]
    return ()


async def refuse(
    context: grpc.aio.ServicerContext[Any, Any], error: Exception, taken_in: int | None = None
) -> NoReturn:
    """End a call with what `error` means to its caller; log what is no fault of theirs.

    taken_in: of batches, how many before the one that is wrong were taken in.
    """
    if isinstance(error, grpc.aio.AbortError | grpc.aio.InternalError):
        # The call has ended; or nothing can be sent any more, as the caller has left.
        raise error
    end = end_of(error, taken_in)
    told = tuple(context.trailing_metadata() or ())
    await context.abort(end.code, end.details.decode(), (*told, *end.trailing))


class End(NamedTuple):
    """How a call ends on the wire."""

    code: grpc.StatusCode
    details: bytes
    trailing: tuple[tuple[str, str | bytes], ...]


def end_of(error: Exception, taken_in: int | None = None) -> End:
    """The end that tells a caller of `error`; what is no fault of theirs is logged.

    taken_in: of batches, how many before the one that is wrong were taken in.
    """
    status = status_of(error, taken_in)
    code = _CODE_OF_NUMBER[status.code]
    if code is grpc.StatusCode.INTERNAL:
        _log.error("a call failed", exc_info=error)
    return End(code, status.message.encode(), ((DETAILS_KEY, status.SerializeToString()),))


def server_error_of(error: grpc.RpcError, asked: Connection, timeout: float) -> ServerError:
    """What a client raises for a call that failed or outlasted `timeout` seconds."""
    target = asked.target
    # A failed call is its own error; the stubs do not know.
    call: Any = error
    code, message = call.code().name, call.details() or ""
    reason, violations, taken_in = "", [], None
    for detail in _details_of(call):
        if isinstance(detail, error_details_pb2.ErrorInfo):
            reason = detail.reason
            if "taken_in" in detail.metadata:
                taken_in = int(detail.metadata["taken_in"])
        else:
            violations += [Violation(v.field, v.description) for v in detail.field_violations]
    if not reason and code == "UNAVAILABLE":
        hint = asked.hint(message)
        message = f"cannot reach a server at `{target}`: {message}{'; ' if hint else ''}{hint}"
    elif not reason and code == message == "CANCELLED":
        # Nobody here cancels a call and then asks how it ended: it was not taken any more.
        code = "UNAVAILABLE"
        message = f"the server at `{target}` is being stopped and did not take the call; try again"
    elif not reason and code == "DEADLINE_EXCEEDED":
        return late_error(target, timeout)
    elif not reason and (sizes := _TOO_LARGE.match(message)):
        return too_large_error(*map(int, sizes.groups()))
    return ServerError(code, reason, message, violations, taken_in)


def too_large_error(size: int, most: int) -> ServerError:
    """What a client raises for a request that is larger than can be sent."""
    return ServerError(
        "RESOURCE_EXHAUSTED", "",
        f"the request has {size:,} bytes, at most {most:,} are taken; send less at once, such as "
        "batches of 1,000 rows",
    )  # fmt: skip


def late_error(target: str, timeout: float) -> ServerError:
    """What a client raises when `target` took longer than `timeout` seconds."""
    return ServerError("DEADLINE_EXCEEDED", "", f"no answer from `{target}` within {timeout:g} s")


def _status(
    code: grpc.StatusCode,
    message: str,
    reason: str,
    metadata: dict[str, str],
    violations: Sequence[Violation] = (),
) -> status_pb2.Status:
    """A status of about `STATUS_BYTES` at most; violations that do not fit are counted."""
    status = status_pb2.Status(code=code.value[0], message=_cut(message, MESSAGE_BYTES))
    metadata = {key: _cut(value, TEXT_BYTES) for key, value in metadata.items()}
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)
    status.details.add().Pack(info)
    if violations:
        encoded = len(quote(status.message, safe=string.punctuation + " "))
        room = STATUS_BYTES - status.ByteSize() - encoded
        status.details.add().Pack(_bad_request(violations, room))
    return status


def _bad_request(violations: Sequence[Violation], room: int) -> error_details_pb2.BadRequest:
    bad = error_details_pb2.BadRequest()
    for number, violation in enumerate(violations):
        bad.field_violations.add(
            field=_cut(violation.field, TEXT_BYTES),
            description=_cut(violation.description, TEXT_BYTES),
        )
        if number and bad.ByteSize() > room:
            left = len(violations) - number
            mistakes = "1 more mistake" if left == 1 else f"{left:,} more mistakes"
            bad.field_violations[-1].description = f"and {mistakes}"
            break
    return bad


def before_it(taken_in: int) -> str:
    """What became of the batches before one that is wrong."""
    if taken_in == 0:
        return "none was taken in"
    before = "one before it was" if taken_in == 1 else f"{taken_in:,} before it were"
    return f"the {before} taken in"


def _batch_after(taken_in: int | None) -> str:
    """Which batch is wrong, from the second on: one alone would be a strange first of many."""
    return f"batch {taken_in + 1:,} ({before_it(taken_in)}): " if taken_in else ""


def _described(problem: Problem) -> str:
    """One mistake in a rule on one line: where, what, and what to do."""
    told = f"line {problem.line}, column {problem.column}: {problem.message}"
    return f"{told}; {problem.help}" if problem.help else told


def _in_words_of_the_wire(text: str) -> str:
    """What to do about rows, as a caller can: the engine names the arguments of its methods."""
    return _LOADED_WITH.sub("", text).replace('on_error="skip"', "`skip_bad_rows`")


def _bad_rows(problem: LoadProblem) -> str:
    """One reason for which rows are bad, without its column."""
    return str(problem).partition(": ")[2]


def _cut(text: str, size: int) -> str:
    """`text` in at most about `size` bytes of UTF-8, its end marked when it was cut."""
    data = text.encode("utf-8", "replace")
    if len(data) <= size:
        return data.decode()
    return data[:size].decode("utf-8", "ignore") + " ..."


def _details_of(call: grpc.Call) -> list[Any]:
    """Each ErrorInfo and BadRequest that came with a failed call; none when they are not ours."""
    sent = dict(call.trailing_metadata() or ()).get(DETAILS_KEY, b"")
    found = []
    try:
        for detail in status_pb2.Status.FromString(sent).details:
            for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest):
                message = kind()
                if detail.Unpack(message):
                    found.append(message)
    except DecodeError:
        return []
    return found
