"""What is asked of gRPC itself? Calls, messages and ends, by the part in C that its servers share.

The only file that knows this part. It has no public name in Python: gRPC's two servers there are
written in it, and it has been what it is for years. Why it is used: docs/decisions/0022.

Whatever is begun here ends with a call of what was given along, `tag`, in the thread that polls:
of a batch, with whether it was done; a message that was waited for is None where none comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import grpc
from grpc._cython import cygrpc as _c  # type: ignore[attr-defined] # has no types

Metadata = tuple[tuple[str, str | bytes], ...]
Tag = Callable[[Any], object]
CoreCall = Any
"""A call as gRPC has it; whoever holds it keeps it."""

_NO_FLAGS = _FINE = 0
_NEVER = 1e12
"""Deadlines beyond, in seconds since 1970, are none."""
_TIMEOUT, _SHUTDOWN = _c.CompletionType.queue_timeout, _c.CompletionType.queue_shutdown


class CallQueue:
    """A server that takes nothing by itself, and its queue of what has come or was done."""

    def __init__(self, options: Sequence[tuple[str, Any]]) -> None:
        self._queue = _c.CompletionQueue()
        self._server = _c.Server(tuple(options), False)
        self._server.register_completion_queue(self._queue)

    def listen(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        """The port it is bound to; 0 where it cannot be."""
        if credentials is None:
            return int(self._server.add_http2_port(address.encode()))
        inner = credentials._credentials  # type: ignore[attr-defined] # noqa: SLF001
        return int(self._server.add_http2_port(address.encode(), inner))

    def start(self) -> None:
        """Take calls from now on, as they are asked for."""
        self._server.start()

    def next_call(self, tag: Tag) -> None:
        """Ask for one call; nothing happens once nobody is taken any more."""
        with suppress(ValueError):
            self._server.request_call(self._queue, self._queue, tag)

    def wait(self) -> Any:
        """What comes or was done next."""
        return self._queue.poll(None)

    def look(self) -> Any:
        """What has come or was done and is next; None: nothing."""
        event = self._queue.poll(0.0)
        return None if event.completion_type == _TIMEOUT else event

    def take_nobody(self, tag: Tag) -> None:
        """Take no further call; what is in flight goes on, and `tag` hears when nothing is."""
        self._server.shutdown(self._queue, tag)

    def cancel_all(self) -> None:
        """End what is in flight, after `take_nobody`."""
        self._server.cancel_all_calls()

    def close(self) -> None:
        """The end, when nobody is in flight; in the thread that polls.

        INVARIANT: nobody asks for anything afterwards, here or on a call: gRPC would end the
        process.
        """
        self._queue.shutdown()
        while (event := self._queue.poll(None)).completion_type != _SHUTDOWN:
            with suppress(Exception):
                event.tag(event)
        self._server.destroy()


def deadline_of(event: Any) -> float | None:
    """When a call's caller gives up, in seconds since 1970; None: never."""
    deadline: float = event.call_details.deadline
    return deadline if deadline < _NEVER else None


def read(call: CoreCall, tag: Tag) -> None:
    """Wait for the next message of a call; `message_of` what `tag` hears has it."""
    _begin(call, (_c.ReceiveMessageOperation(_NO_FLAGS),), tag)


def message_of(event: Any) -> bytes | None:
    """The message that was waited for; None where none comes any more."""
    message: bytes | None = event.batch_operations[0].message()
    return message


def wait_for_close(call: CoreCall, tag: Tag) -> None:
    """Wait until a call has ended; `was_cancelled` of what `tag` hears says how."""
    _begin(call, (_c.ReceiveCloseOnServerOperation(_NO_FLAGS),), tag)


def was_cancelled(event: Any) -> bool:
    """Whether a call ended before it was answered: its caller has left, or its time was over."""
    return bool(event.batch_operations[0].cancelled())


def write(call: CoreCall, message: bytes, tag: Tag, *, is_first: bool) -> None:
    """Send one message; done when there is room for another."""
    sent: tuple[Any, ...] = (_c.SendMessageOperation(message, _NO_FLAGS),)
    if is_first:
        sent = (_c.SendInitialMetadataOperation(None, _NO_FLAGS), *sent)
    _begin(call, sent, tag)


def end(
    call: CoreCall,
    code: int,
    details: bytes,
    trailing: Metadata,
    tag: Tag,
    *,
    is_first: bool,
    message: bytes | None = None,
    is_watched: bool,
) -> None:
    """End a call, after a last message where there is one.

    is_first: nothing was sent before; is_watched: `wait_for_close` was asked before
    """
    operations: list[Any] = []
    if is_first:
        operations.append(_c.SendInitialMetadataOperation(None, _NO_FLAGS))
    if message is not None:
        operations.append(_c.SendMessageOperation(message, _NO_FLAGS))
    operations.append(_c.SendStatusFromServerOperation(trailing, code, details, _NO_FLAGS))
    if not is_watched:
        operations.append(_c.ReceiveCloseOnServerOperation(_NO_FLAGS))
    _begin(call, operations, tag)


def refuse(call: CoreCall, code: int, details: bytes, trailing: Metadata, tag: Tag) -> None:
    """End a call that was just taken: `end`, for when there are very many."""
    operations = (
        _c.SendInitialMetadataOperation(None, _NO_FLAGS),
        _c.SendStatusFromServerOperation(trailing, code, details, _NO_FLAGS),
        _c.ReceiveCloseOnServerOperation(_NO_FLAGS),
    )
    _begin(call, operations, tag)


def nobody_asks(_event: object) -> None:
    """A tag of what nobody waits for."""


def _begin(call: CoreCall, operations: Sequence[Any], tag: Tag) -> None:
    if (wrong := call.start_server_batch(operations, tag)) != _FINE:
        # Of what `tag` is for nothing would ever be heard.
        raise RuntimeError(f"gRPC does not take what was asked of a call: {wrong}")
