"""How do batches go to a server in one call, and what is said where one is wrong?

They are read as they go, so that a stream of them needs no memory; so a mistake that shows late is
said late. What was sent before it stays, each batch a change of its own, and the error says how
much that is. Nothing is left out without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

import pyarrow as pa

from segengine_server import campaign_convert
from segengine_server.errors import ServerError, before_it, too_large_error
from segengine_server.wire import segengine_pb2 as pb

MESSAGE_BYTES = (1 << 31) - (1 << 20)
"""What one message of gRPC can hold at most, with room for all but the rows."""
_END = object()


class Sending:
    """The requests of one call, read as they go; `error` is why they ended early.

    batches: anything that Arrow reads, each; keys: one for each batch, or None for none at all.
    Raises TypeError and ValueError for what can be seen before anything is sent.
    """

    def __init__(
        self, table: str, batches: Iterable[Any], keys: Iterable[str | None] | None, skip: bool
    ) -> None:
        if isinstance(batches, pa.Table | pa.RecordBatch | Mapping):
            raise TypeError("`batches` is a list of batches; send one with `append`")
        if isinstance(keys, str):
            raise TypeError(f"`keys` is a list with one key for each batch, not the text `{keys}`")
        if isinstance(batches, Sized) and isinstance(keys, Sized) and len(batches) != len(keys):
            raise ValueError(
                f"`keys` has {len(keys):,} and `batches` {len(batches):,}: give one key for each "
                "batch; nothing was sent"
            )
        self._table, self._batches, self._keys, self._skip = table, batches, keys, skip
        self._is_of_keys = False
        self.error: Exception | None = None

    def requests(self) -> Iterator[pb.AppendRequest]:
        """What goes over the wire."""
        # gRPC asks for them in a thread of its own, and would only say that something failed.
        try:
            for batch, key in self._with_keys():
                yield request_of(self._table, batch, key, self._skip)
        except Exception as error:
            self.error = error

    def see_end(self, taken_in: int) -> None:
        """Raise why the requests ended early, where they did; `taken_in`: the server's receipts."""
        if self.error is None:
            return
        if not self._is_of_keys:
            self.error.add_note(f"batch {taken_in + 1:,} was not sent; {before_it(taken_in)}")
        raise self.error

    def _with_keys(self) -> Iterator[tuple[Any, str | None]]:
        if self._keys is None:
            for batch in self._batches:
                yield batch, None
            return
        keys = iter(self._keys)
        count = 0
        for batch in self._batches:
            key: Any = next(keys, _END)
            if key is _END:
                raise self._unequal(f"`keys` ended after {count:,}, `batches` has more", count)
            yield batch, key
            count += 1
        if next(keys, _END) is not _END:
            raise self._unequal(f"`batches` ended after {count:,}, `keys` has more", count)

    def _unequal(self, what: str, count: int) -> ValueError:
        self._is_of_keys = True
        said = "nothing was sent" if count == 0 else f"batches that were taken in: {count:,}"
        return ValueError(f"{what}: give one key for each batch; {said}")


def request_of(table: str, data: Any, key: str | None, skip: bool) -> pb.AppendRequest:
    """One batch; raises Arrow's own error for what Arrow does not read."""
    return pb.AppendRequest(table=table, ipc=ipc_of(data), key=key or "", skip_bad_rows=skip)


def ipc_of(data: Any) -> bytes:
    """Rows as one Arrow IPC stream; ServerError for more than any server could be sent."""
    rows = data if isinstance(data, pa.Table) else pa.table(data)
    if rows.nbytes > MESSAGE_BYTES:
        raise too_large_error(rows.nbytes, MESSAGE_BYTES)
    return campaign_convert.to_proto_messages(rows)


def refused_batch(error: ServerError) -> ServerError:
    """What was refused, with the number of its batch also where that is the first.

    A server does not know whether more come, and says the number from the second on.
    """
    if error.taken_in != 0:
        return error
    message = f"batch 1 ({before_it(0)}): {error.message}"
    return ServerError(error.code, error.reason, message, error.violations, error.taken_in)
