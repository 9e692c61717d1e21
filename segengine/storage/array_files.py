"""How do arrays stand in files, so that to open them is to map them?

A file is an Arrow IPC file with one batch: a column for each array, all of one length, each just
as memory has it and at a multiple of 64 bytes. Arrays of odd lengths that are short stand together
in one file, a row for each. A private mapping is given out: whoever writes to it has a page of
their own, and the file stays as it is. Every file has its size and checksums, one for each
64 MB, so that a large file is checked by several threads.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from segengine.errors import StoreError
from segengine.kernels import jit
from segengine.kernels.checksum import Checksum
from segengine.tables.column import aligned

PART = 64 << 20
"""Bytes that one checksum covers."""
_PIECE = 1 << 20
_ALIGNED = 64
_ODD = pa.schema(
    [("name", pa.string()), ("type", pa.string()), ("length", pa.int64()),
     ("data", pa.large_binary())]
)  # fmt: skip


class DamagedError(StoreError):
    """A file is not what was written; the message names it."""

    def __init__(self, path: Path, what: str = "is damaged: it is not what was written") -> None:
        super().__init__(
            f"`{path}` {what}; restore the store from a backup or load it anew", field="store"
        )


FileFacts = dict[str, Any]
"""`bytes`, and `sums`: a checksum for each part, as 16 hexadecimal digits."""
Told = Callable[[int], None]
"""Called with the bytes that were written or checked since it was called before."""


def write_arrays(
    path: Path, arrays: Mapping[str, NDArray[Any]], told: Told | None = None
) -> FileFacts:
    """Write arrays of one length as the columns of a new file, and wait until it is on the disk.

    Contiguous arrays of a plain type are written from where they stand.
    """
    schema = pa.schema([(name, pa.from_numpy_dtype(a.dtype)) for name, a in arrays.items()])
    batch = pa.record_batch([pa.array(a) for a in arrays.values()], schema=schema)
    return _written(path, _begun_aligned(batch), told)


def _begun_aligned(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with as much said beside its schema as lets its arrays begin at 64 bytes."""
    body = sum(
        -(-buffer.size // 8) * 8
        for column in batch.columns
        for buffer in column.buffers()
        if buffer is not None
    )
    for spare in range(0, 2 * _ALIGNED, 4):
        said = batch.replace_schema_metadata({"": "." * spare})
        begin = 8 + said.schema.serialize().size + pa.ipc.get_record_batch_size(said) - body
        if begin % _ALIGNED == 0:
            return said
    return batch


def write_odd(path: Path, arrays: Mapping[str, NDArray[Any]]) -> FileFacts:
    """Write short arrays of any lengths and one dimension as the rows of a new file."""
    rows = [
        (name, a.dtype.str, len(a), np.ascontiguousarray(a).tobytes()) for name, a in arrays.items()
    ]
    batch = pa.record_batch([list(each) for each in zip(*rows, strict=True)], schema=_ODD)
    return _written(path, batch, None)


def _written(path: Path, batch: pa.RecordBatch, told: Told | None) -> FileFacts:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as out:
        out.write_batch(batch)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    size = path.stat().st_size
    sums = []
    for part in range(parts_of(size)):
        sums.append(part_sum(path, part))
        if told is not None:
            told(min(PART, size - part * PART))
    return {"bytes": size, "sums": sums}


def parts_of(size: int) -> int:
    """How many checksums a file of this many bytes has."""
    return max(1, -(-size // PART))


def part_sum(path: Path, part: int) -> str:
    """The checksum of a part of a file as it stands there."""
    found, piece = Checksum(), np.empty(_PIECE, np.uint8)
    begin, end = part * PART, (part + 1) * PART
    with path.open("rb", buffering=0) as file:
        # Read, not mapped: what is checked is not held.
        while begin < end and (count := os.preadv(file.fileno(), [piece.data], begin)):
            count = min(count, end - begin)
            found.take(piece[:count])
            begin += count
            if count % Checksum.ROUND:
                break
    return found.value()


def verify_arrays(files: Sequence[tuple[Path, FileFacts]], told: Told | None = None) -> None:
    """Check files against what was written, on all threads; `DamagedError` names the first bad."""
    work = [
        (path, part, expected)
        for path, facts in files
        for part, expected in _parts(path, facts)
    ]  # fmt: skip
    bad: list[int] = []

    def check(begin: int) -> None:
        for place in range(begin, len(work), jit.THREADS):
            path, part, expected = work[place]
            try:
                sound = part_sum(path, part) == expected
            except OSError:
                sound = False
            if not sound:
                bad.append(place)
                return
            if told is not None:
                told(PART)

    jit.each(check, min(jit.THREADS, len(work)))
    if bad:
        raise DamagedError(work[min(bad)][0])


def _parts(path: Path, facts: FileFacts) -> list[tuple[int, str]]:
    """The parts of a file with their checksums; `DamagedError` where its size is another."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DamagedError(path, f"cannot be read: {error.strerror}") from error
    if size != facts["bytes"]:
        raise DamagedError(path)
    return list(enumerate(facts["sums"]))


def map_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file over one private mapping, by name, in the order written.

    Writing to them copies the page and never reaches the file.
    """
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    base = np.frombuffer(mapping, np.uint8).ctypes.data
    batch = pa.ipc.open_file(pa.py_buffer(mapping)).get_batch(0)
    arrays = {}
    for index, name in enumerate(batch.schema.names):
        column = batch.column(index)
        dtype = np.dtype(column.type.to_pandas_dtype())
        if len(column) == 0:
            arrays[name] = np.empty(0, dtype)
            continue
        start = column.buffers()[1].address - base
        arrays[name] = np.frombuffer(mapping, dtype, len(column), start)
    return arrays


def matrix_over(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Arrays of one type that stand one behind the other as the rows of one matrix."""
    first = arrays[0]
    begin = first.ctypes.data
    for row, array in enumerate(arrays):
        assert array.dtype == first.dtype
        assert array.ctypes.data == begin + row * first.nbytes
    return np.lib.stride_tricks.as_strided(
        first, (len(arrays), len(first)), (first.nbytes, first.itemsize)
    )


def read_odd(path: Path) -> dict[str, NDArray[Any]]:
    """Copies of the short arrays of a file, by name."""
    table = pa.ipc.open_file(path.read_bytes()).read_all()
    arrays = {}
    for name, kind, length, data in zip(*(c.to_pylist() for c in table.columns), strict=True):
        array = aligned(length, np.dtype(kind))
        array[:] = np.frombuffer(data, kind, length)
        arrays[name] = array
    return arrays
