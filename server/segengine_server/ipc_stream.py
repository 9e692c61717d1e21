"""How does a table travel? As one Arrow IPC stream, cut into pieces.

The first piece is the schema, then come the record batches, the last is the end mark; the pieces
joined in order are what `pyarrow.ipc.open_stream` reads. Nothing is written before it is asked
for, nothing read before it is needed.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

BATCH_ROWS = 65_536
# A gRPC client takes messages up to 4 MB by default, and a batch with many columns is larger.
PIECE_BYTES = 2 << 20


def pieces_of(table: pa.Table) -> Iterator[bytes]:
    """`table` as the pieces of one stream, each made when it is asked for."""
    schema = table.schema.serialize().to_pybytes()
    yield schema
    written = _Written()
    # The writer starts with the schema too; these bytes are out already.
    skip = len(schema)
    with pa.ipc.new_stream(written, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=BATCH_ROWS):
            writer.write_batch(batch)
            data, skip = written.take()[skip:], 0
            for start in range(0, len(data), PIECE_BYTES):
                yield data[start : start + PIECE_BYTES]
    yield written.take()[skip:]


class _Written(io.RawIOBase):
    """A file that keeps what was written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def take(self) -> bytes:
        """What was written since the last call."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


class Joined(io.RawIOBase):
    """A file made of pieces, each got from `fetch` when a reader comes to it, until it is None."""

    def __init__(self, fetch: Callable[[], bytes | None]) -> None:
        super().__init__()
        self._fetch = fetch
        self._piece = b""
        self._at = 0

    def readable(self) -> bool:
        """True: that is all it can do."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """The next `size` bytes, fewer only at the end; all that is left when negative."""
        parts: list[bytes] = []
        left = size
        while left != 0:
            if self._at == len(self._piece):
                piece = self._fetch()
                if piece is None:
                    break
                self._piece, self._at = piece, 0
            end = len(self._piece) if left < 0 else min(self._at + left, len(self._piece))
            parts.append(self._piece[self._at : end])
            left -= end - self._at if left > 0 else 0
            self._at = end
        return parts[0] if len(parts) == 1 else b"".join(parts)
