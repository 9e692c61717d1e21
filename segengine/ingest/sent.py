"""Are these the rows that were sent before? A digest of a batch as its caller gave it.

It is of names, types and values: not of how they lie in memory, so that a batch has the same one
in pieces, cut from a larger one, or sent over the wire. It is taken before anything is checked:
what is wrong with a row, and where an event of the future stands, depends on when it is asked.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from segengine.ingest.sources import files_of

_BYTES = 16
_PIECE = 1 << 20


def held(source: Any) -> Any:
    """A source that can be read as often as one likes: what speaks Arrow as a table."""
    if isinstance(source, pa.RecordBatchReader):
        return source.read_all()
    if hasattr(source, "__arrow_c_stream__"):
        return pa.table(source)
    if hasattr(source, "__arrow_c_array__"):
        return pa.Table.from_batches([pa.record_batch(source)])
    return source


def sent_digest(table: str, source: Any, folder: Path) -> str:
    """What stands for rows that are `held`, or files, sent for a table; empty for no source.

    Raises `LoadError` where a file is not there.
    """
    found = hashlib.blake2b(table.encode(), digest_size=_BYTES)
    if isinstance(source, str | os.PathLike):
        for file in files_of(os.fspath(source), folder):
            _add_file(found, Path(file))
        return found.hexdigest()
    if not isinstance(source, pa.Table):
        return ""
    for name, column in zip(source.column_names, source.columns, strict=True):
        found.update(f"\0{name}\0{source.num_rows}".encode())
        _add(found, _whole(column))
    return found.hexdigest()


def _add_file(found: Any, path: Path) -> None:
    found.update(f"\0{path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _add(found: Any, array: pa.Array) -> None:
    """Add the type and the values of an array; under a missing one anything may lie."""
    array = _plain(array)
    kind = array.type
    found.update(f"\0{_said(kind)}\0{len(array)}\0{array.null_count}\0".encode())
    if array.null_count:
        valid = array.is_valid().to_numpy(zero_copy_only=False)
        found.update(np.packbits(valid).tobytes())
        array = array.drop_null()
    if len(array) == 0:
        return
    if _is_text(kind):
        offsets = _numbers(array, 1, np.int64 if _is_large(kind) else np.int32, len(array) + 1)
        found.update(np.diff(offsets).astype(np.int64).tobytes())
        text = array.buffers()[2]
        if text is not None:
            found.update(memoryview(text)[int(offsets[0]) : int(offsets[-1])])
    elif pt.is_boolean(kind):
        found.update(np.packbits(array.to_numpy(zero_copy_only=False)).tobytes())
    elif _is_list(kind):
        found.update(pc.list_value_length(array).cast(pa.int64()).to_numpy().tobytes())
        _add(found, array.flatten())
    elif pt.is_struct(kind):
        for field, values in zip(kind, array.flatten(), strict=True):
            found.update(f"\0{field.name}\0".encode())
            _add(found, values)
    elif pt.is_primitive(kind) or pt.is_decimal(kind) or pt.is_fixed_size_binary(kind):
        width = kind.bit_width // 8
        values = memoryview(array.buffers()[1])
        found.update(values[array.offset * width : (array.offset + len(array)) * width])
    else:
        found.update(repr(array.to_pylist()).encode())


def _plain(array: pa.Array) -> pa.Array:
    """Values in place of codes, and of views."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pt.is_string_view(array.type):
        return array.cast(pa.large_string())
    if pt.is_binary_view(array.type):
        return array.cast(pa.large_binary())
    return array


def _said(kind: pa.DataType) -> str:
    """What values are, not how they are kept: lists and texts have two widths of offsets."""
    if _is_text(kind):
        return "text" if pt.is_string(kind) or pt.is_large_string(kind) else "binary"
    if _is_list(kind):
        return "list"
    return "struct" if pt.is_struct(kind) else str(kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pt.is_string(kind) or pt.is_binary(kind) or _is_large(kind))


def _is_large(kind: pa.DataType) -> bool:
    return bool(pt.is_large_string(kind) or pt.is_large_binary(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind))


def _numbers(array: pa.Array, buffer: int, dtype: Any, count: int) -> NDArray[Any]:
    size = np.dtype(dtype).itemsize
    return np.frombuffer(array.buffers()[buffer], dtype, count, array.offset * size)
